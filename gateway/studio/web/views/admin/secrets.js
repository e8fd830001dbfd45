// Signing secrets: which one signs until when. A new one is shown once.
import { html } from "../../vendor/lit-html/lit-html.js";
import { get, now, post } from "../../api.js";
import { shown, when } from "../common.js";
import { once, top } from "./pages.js";

/** @import {App, Schemas, Screen} from "../../types.js" */

/** @type {Screen<Schemas["SecretsBody"]>} */
export const secrets = {
  title: () => "Secrets",
  load: () => get("/secrets"),
  view: (data, app) => html`
    ${top("Secrets", app)}
    <p>Relay signs what it sends with these, so that receivers know that it comes from here.</p>
    ${once(app, "secret")}
    <p>A new secret signs at once. The older ones sign for 24 more hours, so that receivers can change.</p>
    <button type="button" ?disabled=${app.busy} @click=${() => create(app)}>Make a secret</button>
    <h2>Existing secrets</h2>
    ${data.secrets.length
      ? html`<ul class="list">${data.secrets.map(row)}</ul>`
      : html`<p>This workspace has no secret of its own yet.</p>`}
  `,
};

/** @param {Schemas["Secret"]} it */
const row = (it) => html`<li>
  <code>${it.id}</code>
  <span>made ${when(it.created_at)} by ${shown(it.created_by)}</span>
  ${it.retires_at === null
    ? html`<strong>signs until a newer one is made</strong>`
    : Date.parse(it.retires_at) > now()
      ? html`<span class="soon">signs beside the newer one: ${when(it.retires_at)}</span>`
      : html`<span>signed until ${when(it.retires_at)}</span>`}
</li>`;

/** @param {App} app */
const create = (app) =>
  app.act(async () => {
    const made = await post("/secrets", {});
    app.local.secret = made.secret;
    return "The secret was made.";
  });
