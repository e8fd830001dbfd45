// The runs of the workspace, newest first. What has come since is announced and moves no row.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { clock, get } from "../api.js";
import { link, shown, when } from "./common.js";
import { STATUSES, badge } from "./outcomes.js";

/** @import {App, Schemas, Screen} from "../types.js" */

const FILTERS = ["status", "action", "requester", "since", "until", "principal"];

/** @type {Screen<Schemas["RunsBody"]>} */
export const runs = {
  title: () => "Runs",
  load: () => get(`/runs${location.search}`),
  live: true,
  view: (data, app) => {
    const listed = (app.local.listed ??= data.runs);
    const known = new Set(listed.map((/** @type {Schemas["ListedRun"]} */ it) => it.run_id));
    const current = new Map(data.runs.map((it) => [it.run_id, it]));
    const fresh = data.runs.filter((it) => !known.has(it.run_id));
    return html`
      <h1 tabindex="-1">Runs</h1>
      ${filters(app)}
      <p class="quiet">Updated ${app.live ? "live" : clock(app.loadedAt)}</p>
      ${fresh.length && !query().has("cursor")
        ? html`<p><button type="button" id="fresh" @click=${() => adopt(data, app)}>${fresh.length} new</button></p>`
        : nothing}
      ${listed.length || fresh.length
        ? html`<ul class="list">${listed.map((/** @type {Schemas["ListedRun"]} */ it) => row(current.get(it.run_id) ?? it))}</ul>`
        : empty()}
      ${data.next_cursor ? html`<p><a href=${older(data.next_cursor)}>Older runs</a></p>` : nothing}`;
  },
};

const query = () => new URLSearchParams(location.search);

/** @param {Schemas["RunsBody"]} data @param {App} app */
function adopt(data, app) {
  app.local.listed = data.runs;
  app.draw();
  /** @type {HTMLElement | null} */ (document.querySelector(".list a"))?.focus();
}

const empty = () =>
  FILTERS.some((name) => query().has(name))
    ? html`<p>None of these. <a href="/studio/runs">Show all runs</a></p>`
    : html`<p>No run yet. What an action sends stands here: <a href="/studio/actions">Actions</a></p>`;

/** @param {string} cursor */
const older = (cursor) => {
  const asked = query();
  asked.set("cursor", cursor);
  return `/studio/runs?${asked}`;
};

/** @param {App} app */
const filters = (app) => {
  const asked = query();
  const text = (/** @type {string} */ name, /** @type {string} */ words) => html`<p><label for=${name}>${words}</label>
    <input id=${name} name=${name} autocomplete="off" .value=${asked.get(name) ?? ""} /></p>`;
  return html`<form class="filters" @submit=${(/** @type {any} */ event) => chosen(event, app)}>
    <p><label for="status">Status</label>
      <select id="status" name="status" data-filter @change=${(/** @type {any} */ event) => event.target.form.requestSubmit()}>
        <option value="" ?selected=${!asked.get("status")}>all</option>
        ${Object.entries(STATUSES).map(([status, [shape, words]]) =>
          html`<option value=${status} ?selected=${asked.get("status") === status}>${shape} ${words}</option>`)}
      </select></p>
    ${text("action", "Action")} ${text("requester", "Requester (subject)")}
    <button>Filter</button>
  </form>`;
};

/**
 * The address holds the filters, so that a reload and a link keep them.
 * @param {any} event @param {App} app
 */
function chosen(event, app) {
  event.preventDefault();
  const asked = query();
  asked.delete("cursor");
  for (const [name, given] of new FormData(event.target)) {
    const value = String(given).trim();
    if (value) asked.set(name, value);
    else asked.delete(name);
  }
  app.go(`/studio/runs${asked.size ? `?${asked}` : ""}`);
}

/** @param {Schemas["ListedRun"]} it */
const row = (it) => html`<li>
  <a href="/studio/runs/${it.run_id}">${badge(it.status)}</a>
  <span>${shown(it.action)}</span>
  ${it.status_code ? html`<span>${it.status_code}</span>` : nothing}
  ${it.duration_ms === null ? nothing : html`<span>${it.duration_ms} ms</span>`}
  <span>${when(it.started_at)}</span>
  ${it.trace_link ? link(it.trace_link, "trace") : nothing}
</li>`;
