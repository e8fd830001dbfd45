// Approve or deny. Approve sends the digest of what is in the document at that moment.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { now, post } from "../api.js";
import { sent, withdraw } from "./after.js";
import { barred, decided, progress } from "./approvals.js";
import { shown, when } from "./common.js";
import { seen } from "./request.js";

/** @import {App, Schemas} from "../types.js" */

/** @param {string} id */
const field = (id) => /** @type {HTMLInputElement} */ (document.getElementById(id));
/**
 * Whether this decision needs a reason.
 * @param {Schemas["ApprovalBody"]} data @param {string} verdict
 */
const needed = (data, verdict) =>
  data.rules.some((it) => it.reason === "always" || (it.reason === "deny" && verdict === "deny"));

/**
 * The host to type where the target deserves a second look: {words, host}, or null.
 * @param {Schemas["ApprovalBody"]} data
 */
export const toType = (data) => {
  const words = doubts(data.url ?? "");
  return words ? { words, host: URL.parse(data.url ?? "")?.hostname ?? data.url ?? "" } : null;
};

/**
 * Why Approve is off, in a sentence; empty where it is on.
 * @param {Schemas["ApprovalBody"]} data @param {App} app
 */
function off(data, app) {
  if (app.local.tab && app.local.tab !== "exact") return 'Approve works under "As it is".';
  if (app.local.checked !== data.digest) return "Approve waits until the digest is that of what is shown.";
  const asked = toType(data);
  return asked && app.local.host !== asked.host ? `Approve waits until you have typed ${asked.host}.` : "";
}

/** @param {Schemas["ApprovalBody"]} data @param {App} app */
export const decision = (data, app) => {
  const why = barred(data, app.who);
  if (why) return html`<p>${why}</p> ${withdraw(data, app, "Cancel this request")}`;
  if (Date.parse(data.decide_by) <= now()) return html`<p>The time to decide is over.</p>`;
  const mine = decided(data, app.who);
  const missing = off(data, app);
  const asked = toType(data);
  return html`<form id="decision" @submit=${(/** @type {any} */ event) => event.preventDefault()}
      @keydown=${(/** @type {any} */ event) => hurried(event, data, app)}>
    <h2>Your decision</h2>
    <p>${when(data.decide_by)} to decide</p>
    ${mine ? html`<p>You approved it ${when(mine.decided_at)}.</p>` : asked ? hostField(asked, app) : nothing}
    <label for="reason">Reason${hint(data)}</label>
    <textarea id="reason" maxlength="500" rows="2" aria-invalid=${app.local.unreasoned ? "true" : "false"}
      aria-describedby="reason-missing"></textarea>
    <p id="reason-missing" class="warning" ?hidden=${!app.local.unreasoned}>The policy asks for a reason.</p>
    <p class="buttons">
      ${mine ? nothing : approving(data, app, missing)}
      <button type="button" id="deny" ?disabled=${app.busy} class=${app.local.mode === "deny" ? "chosen" : ""}
        @click=${() => decide("deny", data, app)}>Deny</button>
    </p>
    ${mine || !missing ? nothing : html`<p id="off" class="quiet">${missing}</p>`}
  </form>`;
};

/** @param {Schemas["ApprovalBody"]} data */
const hint = (data) => {
  if (needed(data, "approve")) return " (needed)";
  return needed(data, "deny") ? " (needed to deny)" : "";
};

/** @param {{words: string, host: string}} asked @param {App} app */
const hostField = ({ words, host }, app) => html`<p>
  <label for="host">${words} Type the host to approve: ${shown(host)}</label>
  <input id="host" autocomplete="off" spellcheck="false" .value=${app.local.host ?? ""}
    @input=${(/** @type {any} */ event) => { app.local.host = event.target.value.trim(); app.draw(); }} />
</p>`;

/** @param {Schemas["ApprovalBody"]} data @param {App} app @param {string} missing */
const approving = (data, app, missing) => html`
  <button type="button" id="approve" ?disabled=${app.busy || missing} class=${app.local.mode === "approve" ? "chosen" : ""}
    @click=${() => decide("approve", data, app)}>Approve</button>
  ${app.who.scopes.includes("actions:execute") && progress(data).left === 1
    ? html`<button type="button" id="approve-and-send" ?disabled=${app.busy || missing}
        @click=${() => decide("approve", data, app, true)}>Approve and send</button>`
    : nothing}`;

/** @param {string} verdict @param {Schemas["ApprovalBody"]} data @param {App} app */
function decide(verdict, data, app, send = false) {
  const reason = field("reason").value;
  app.local.unreasoned = needed(data, verdict) && !reason;
  if (app.local.unreasoned) {
    app.draw();
    field("reason").focus();
    return;
  }
  return app.act(async () => {
    const shownNow = verdict === "approve" ? await seen(data) : null;
    const asked = { decision: verdict, digest: shownNow?.digest ?? data.digest, reason };
    try {
      if (verdict === "approve" && !shownNow) throw new Error("The bytes are not shown.");
      const { state } = await post(`/approvals/${data.preview_id}/decision`, asked);
      if (send && state === "approved") return await sent(data, app);
      return verdict === "approve" ? "Approved." : "Denied.";
    } catch (/** @type {any} */ error) {
      if (error.code === "digest_mismatch") {
        error.was = shownNow?.text;
        Object.assign(app.local, { checked: null, exact: null });
      }
      throw error;
    }
  });
}

/**
 * Ctrl+Enter does what `a` or `d` chose.
 * @param {any} event @param {Schemas["ApprovalBody"]} data @param {App} app
 */
function hurried(event, data, app) {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !app.local.mode) return;
  event.preventDefault();
  const button = field(app.local.mode);
  if (button && !button.disabled) decide(app.local.mode, data, app);
}

/**
 * Choose Approve or Deny and go to it, or to what it waits for. Nothing is decided.
 * @param {string} mode @param {Schemas["ApprovalBody"]} data @param {App} app
 */
export function choose(mode, data, app) {
  app.local.mode = mode;
  if (mode === "approve") app.local.tab = "exact";
  app.draw();
  const target = [field(mode), field("host"), field("reason")].find((it) => it && !it.disabled);
  target?.focus();
}

// Names that are never public (gateway/egress/guard.py), and private addresses.
const PRIVATE =
  /^(?:localhost|\[.*\]|10\..*|127\..*|192\.168\..*|169\.254\..*|172\.(?:1[6-9]|2\d|3[01])\..*|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\..*)$/;
const RESERVED =
  /\.(?:alt|arpa|cluster|corp|example|home|internal|intranet|invalid|lan|local|localdomain|localhost|onion|private|svc|test)$/;

/**
 * Why a target deserves a second look, in a sentence; empty if it does not.
 * @param {string} url
 */
export function doubts(url) {
  if (!URL.canParse(url)) return "The address cannot be read.";
  const { protocol, hostname } = new URL(url);
  if (protocol !== "https:") return "The request is not encrypted.";
  const inside = PRIVATE.test(hostname) || RESERVED.test(hostname) || !/[.:]/.test(hostname);
  return inside ? "The host is in a private network." : "";
}
