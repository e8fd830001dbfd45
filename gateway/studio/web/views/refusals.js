// What a refusal means for an approval that is looked at: one sentence for each code.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { sentence } from "./after.js";
import { approvers, endedBy } from "./approvals.js";
import { problem } from "./common.js";
import { difference } from "./difference.js";

/** @import {App, Schemas} from "../types.js" */

/** @type {Record<string, (data: any) => string>} */
const SENTENCES = {
  preview_not_found: () => "Nothing is left to decide: it ended over a day ago.",
  own_request: (data) => `You asked for this, or made the key that did. Ask ${approvers(data)}.`,
  forbidden: (data) => `Your decision does not count here. Ask ${approvers(data)}.`,
  digest_mismatch: () =>
    "These are not the bytes that are stored. They were loaded anew: look at them again.",
  approval_ended: (data) => `Your decision came too late: ${endedBy(data)}.`,
  approval_pending: (data) => `Not sent: it still waits. Ask ${approvers(data)}.`,
  approval_denied: (data) => sentence(data),
  approval_expired: () => "Not sent: its time is over. The requester can make a new preview.",
  approval_outdated: () =>
    "Not sent: the policy has become stricter, or an approver has lost the right to decide. " +
    "The requester can make a new preview.",
  preview_already_executed: () => "It was executed already, and is not sent twice.",
  receipt_not_ready: () => "The receipt is made from the audit, which is a second or two behind.",
  target_unreachable: () => "Not sent: the target could not be reached. The approval still holds.",
  target_suspended: () => "Not sent: the target is suspended after failures. The approval holds.",
  cross_site: () => "The browser did not say that this page asked. Load the page again.",
};
const AGAIN = new Set(["rate_limited", "store_unavailable", "receipt_not_ready"]);

/**
 * The refusal of the last change of an approval.
 * @param {Schemas["ApprovalBody"]} data @param {App} app
 */
export const refusal = (data, app) => {
  /** @type {any} */
  const error = app.refusal;
  if (!error) return nothing;
  return html`${problem(error, { words: SENTENCES[error.code]?.(data) ?? "" })}
    ${AGAIN.has(error.code) ? html`<p>Nothing has changed. You can do it again.</p>` : nothing}
    ${error.body?.run_id
      ? html`<p><a href="/studio/runs/${error.body.run_id}">The run</a></p>`
      : nothing}
    ${error.was && data.wire
      ? html`<h2>What this page showed, and what is stored</h2>
          ${difference(error.was, data.wire.head + (data.wire.body ?? ""), app)}`
      : nothing}`;
};
