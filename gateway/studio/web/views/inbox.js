// What waits for a decision, what this person asked for, and what was decided. The list never moves
// under a pointer: what ends meanwhile stays, in grey.
import { html, nothing, render } from "../vendor/lit-html/lit-html.js";
import { clock, get, now, relative } from "../api.js";
import { barred, decidable, decided, endedBy, isOwn, progress, target } from "./approvals.js";
import { shown, skeleton, tabs, when } from "./common.js";

/** @import {App, Schemas, Screen} from "../types.js" */

const chosen = () => new URLSearchParams(location.search).get("tab") ?? "waiting";

/** @type {Screen<any>} */
export const inbox = {
  title: (data, app) => {
    const count = decidable(app).length;
    return count ? `(${count}) Approvals` : "Approvals";
  },
  load: async () => {
    if (chosen() !== "decided") return {};
    const asked = new URLSearchParams(location.search);
    asked.delete("tab");
    return get(`/approvals?state=ended&${asked}`);
  },
  live: true,
  ticks: true,
  list: (app) => html`<h2>Waiting for you</h2>${waiting(app)}`,
  view: (data, app) => html`
    <h1 tabindex="-1">Approvals</h1>
    ${tabs("Approvals", names(app), chosen(), (id) => app.show(`?tab=${id}`), content(data, app))}
    <p class="quiet">Updated ${app.live ? "live" : clock(app.loadedAt)}</p>`,
};

/** @param {App} app @returns {[string, unknown][]} */
const names = (app) => {
  const count = decidable(app).length;
  return [
    ["waiting", html`Waiting for me${count ? ` ${count}` : nothing}`],
    ["mine", "Mine"],
    ["decided", "Decided"],
  ];
};

/** @param {Schemas["ApprovalsBody"]} data @param {App} app */
const content = (data, app) => {
  if (chosen() === "mine") return mine(app);
  return chosen() === "decided" ? ended(data) : waiting(app);
};

/** @param {App} app */
const waiting = (app) => {
  const all = (app.waiting?.approvals ?? []).filter((it) => !isOwn(it, app.who));
  const others = all.filter((it) => barred(it, app.who) || decided(it, app.who));
  return html`${waitingList(decidable(app), app)}
    ${decidable(app).length ? nothing : html`<p>Nothing waits for you.</p>`}
    ${others.length
      ? html`<details><summary>${others.length === 1 ? "1 waits" : `${others.length} wait`} for others.</summary>
          <ul class="list">${others.map((it) => html`<li>${target(it, app)}</li>`)}</ul></details>`
      : nothing}`;
};

/** @param {App} app */
const mine = (app) => {
  const own = (app.waiting?.approvals ?? []).filter((it) => isOwn(it, app.who));
  return own.length
    ? html`<p>Another person has to decide on these: you asked for them.</p>
        <ul class="list">${own.map((it) => html`<li>${target(it, app)}
          <span>${it.action}</span> <span>${when(it.decide_by)}</span></li>`)}</ul>`
    : html`<p>You have asked for nothing that waits. What a preview needs is held by a rule of the policy.</p>`;
};

/** @param {Schemas["ApprovalsBody"]} data */
const ended = (data) => {
  if (!data.approvals) return skeleton;
  return data.approvals.length
    ? html`<ul class="list">${data.approvals.map(past)}</ul>
        ${data.next_cursor
          ? html`<p><a href="/studio/approvals?tab=decided&cursor=${data.next_cursor}">Older ones</a></p>`
          : nothing}`
    : html`<p>Nothing has been decided yet. Here stands how each approval ended, and who decided.</p>`;
};

/** @param {Schemas["ListedApproval"]} it */
const past = (it) => html`<li>
  <a href="/studio/approvals/${it.preview_id}">${it.action}, asked by ${shown(it.requester)}</a>
  <span>${endedBy(it)}</span>
  <span>${when(it.requested_at)}</span>
</li>`;

/** @typedef {{it: Schemas["ListedApproval"], gone: boolean}} Row */

