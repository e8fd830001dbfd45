// One approval: the exact bytes, whose digest is computed here, and the decision.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { get, now, span } from "../api.js";
import { after, next } from "./after.js";
import { host, progress } from "./approvals.js";
import { shown, when } from "./common.js";
import { choose, decision } from "./decision.js";
import { inbox } from "./inbox.js";
import { refusal } from "./refusals.js";
import { request, seen, sentAs, textOfWire } from "./request.js";

/** @import {Schemas, Screen} from "../types.js" */

// Spoken once each.
const SPOKEN_SECONDS = [300, 60];

/** @type {Screen<Schemas["ApprovalBody"]>} */
export const approval = {
  title: (data) => (data ? heading(data) : "Approval"),
  load: async (id, app) => {
    const data = await get(`/approvals/${encodeURIComponent(id)}`);
    if (sent(data) !== sent(app.data)) app.local.checked = null;
    return data;
  },
  live: true,
  ticks: true,
  beside: inbox,
  keys: {
    a: (data, app) => choose("approve", data, app),
    d: (data, app) => choose("deny", data, app),
  },
  view: (data, app) => html`
    <h1 tabindex="-1">${target(data)}</h1>
    ${facts(data)}
    ${data.deciders.map(decider)}
    ${data.warnings.map((it) => html`<p class="warning">! ${shown(it)}</p>`)}
    ${data.wire ? request(data, app) : html`<p>The bytes are no longer kept; the digest was <code>${data.digest}</code>.</p>`}
    ${refusal(data, app)}
    ${data.state === "pending" ? decision(data, app) : after(data, app)}
    ${next(data, app)}
  `,
  /** The digest is computed when the rows are in the document, and again when they change. */
  shown: async (data, app) => {
    const { local } = app;
    if (!data.wire || local.checked || local.checking) return;
    local.checking = true;
    const found = await seen(data);
    local.checking = false;
    if (app.data === data) local.checked = found?.digest;
    if (found) app.draw();
  },
  /** At its end an approval is loaded anew. */
  tick: (data, app) => {
    if (data.state !== "pending") return;
    const left = Math.ceil((Date.parse(data.decide_by) - now()) / 1000);
    const before = app.local.left ?? left;
    app.local.left = left;
    const passed = (/** @type {any} */ it) => before > it && left <= it;
    if (passed(0)) app.load();
    const spoken = SPOKEN_SECONDS.find(passed);
    if (spoken) app.announce(`${span(spoken)} left to decide.`);
  },
};

/** @param {Schemas["ApprovalBody"] | null} data */
const sent = (data) => (data?.wire ? textOfWire(data.wire) : "");
/** @param {{url: string | null, method: string | null, action: string}} data */
const place = (data) => (URL.canParse(data.url ?? "") ? new URL(data.url ?? "").host : "");
/** @param {{url: string | null, method: string | null, action: string}} data */
const heading = (data) =>
  place(data) ? `${data.method} to ${place(data)}` : `Approval of ${data.action}`;
/** @param {Schemas["ApprovalBody"]} data */
const target = (data) =>
  place(data) ? html`${data.method} to ${host(place(data))}` : heading(data);

/** @param {Schemas["ApprovalBody"]} data */
const facts = (data) => {
  const { given, needed } = progress(data);
  return html`
    ${data.summary ? html`<p>${shown(data.summary)}</p>` : nothing}
    ${sentAs(data.account, data.connection)}
    <p>${data.action}, asked by ${shown(data.requester)}
      (key <code>${shown(data.requester_key)}</code>${data.requester_role ? `, ${data.requester_role}` : nothing}) ${when(data.requested_at)}. ${given} of ${needed}
      approved. Rule: ${shown(data.rules.map((it) => it.rule).join(", "))}</p>`;
};

/** @param {any} it */
const decider = (it) => html`<p>
  ${it.decision === "approve" ? "Approved" : "Denied"} by ${shown(it.subject)},
  ${when(it.decided_at)}${it.reason ? html`: ${shown(it.reason)}` : nothing}
</p>`;
