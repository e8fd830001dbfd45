// One run: what became of it in words, then when, what came back, and what the audit has of it.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { clock, get } from "../api.js";
import { exact } from "../bytes.js";
import { copy, link, shown, skeleton, when } from "./common.js";
import { advice, badge, outcome } from "./outcomes.js";

/** @import {App, Schemas, Screen} from "../types.js" */

const PAGES_MAX = 5;
/** @param {App} app @param {Schemas["SessionBody"]["scopes"][number]} scope */
const may = (app, scope) => app.who.scopes.includes(scope);

/**
 * @typedef {{run: Schemas["RunBody"], replays: Schemas["ReplaysBody"], approval: Schemas["ApprovalBody"] | null}} Data
 */

/** @type {Screen<Data>} */
export const run = {
  title: (data) => (data ? outcome(data.run) : "Run"),
  load: async (id, app) => {
    const path = `/runs/${encodeURIComponent(id)}`;
    const [found, replays] = await Promise.all([get(path), get(`${path}/replays`)]);
    const held = found.approval && may(app, "approvals:read");
    // Those who may not see the approval see the run.
    const approval = held ? await get(`/approvals/${found.preview_id}`).catch(() => null) : null;
    return { run: found, replays, approval };
  },
  live: (data) => data.run.status === "running",
  ticks: true,
  view: (data, app) => html`
    <h1 tabindex="-1">${outcome(data.run)}</h1>
    <p>${badge(data.run.status)} ${shown(data.run.action)}
      ${data.run.trace_link ? link(data.run.trace_link, "Open the trace") : nothing}</p>
    ${advice(data.run) ? html`<p id="advice">${advice(data.run, data.approval?.url)} ${known(data.run)}</p>` : nothing}
    ${error(data.run)}
    <h2>When</h2>
    ${timeline(data)}
    ${replays(data.replays)}
    ${result(data.run, app)}
    ${facts(data, app)}
    ${may(app, "audit:read") ? audit(data.run, app) : nothing}
    <h2>The same as curl</h2>
    <p><code id="curl">${curl(data.run)}</code> ${copy(curl(data.run), "the command")}</p>`,
};

/** @param {Schemas["RunBody"]} it */
const known = (it) => (it.status === "unknown" ? copy(it.run_id, "the webhook-id") : nothing);

/** @param {Schemas["RunBody"]} it */
const error = (it) =>
  it.error
    ? html`<div id="error"><h2>Why</h2>
        <p>${shown(it.error.detail)} <code>${it.error.code}</code></p>
        <p>${it.error.safe_to_retry ? "Safe to retry: nothing was sent." : "Not safe to retry: the target may have acted."}</p></div>`
    : nothing;

/** @param {Data} data */
const timeline = ({ run: it, approval }) => html`<ol class="timeline">
  ${approval ? html`<li>previewed by ${shown(approval.requester)} ${at(approval.requested_at)}</li>` : nothing}
  ${approval?.deciders.map((by) => html`<li>${by.decision === "approve" ? "approved" : "denied"} by
    ${shown(by.subject)} ${at(by.decided_at)}</li>`)}
  <li>started ${at(it.started_at)}</li>
  <li>${end(it)}</li>
</ol>`;

/** @param {string | null | undefined} instant */
const at = (instant) => html`<time datetime=${instant}>${clock(instant)}</time>`;

/** @param {Schemas["RunBody"]} it */
const end = (it) => {
  if (it.status === "running") return "no answer yet";
  if (it.status === "not_sent") return "given back: nothing was sent";
  const after = it.duration_ms === null ? "" : ` after ${it.duration_ms} ms`;
  return it.status === "unknown" ? `no answer${after}` : `answered${after}`;
};

/** @param {Data["replays"]} replays */
const replays = ({ count, last_at }) => html`<p id="replays">${
  count === null
    ? "How often the answer was given again is no longer known."
    : count === 0
      ? "The answer was given to no retry so far."
      : html`Replayed ${count === 1 ? "once" : `${count} times`}, last ${when(last_at)}.`
}</p>`;

