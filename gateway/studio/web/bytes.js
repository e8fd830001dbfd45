// Text as a person can check it: hidden characters are named, and the digest is computed from what
// stands in the document.
import { HIDDEN_IN_LINES, codeOf, named } from "./views/common.js";

/** @import {App} from "./types.js" */

// A longer row, or one with more boxes, takes a browser seconds to lay out: it lays out all rows
// that would be near the window if each were one line.
const WIDEST = 500;
const MOST_BOXES = 50;

/** @param {string} text */
export const hiddenCount = (text) => text.match(HIDDEN_IN_LINES)?.length ?? 0;

/**
 * The text in slices that end behind a line feed, where there is one, and never in a pair.
 * @param {string} text
 */
export function rows(text) {
  const found = [];
  for (let from = 0, until; from < text.length; from = until) {
    until = widest(text, from);
    if (until < text.length) {
      const feed = text.lastIndexOf("\n", until - 1) + 1;
      const pair = text.charCodeAt(until - 1) >> 10 === 0x36;
      until = feed > from ? feed : until + (pair ? 1 : 0);
    }
    found.push(text.slice(from, until));
  }
  return found;
}

/**
 * Where a row that begins at `from` ends at the latest.
 * @param {string} text @param {number} from
 */
function widest(text, from) {
  const row = text.slice(from, from + WIDEST);
  let boxes = 0;
  for (const { 0: character, index } of row.matchAll(HIDDEN_IN_LINES))
    if (++boxes === MOST_BOXES) return from + index + character.length;
  return from + row.length;
}

/**
 * Show the whole text in `element`, in rows. `textOf` reads it back.
 * @param {Element} element @param {string} text
 */
export function show(element, text) {
  element.replaceChildren(...rows(text).map(rowOf));
}

/**
 * A row that shows this text; line feeds are line feeds.
 * @param {string} text
 */
export function rowOf(text) {
  const row = document.createElement("div");
  row.className = "row";
  let from = 0;
  for (const { 0: character, index } of text.matchAll(HIDDEN_IN_LINES)) {
    if (index > from) row.append(text.slice(from, index));
    row.append(box(character));
    from = index + character.length;
  }
  row.append(text.slice(from));
  return row;
}

// One of each, to be cloned: a body may hold 100,000 of them.
/** @type {Map<string, Element>} */
const boxes = new Map();
/** @type {Map<string, string>} */
const characters = new Map();

/** @param {string} character */
function box(character) {
  let element = boxes.get(character);
  if (!element) {
    const code = codeOf(character);
    element = document.createElement("span");
    Object.assign(element, { className: "hidden", role: "img", ariaLabel: named(code) });
    element.textContent = `U+${code}`;
    boxes.set(character, element);
  }
  return element.cloneNode(true);
}

/**
 * The character that a box shows.
 * @param {string} words
 */
function unboxed(words) {
  const known = characters.get(words);
  if (known !== undefined) return known;
  const character = String.fromCodePoint(Number.parseInt(words.slice(2), 16));
  characters.set(words, character);
  return character;
}

/**
 * The text that the rows of an element show.
 * @param {Element} element
 */
export function textOf(element) {
  const found = [];
  for (const row of element.children)
    for (let node = row.firstChild; node; node = node.nextSibling)
      found.push(node instanceof Text ? node.data : unboxed(String(node.textContent)));
  return found.join("");
}

/**
 * The digest of a request: of its head, and right behind it the body.
 * @param {string} head @param {string} body @param {boolean} base64
 */
export async function digest(head, body, base64) {
  const first = new TextEncoder().encode(head);
  const second = base64
    ? Uint8Array.from(atob(body), (character) => character.charCodeAt(0))
    : new TextEncoder().encode(body);
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
  return `sha256:${[...sum].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * Exact text, whole and in the order in which it is sent; drawn once while the screen shows the same.
 * `label`: for screen readers.
 * @param {string} id @param {string} text @param {App} app
 */
export function exact(id, text, app, label = id) {
  const kept = (app.local.exact ??= new Map());
  const before = kept.get(id);
  if (before?.text === text) return before.element;
  const element = document.createElement("div");
  Object.assign(element, { className: "exact", id, tabIndex: 0, role: "group", ariaLabel: label });
  show(element, text);
  kept.set(id, { text, element });
  return element;
}
