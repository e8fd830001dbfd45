// What the page knows, and the few ways in which that changes.
import { Problem, byProxy, get, now } from "./api.js";
import { loading, pagesOf, screenAt } from "./screens.js";

/** @import {App} from "./types.js" */

const said = /** @type {HTMLElement} */ (document.getElementById("said"));
let turn = 0;

/** @type {App} */
export const app = {
  who: /** @type {any} */ (null), // the answer of GET /session
  waiting: null, // the answer of GET /approvals, for the list and its number in the title
  screen: loading,
  id: "",
  data: null,
  local: {}, // what this screen keeps besides
  refusal: null, // of the last change
  failure: null, // of the last load
  busy: false,
  signedOut: false,
  loadedAt: 0,
  live: false, // set by live.js
  ready: null, // the answer of GET /ready, where the gateway says that it is not
  draw: () => {}, // set by frame.js
  act,
  announce,
  go,
  load,
  open,
  refresh,
  show,
};

/** Show the page of the address; what the page before knew is dropped. */
async function open() {
  const mine = ++turn;
  announce("");
  Object.assign(app, { screen: loading, data: null, local: {}, refusal: null, failure: null });
  app.draw();
  try {
    Object.assign(app, await screenAt(location.pathname));
  } catch {
    app.failure = await whyNot();
  }
  if (mine !== turn) return;
  if (!app.failure) await load();
  else app.draw();
  document.querySelector("h1")?.focus();
}

/** A file of this version is gone where another version runs by now. */
async function whyNot() {
  try {
    await get("/health");
    return new Problem(404, { title: "Studio is being upgraded", code: "upgraded" });
  } catch (/** @type {any} */ error) {
    return error;
  }
}

/** @param {string} path */
function go(path) {
  history.pushState(null, "", path);
  return open();
}

/**
 * Another part of the same page: `search` of its address.
 * @param {string} search
 */
function show(search) {
  history.replaceState(null, "", location.pathname + search);
  app.draw();
  return load();
}

/** Ask for what the screen shows; what it shows already stays meanwhile. */
async function load(kind = "") {
  const mine = ++turn;
  try {
    app.who ??= await get("/session");
    if (redirected()) return await open();
    const asked = [app.screen.load(app.id, app), kind === "run" ? null : waiting()];
    const [data] = await Promise.all(asked);
    if (mine !== turn) return;
    if (app.data && data.digest !== app.data.digest) app.local = {};
    Object.assign(app, { data, failure: null, signedOut: false, loadedAt: now() });
  } catch (error) {
    if (mine !== turn) return;
    await fail(error);
  }
  app.draw();
}

/** Those who may not read approvals start at the first page that they may open. */
function redirected() {
  const [first = ""] = pagesOf(app.who)[0] ?? [];
  const atStart = /^\/studio(\/approvals|\/sign-in)?\/?$/.test(location.pathname);
  if (!atStart || !first || location.pathname === first) return false;
  history.replaceState(null, "", first);
  return first !== "/studio/approvals";
}

async function waiting() {
  if (app.who.scopes.includes("approvals:read")) app.waiting = await get("/approvals?limit=200");
}

/** Something has changed: `kind` is `approval` or `run`, or empty where that is not known. */
async function refresh(kind = "") {
  if (!app.data || app.busy || app.signedOut) return;
  const { live } = app.screen;
  if (typeof live === "function" ? live(app.data) : live) return load(kind);
  if (kind !== "approval") return;
  await waiting().catch(fail);
  app.draw();
}

/** @param {any} error */
async function fail(error) {
  if (byProxy(error)) Object.assign(app, { refusal: error, signedOut: true });
  else if (error.status === 401) app.signedOut = true;
  else app.failure = error;
  app.ready = await readiness(error);
}

/**
 * What GET /ready says where an error lets one ask.
 * @param {any} error
 */
export async function readiness(error) {
  if (error.status !== 503) return null;
  return get("/ready").catch((refused) => refused.body);
}

/**
 * Do one change; a second one meanwhile is not begun. `change` may return words to announce.
 * @param {() => Promise<string | void>} change
 */
async function act(change) {
  if (app.busy) return;
  const at = location.pathname;
  Object.assign(app, { busy: true, refusal: null });
  app.draw();
  try {
    announce((await change()) ?? "");
  } catch (/** @type {any} */ error) {
    if (error.status === 401) app.signedOut = true;
    else app.refusal = error;
  }
  app.busy = false;
  if (app.signedOut || !app.data) app.draw();
  else if (location.pathname === at) await load();
  // What had the focus may be gone.
  if (document.activeElement === document.body) document.querySelector("h1")?.focus();
}

/**
 * Say something to screen readers, and show it.
 * @param {string} words
 */
function announce(words) {
  said.textContent = words;
}
