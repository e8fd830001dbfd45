// What the policies ask of a preview with these facts. Nothing is kept.
import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { post, span } from "../../api.js";
import { shown } from "../common.js";

/** @import {App, Schemas} from "../../types.js" */

/** @param {string} tried a text instead of the policy in force, or empty @param {App} app */
export const explanation = (tried, app) => html`<h2>Explain</h2>
  <p>What ${tried ? "the text above" : "the policy in force"} asks of a preview, beside the operator's policy.</p>
  <form class="filters" @submit=${(/** @type {SubmitEvent} */ event) => explain(event, tried, app)}>
    ${field("action", "Action", "webhook.save")}
    ${field("method", "Method", "POST")}
    ${field("url", "URL", "https://api.example.com/")}
    ${field("role", "Role of the requester", "operator")}
    ${field("requester", "Requester (subject)", "requester")}
    <p><label for="fact-kind">Kind of key</label>
      <select id="fact-kind" name="kind"><option>live</option><option>test</option></select></p>
    <p><label for="fact-body_bytes">Bytes of the body</label>
      <input id="fact-body_bytes" name="body_bytes" type="number" min="0" value="0" required /></p>
    <p><label><input type="checkbox" name="warned" /> The preview has warnings</label></p>
    <p><button ?disabled=${app.busy}>Explain</button></p>
  </form>
  ${app.local.explained ? answer(app.local.explained) : nothing}`;

/** @param {string} name @param {string} label @param {string} value */
const field = (name, label, value) => html`<p><label for="fact-${name}">${label}</label>
  <input id="fact-${name}" name=${name} value=${value} required autocomplete="off" /></p>`;

/** @param {SubmitEvent} event @param {string} tried @param {App} app */
function explain(event, tried, app) {
  event.preventDefault();
  const given = Object.fromEntries(new FormData(/** @type {HTMLFormElement} */ (event.target)));
  const facts = { ...given, body_bytes: Number(given.body_bytes), warned: "warned" in given };
  app.act(async () => {
    app.local.explained = null;
    app.local.refused = tried;
    app.local.explained = await post("/policy/explain", tried ? { facts, text: tried } : { facts });
    return "Explained below the form.";
  });
}

/** @param {Schemas["ExplainBody"]} it */
const answer = (it) => html`<div id="explained" class="card">
  ${it.denied_by.length
    ? html`<p><strong>Denied</strong> by ${shown(it.denied_by.join(", "))}.</p>`
    : it.needs.length
      ? html`<p><strong>Needs approval</strong> within ${span(it.decide_within)}; then ${span(it.use_within)} to execute.</p>
          <ul>${it.needs.map(need)}</ul>`
      : html`<p><strong>Needs no approval.</strong></p>`}
  ${layer("The workspace", it.workspace)} ${layer("The operator", it.operator)}
</div>`;

/** @param {Schemas["RuleNeed"]} it */
const need = (it) => html`<li>${shown(it.rule)}: ${it.approvals} from
  ${it.approvers?.length ? shown(it.approvers.join(", ")) : "every key that may decide"}</li>`;

/** @param {string} whose @param {Schemas["LayerBody"] | null} it */
const layer = (whose, it) => html`<p>${whose}: ${!it
  ? "no policy"
  : it.rules.length ? html`rules ${shown(it.rules.join(", "))}` : "no rule matches, so its default decides"}.</p>`;
