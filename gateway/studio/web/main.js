// Starts Studio, and draws it anew for what a person does, for each second, and for what changes.
import { ends, lastAnswer, now, wants } from "./api.js";
import { app } from "./app.js";
import { draw, wide } from "./frame.js";

/** @import {App} from "./types.js" */

const EACH_MS = 1000;
// Screens without a countdown show minutes.
const DRAWN_EVERY = 30;
const POLL_MS = 10_000;
// Changes come in bursts.
const SETTLE_MS = 200;
// What has ended is in the list of runs, or of what was decided, a moment later; on a busy machine
// after a while.
const RECORDED_MS = [1500, 6000];
/** Where `g` and a second key lead. @type {Record<string, string>} */
const PAGES = { a: "approvals", r: "runs", x: "actions", u: "audit" };
let before = "";
let seconds = 0;

app.draw = draw;

document.addEventListener("click", (event) => {
  const link = /** @type {Element} */ (event.target).closest("a[href^='/studio']");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  app.go(String(link.getAttribute("href")));
});
addEventListener("popstate", app.open);
addEventListener("pageshow", (event) => event.persisted && app.open());
addEventListener("online", () => (app.data ? app.load() : app.open()));
wide.addEventListener("change", draw);
setInterval(() => {
  if (document.hidden || !app.data) return;
  watch();
  app.screen.tick?.(app.data, app);
  if (app.screen.ticks || ++seconds % DRAWN_EVERY === 0) draw();
}, EACH_MS);
listen(app);
start(app);
/** @type {HTMLElement} */ (document.getElementById("app")).textContent = "";
app.open();

/** Runs each second: at its end the page asks for a key. */
function watch() {
  const at = ends(app.who, lastAnswer());
  if (at === null || app.signedOut || now() < at) return;
  app.signedOut = true;
  app.draw();
}

/**
 * Single keys move between pages and rows. None of them decides or changes anything.
 * @param {App} app
 */
function listen(app) {
  addEventListener("keydown", (event) => {
    if (/** @type {any} */ (event.target).closest?.("input, textarea, select, dialog") || wants("quiet")) return;
    if (event.ctrlKey || event.metaKey || event.altKey || app.signedOut) return;
    if (pressed(event.key, app)) event.preventDefault();
  });
}

/**
 * Whether the key means something.
 * @param {string} key @param {App} app
 */
function pressed(key, app) {
  const page = before === "g" ? PAGES[key] : "";
  before = key;
  if (page) app.go(`/studio/${page}`);
  else if (key === "?") help();
  else if (key === "u") app.go(location.pathname.split("/").slice(0, 3).join("/"));
  else if (key === "j" || key === "k") move(key === "j" ? 1 : -1);
  else if (key === "/") /** @type {HTMLElement | null} */ (document.querySelector("[data-filter]"))?.focus();
  else if (app.data && app.screen.keys?.[key]) app.screen.keys[key](app.data, app);
  else return false;
  return true;
}

/** @param {number} step */
function move(step) {
  /** @type {any[]} */
  const rows = [...document.querySelectorAll(".list a, .list summary")];
  const at = rows.indexOf(document.activeElement);
  rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))]?.focus();
}

async function help() {
  const { open } = await import("./views/help.js");
  open();
}

/** Keep the screen of the app current. Sets `app.live`: whether a stream tells of changes. A hidden
 * page has none: a browser takes six connections to an origin, for all its tabs together.
 * @param {App} app
 */
function start(app) {
  /** @type {EventSource | null} */
  let source = null;
  let askedAt = 0;
  /** @type {{kinds: Set<string>, timer: number} | null} */
  let pending = null;

  const changed = (/** @type {string} */ kind, later = SETTLE_MS) => {
    const kinds = pending ? new Set([...pending.kinds, kind]) : new Set([kind]);
    if (pending) clearTimeout(pending.timer);
    pending = { kinds, timer: setTimeout(tell, later) };
  };
  const ended = (/** @type {string} */ kind) => {
    changed(kind);
    for (const later of RECORDED_MS) setTimeout(() => source && changed(kind), later);
  };
  const tell = () => {
    if (!pending) return;
    const { kinds } = pending;
    pending = null;
    // What is being loaded may have been read before the change.
    if (!app.data || app.busy) return [...kinds].forEach((kind) => changed(kind));
    app.refresh(kinds.size === 1 ? [...kinds][0] : kinds.has("approval") ? "approval" : "");
  };
  const says = (/** @type {boolean} */ live) => {
    if (app.live === live) return;
    app.live = live;
    app.draw();
  };
  const close = () => {
    source?.close();
    source = null;
    clearTimeout(pending?.timer);
    pending = null;
    says(false);
  };
  const open = () => {
    source = new EventSource("/events");
    source.addEventListener("open", () => (askedAt = now()));
    // The gateway's first event: a proxy that keeps events back would keep this one too.
    source.addEventListener("ready", () => {
      says(true);
      changed("");
    });
    for (const kind of ["approval", "run"])
      source.addEventListener(kind, () => ended(kind));
    source.addEventListener("error", () => {
      says(false);
      // Refused, as where the session has ended: the screen says so at once.
      if (source?.readyState === EventSource.CLOSED) app.refresh();
    });
  };
  const poll = () => {
    askedAt = now();
    app.refresh();
    if (source?.readyState === EventSource.CLOSED) source = null;
    if (!source) open();
  };
  const look = () => {
    if (document.hidden || !mayListen(app)) return close();
    if (!source) {
      open();
      askedAt = now();
    } else if (!app.live && now() - Math.max(askedAt, app.loadedAt) >= POLL_MS) poll();
  };

  setInterval(look, 1000);
  document.addEventListener("visibilitychange", () => {
    look();
    if (!document.hidden) app.refresh();
  });
  addEventListener("pagehide", close);
}

/** @param {App} app */
const mayListen = ({ who, signedOut }) =>
  who && !signedOut && (who.scopes.includes("approvals:read") || who.scopes.includes("runs:read"));
