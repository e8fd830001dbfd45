// What follows a decision: the ending in words, the receipt, sending, withdrawing, the next one.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { clock, get, post, remove } from "../api.js";
import { by, decidable, isOwn } from "./approvals.js";
import { plain, when } from "./common.js";

/** @import {App, Schemas} from "../types.js" */

/** @param {App} app @param {Schemas["SessionBody"]["scopes"][number]} scope */
const may = (app, scope) => app.who.scopes.includes(scope);

/** @param {Schemas["ApprovalBody"]} data @param {App} app */
export const after = (data, app) => html`
  <p id="state"><strong>${sentence(data)}</strong></p>
  ${told(data) ? html`<p>${told(data)}</p>` : nothing}
  ${data.state === "approved" ? html`<p>${when(data.use_by)} to send it</p>` : nothing}
  <p class="buttons">
    ${data.state === "approved" && may(app, "actions:execute")
      ? html`<button type="button" id="send" ?disabled=${app.busy}
          @click=${() => app.act(() => sent(data, app))}>Send</button>`
      : nothing}
    <button type="button" id="receipt" ?disabled=${app.busy} @click=${() => app.act(() => download(data))}>
      Download the receipt</button>
    ${data.state === "approved" ? withdraw(data, app, "Withdraw") : nothing}
  </p>
  ${data.run_id ? html`<p><a href="/studio/runs/${data.run_id}">The run</a></p>` : nothing}`;

/**
 * The preview's id is the idempotency key, so that it is sent once however often one clicks.
 * @param {Schemas["ApprovalBody"]} data @param {App} app
 */
export async function sent(data, app) {
  const run = await post("/actions/execute", { preview_id: data.preview_id });
  app.go(`/studio/runs/${run.run_id}`);
  return "Sent.";
}

/**
 * A button for those who may give this up.
 * @param {Schemas["ApprovalBody"]} data @param {App} app @param {string} words
 */
export const withdraw = (data, app, words) =>
  isOwn(data, app.who) || may(app, "approvals:decide")
    ? html`<button type="button" id="withdraw" ?disabled=${app.busy} @click=${() => app.act(async () => {
        const { state } = await remove(`/approvals/${data.preview_id}`);
        return state === "cancelled" ? "Cancelled." : "Withdrawn.";
      })}>${words}</button>`
    : nothing;

/** @param {Schemas["ApprovalBody"]} data */
async function download(data) {
  const receipt = await get(`/approvals/${data.preview_id}/receipt`);
  const address = URL.createObjectURL(new Blob([JSON.stringify(receipt)], { type: "application/json" }));
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: `receipt-${data.preview_id}.json` });
  link.click();
  URL.revokeObjectURL(address);
  return "The receipt was downloaded.";
}

/**
 * The way to the next one that waits for this person.
 * @param {Schemas["ApprovalBody"]} data @param {App} app
 */
export const next = (data, app) => {
  const others = decidable(app).filter((it) => it.preview_id !== data.preview_id);
  return others.length
    ? html`<p><a id="next" href="/studio/approvals/${others[0].preview_id}">Next: ${others.length} more</a></p>`
    : nothing;
};

/** @param {Pick<Schemas["ApprovalBody"], "state" | "deciders" | "requester" | "use_by">} data */
const names = (data) =>
  data.deciders
    .filter((it) => it.decision === "approve")
    .map((it) => plain(it.subject))
    .join(" and ");

/** @type {Record<string, (data: any) => string>} */
const SENTENCES = {
  approved: (data) =>
    `Approved by ${names(data)}. ${plain(data.requester)} may send it until ${clock(data.use_by)}.`,
  denied: (data) => `Denied${by(data, "deny")}. Nothing was sent.`,
  expired: () => "Nobody decided in time. Nothing was sent.",
  unused: () => "It was approved and not sent in time. Nothing was sent.",
  cancelled: () => "The requester cancelled it. Nothing was sent.",
  withdrawn: () => "The approval was withdrawn before it was used. Nothing was sent.",
  outdated: () => "The approval no longer meets the policy. Nothing was sent.",
  executed: (data) => `Approved by ${names(data)}, and executed.`,
};

/** @type {Record<string, string>} */
const TOLD = {
  denied: "approval_denied, with the reason and by whom",
  cancelled: "approval_denied: it was cancelled",
  withdrawn: "approval_denied: it was withdrawn",
  expired: "approval_expired: make a new preview",
  unused: "approval_expired: make a new preview",
  outdated: "approval_outdated, with what is missing",
};

/** @param {Pick<Schemas["ApprovalBody"], "state" | "deciders" | "requester" | "use_by">} data */
export const sentence = (data) => SENTENCES[data.state]?.(data) ?? data.state;

/**
 * What the requester's program gets for it; empty where it may execute or has executed it.
 * @param {Pick<Schemas["ApprovalBody"], "state" | "deciders" | "requester" | "use_by">} data
 */
export const told = (data) =>
  TOLD[data.state] ? `The program of ${plain(data.requester)} gets ${TOLD[data.state]}.` : "";
