// The audit: whether its chain holds, and its entries.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { get } from "../api.js";
import { copy, shown, when } from "./common.js";

/** @import {App, Schemas, Screen} from "../types.js" */
/** @typedef {Schemas["AuditEntry"]} Entry */
/** @typedef {Schemas["AuditBody"] & {check: Schemas["VerificationBody"]}} Page */

export const EVENTS = `run.intended run.ended request.refused key.created key.rotated key.revoked
  secret.created workspace.created workspace.changed audit.read approval.requested approval.decided
  approval.ended policy.changed channel.changed connection.created
  connection.connected connection.needs_reauth connection.denied
  connection.deleted session.started session.ended entry.unreadable`.split(/\s+/);
const FILTERS = ["event", "principal", "action", "status", "since", "until"];

/** @type {Screen<Page>} */
export const audit = {
  title: (data) => (data?.check.state === "broken" ? "Audit: the chain is broken" : "Audit"),
  load: async () => {
    const [page, check] = await Promise.all([get(`/audit${location.search}`), get("/audit/verification")]);
    return { ...page, check };
  },
  view: (data, app) => html`
    ${data.check.state === "broken" ? broken(data.check) : nothing}
    <h1 tabindex="-1">Audit</h1>
    ${data.check.state === "broken" ? nothing : verified(data.check)}
    <p class="quiet">Reading this is in the audit.</p>
    ${filter(app)}
    ${data.entries.length
      ? html`<ul class="list">${data.entries.map(entry)}</ul>`
      : html`<p>No entry is like this. <a href="/studio/audit">Show all entries</a></p>`}
    ${data.next_cursor ? html`<p><a href=${older(data.next_cursor)}>Older entries</a></p>` : nothing}
    ${exported(app)}
  `,
};

/** @param {Page["check"]} check */
const broken = (check) => html`<div class="problem" role="alert" id="chain">
  <p><strong>Broken at ${check.seq}: not as it was written.</strong> ${shown(check.detail)}</p>
  <p>Found ${when(check.checked_at)}. <code>relay audit verify</code> says more.</p>
</div>`;

/** @param {Page["check"]} check */
const verified = (check) =>
  check.state === "ok"
    ? html`<p id="chain">Chain verified up to ${check.seq?.toLocaleString()}, ${when(check.checked_at)}.</p>`
    : html`<p id="chain" class="warning">Never verified by this gateway since its start:
        <code>relay audit verify</code></p>`;

/** @param {App} app */
function filter(app) {
  const now = new URLSearchParams(location.search);
  const field = (/** @type {string} */ name, /** @type {string} */ label) => html`<p>
    <label for="by-${name}">${label}</label>
    <input id="by-${name}" name=${name} value=${now.get(name) ?? ""} autocomplete="off" /></p>`;
  return html`<form class="filters" role="search" aria-label="Entries" @submit=${(/** @type {Event} */ it) => apply(it, app)}>
    <p><label for="by-event">Event</label>
      <select id="by-event" name="event" data-filter>
        <option value="">all</option>
        ${EVENTS.map((it) => html`<option ?selected=${now.get("event") === it}>${it}</option>`)}
      </select></p>
    ${field("principal", "Key")} ${field("action", "Action")} ${field("status", "Status or refusal")}
    ${field("since", "Since, as 2026-11-23T00:00:00Z")} ${field("until", "Until")}
    <p><button>Filter</button> ${FILTERS.some((it) => now.get(it)) ? html`<a href="/studio/audit">Clear</a>` : nothing}</p>
  </form>`;
}

/** @param {Event} event @param {App} app */
function apply(event, app) {
  event.preventDefault();
  const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
  const chosen = [...form].filter(([, value]) => value).map(([name, value]) => [name, String(value)]);
  app.go(chosen.length ? `/studio/audit?${new URLSearchParams(chosen)}` : "/studio/audit");
}

/** @param {string} cursor */
function older(cursor) {
  const query = new URLSearchParams(location.search);
  query.set("cursor", cursor);
  return `/studio/audit?${query}`;
}

/** @param {Entry} it */
const entry = (it) => html`<li class=${it.event === "request.refused" ? "refused" : nothing}>
  <details>
    <summary>${it.seq} · ${it.event === "request.refused" ? html`<strong>Refused</strong> ` : nothing}${it.event}
      ${it.status || nothing} · ${shown(it.principal)}${it.subject ? html` · ${shown(it.subject)}` : nothing} · ${when(it.at)}</summary>
    <dl>
      ${Object.entries(it).map(([name, value]) => html`<dt>${name}</dt>
        <dd>${shown(typeof value === "string" ? value : JSON.stringify(value))}</dd>`)}
    </dl>
  </details>
</li>`;

/** The command that writes these entries to a file. @param {App} app */
function exported({ who }) {
  const now = new URLSearchParams(location.search);
  const words = ["event", "since", "until"].map((it) => (now.get(it) ? ` --${it} ${quoted(now.get(it) ?? "")}` : ""));
  const command = `relay audit export --workspace ${quoted(who.workspace)}${words.join("")} > audit.jsonl`;
  return html`<h2>Export</h2>
    <p>The operator of the gateway writes entries to a file:</p>
    <p><code id="export">${command}</code> ${copy(command, "the command")}</p>`;
}

/** As one word of a shell. @param {string} text */
const quoted = (text) => (/^[\w.:+@-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`);