let held = false;
/** @type {HTMLElement | null} */
let list = null;
/** @type {Map<string, HTMLElement>} */
const elements = new Map();
/** @type {Row[]} */
let standing = [];
const endings = new Map();

/**
 * The rows as {it, gone}: while held, in the order in which they stand. Pure.
 * @param {Row[]} before @param {Schemas["ListedApproval"][]} fresh @param {boolean} isHeld
 */
function arranged(before, fresh, isHeld) {
  if (!isHeld) return fresh.map((it) => ({ it, gone: false }));
  const found = new Map(fresh.map((it) => [it.preview_id, it]));
  const old = new Set(before.map(({ it }) => it.preview_id));
  return [
    ...before.map(({ it }) => ({ it: found.get(it.preview_id) ?? it, gone: !found.has(it.preview_id) })),
    ...fresh.filter((it) => !old.has(it.preview_id)).map((it) => ({ it, gone: false })),
  ];
}

/**
 * A list of what waits; nothing where no row stands.
 * @param {Schemas["ListedApproval"][]} fresh @param {App} app
 */
function waitingList(fresh, app) {
  standing = arranged(standing, fresh, held);
  for (const { it, gone } of standing) if (gone) ask(it, app);
  list ??= newList(app);
  place(list, app);
  return standing.length ? list : nothing;
}

/** @param {App} app */
function newList(app) {
  const made = document.createElement("ul");
  made.className = "list";
  const hold = () => { held = true; };
  const release = (/** @type {any} */ event) => {
    if (made.matches(":hover") || made.contains(event.relatedTarget)) return;
    held = false;
    endings.clear();
    // Later: what had the focus may be leaving in the midst of a draw.
    queueMicrotask(app.draw);
  };
  for (const kind of ["pointerenter", "focusin"]) made.addEventListener(kind, hold);
  for (const kind of ["pointerleave", "focusout"]) made.addEventListener(kind, release);
  return made;
}

/**
 * Each approval keeps its element, so that a row that has the focus never becomes another one.
 * @param {Element} list @param {App} app
 */
function place(list, app) {
  const ids = new Set(standing.map(({ it }) => it.preview_id));
  for (const [id, element] of elements) if (!ids.has(id) && elements.delete(id)) element.remove();
  standing.forEach((each, at) => {
    const id = each.it.preview_id;
    const element = elements.get(id) ?? document.createElement("li");
    elements.set(id, element);
    element.className = each.gone ? "gone" : "";
    render(row(each, app), element);
    if (list.children[at] !== element) list.insertBefore(element, list.children[at] ?? null);
  });
}

/**
 * How an approval ended that was listed as waiting.
 * @param {App} app
 */
async function ask(/** @type {Schemas["ListedApproval"]} */ { preview_id: id }, app) {
  if (endings.has(id)) return;
  endings.set(id, null);
  const found = await get(`/approvals/${id}`).catch(() => null);
  endings.set(id, found);
  app.draw();
}

/** @param {Row} each @param {App} app */
const row = ({ it, gone }, app) => html`
  ${target(it, app)}
  <span class="facts">
    <span>${it.action}</span>
    <span>asked by ${shown(it.requester)}</span>
    ${it.warnings?.length ? html`<span class="warned">! ${counted(it.warnings.length, "warning")}</span>` : nothing}
    ${gone ? html`<strong>${ending(it)}</strong>` : left(it)}
  </span>`;

/** @param {number} number @param {string} word */
const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

/** @param {Schemas["ListedApproval"]} it */
const ending = (it) => {
  const found = endings.get(it.preview_id);
  if (Date.parse(it.decide_by) <= now()) return "expired";
  return found ? endedBy(found) : "ended";
};

/** @param {Schemas["ListedApproval"]} it */
const left = (it) => {
  const { given, needed } = progress(it);
  const whole = Date.parse(it.decide_by) - Date.parse(it.requested_at);
  const part = Math.max(0, (Date.parse(it.decide_by) - now()) / whole);
  return html`<span>${given} of ${needed}</span>
    <span class=${part < 0.25 ? "late" : ""}>${when(it.decide_by)}
      <progress max="1" value=${part} aria-label=${relative(it.decide_by)}></progress></span>`;
};