/** @param {Schemas["RunBody"]} it @param {App} app */
const result = (it, app) => {
  if (!it.result) return nothing;
  const { response, truncated } = it.result;
  const archived = truncated && !response;
  return html`<h2>Answer of the target${truncated && !archived ? ", first 16 KiB" : ""}</h2>
    ${archived
      ? html`<p id="archived">The answer is no longer kept. Relay keeps it for a day.</p>`
      : response
        ? exact("answer", response, app, "Answer of the target")
        : html`<p>It had no body.</p>`}`;
};

/** @param {Data} data @param {App} app */
const facts = ({ run: it, approval }, app) => html`<h2>What it was</h2>
  <dl>
    <dt>Run</dt><dd><code>${it.run_id}</code> ${copy(it.run_id, "the id of the run")}</dd>
    <dt>Preview</dt><dd><code>${it.preview_id}</code></dd>
    ${approval ? html`<dt>Digest</dt><dd><code>${approval.digest}</code></dd>` : nothing}
    ${it.approval
      ? html`<dt>Approved by</dt><dd>${shown(it.approval.approvers.join(", "))}${may(app, "approvals:read")
          ? html`, <a href="/studio/approvals/${it.preview_id}">the approval</a>`
          : nothing}</dd>`
      : nothing}
    ${it.status === "running"
      ? nothing
      : html`<dt>Receipt</dt><dd><a href="/runs/${it.run_id}/receipt" download="receipt-${it.run_id}.json">Download</a></dd>`}
  </dl>`;

/**
 * Reading the audit is in the audit, so it is read when a person asks for it.
 * @param {Schemas["RunBody"]} it @param {App} app
 */
const audit = (it, app) => html`<details @toggle=${(/** @type {any} */ event) => event.target.open && entries(it, app)}>
  <summary>Audit entries of this run</summary>
  ${app.local.refused ? html`<p role="alert">${shown(app.local.refused)}</p>` : nothing}
  ${app.local.entries
    ? html`<ul class="list">${app.local.entries.map(entry)}</ul>
        ${app.local.entries.length ? nothing : html`<p>None yet. They come within seconds.</p>`}`
    : skeleton}
</details>`;

/** @param {Schemas["AuditEntry"]} it */
const entry = (it) => html`<li><span>${it.seq} ${it.event}</span> <span>${shown(it.principal)}</span>
  ${it.status ? html`<span>${it.status}</span>` : nothing}
  ${it.key_hash ? html`<span>key hash <code>${it.key_hash}</code></span>` : nothing}
  <span>${when(it.at)}</span></li>`;

/** @param {Schemas["RunBody"]} it @param {App} app */
async function entries(it, app) {
  const started = Date.parse(it.started_at);
  const asked = new URLSearchParams({
    since: new Date(started - 1000).toISOString(),
    until: new Date(started + (it.duration_ms ?? 0) + 60_000).toISOString(),
    limit: "200",
  });
  /** @type {Schemas["AuditEntry"][]} */
  const found = [];
  try {
    for (let page = 0; page < PAGES_MAX; page += 1) {
      /** @type {Schemas["AuditBody"]} */
      const { entries: read, next_cursor: next } = await get(`/audit?${asked}`);
      found.push(...read.filter((each) => each.run_id === it.run_id));
      if (!next) break;
      asked.set("cursor", next);
    }
    Object.assign(app.local, { entries: found, refused: "" });
  } catch (/** @type {any} */ refused) {
    app.local.refused = refused.message;
  }
  app.draw();
}

/** @param {Schemas["RunBody"]} it */
const curl = (it) =>
  `curl ${location.origin}/runs/${it.run_id} -H "Authorization: Bearer $RELAY_API_KEY"`;
