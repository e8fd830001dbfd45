// A preview that may be executed. The address keeps its Idempotency-Key: a reload sends nothing twice.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { get, send } from "../api.js";
import { problem, shown, when } from "./common.js";
import { request, seen, sentAs } from "./request.js";
import { countdown, secondsLeft } from "./waiting.js";

/** @import {App, Schemas, Screen} from "../types.js" */
/** @typedef {Schemas["PreviewBody"] & {run_id?: undefined}} Preview */
/** @typedef {{run_id: string}} Executed */

const VALID = /^[\x21-\x7e]{1,255}$/;
const NOT_SENT = new Set(["rate_limited", "target_unreachable", "target_suspended", "target_forbidden"]);

/** 128 random bits. */
export const newKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((it) => it.toString(16).padStart(2, "0")).join("");

/** The key of the address; made where it has none. */
function keyOf() {
  const query = new URLSearchParams(location.search);
  const found = query.get("key") ?? "";
  if (VALID.test(found)) return found;
  query.set("key", newKey());
  history.replaceState(history.state, "", `${location.pathname}?${query}`);
  return query.get("key") ?? "";
}

/** @type {Screen<Preview | Executed>} */
export const preview = {
  title: (data) => (!data ? "Preview" : data.run_id === undefined ? data.summary : "Executed"),
  load: async (id, app) => {
    try {
      return await get(`/previews/${encodeURIComponent(id)}`);
    } catch (/** @type {any} */ error) {
      if (error.body?.run_id) return { run_id: error.body.run_id };
      if (error.body?.approval) app.go(`/studio/approvals/${encodeURIComponent(id)}`);
      throw error;
    }
  },
  ticks: true,
  view: (data, app) => (data.run_id === undefined ? ready(data, app) : executed(data)),
  shown: async (data, app) => {
    if (data.run_id !== undefined || app.local.checked || app.local.checking) return;
    app.local.checking = true;
    app.local.checked = (await seen({ ...data.effect, previous: null }))?.digest;
    app.local.checking = false;
    if (!app.local.checked) return;
    app.draw();
  },
};

/** @param {Executed} data */
const executed = (data) => html`<h1 tabindex="-1">Executed</h1>
  <p>This preview was executed, and is not sent again. <a href="/studio/runs/${data.run_id}">The run</a></p>`;

/** @param {Preview} data @param {App} app */
function ready(data, app) {
  const key = keyOf();
  const left = secondsLeft(app);
  return html`
    <h1 tabindex="-1">${shown(data.summary)}</h1>
    ${sentAs(data.effect.credential?.account, data.effect.credential?.connection)}
    ${data.warnings.map((it) => html`<p class="warning">${shown(it)}</p>`)}
    ${request({ ...data.effect, previous: null }, app)}
    ${app.refusal ? html`${problem(app.refusal)}${afterRefusal(app)}` : nothing}
    <p>${when(data.expires_at)} to execute it. It is sent once, however often you ask.</p>
    <p>Idempotency-Key <code id="key">${key}</code></p>
    ${countdown(left)}
    ${app.who?.scopes.includes("actions:execute")
      ? html`<button type="button" id="execute" ?disabled=${app.busy || left > 0}
          @click=${() => app.act(() => execute(data, key, app))}>Execute</button>`
      : html`<p>Your key may not execute.</p>`}
  `;
}

/** @param {App} app */
function afterRefusal({ refusal }) {
  const code = refusal?.body.code ?? "";
  if (NOT_SENT.has(code))
    return html`<p id="not-sent"><strong>Not sent.</strong> Execute uses the same key again.</p>`;
  return refusal?.body.safe_to_retry || code === "offline"
    ? html`<p>Execute asks again with the same key: what was sent is not sent twice.</p>`
    : nothing;
}

/** @param {Preview} data @param {string} key @param {App} app */
async function execute(data, key, app) {
  const text = JSON.stringify({ preview_id: data.preview_id });
  /** @type {Schemas["RunBody"]} */
  const run = await send("POST", "/actions/execute", text, { "Idempotency-Key": key });
  app.go(`/studio/runs/${run.run_id}`);
  return "Executed.";
}
