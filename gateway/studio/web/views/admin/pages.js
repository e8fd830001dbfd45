// The pages of the administration, and how a secret is shown once.
import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { copy, problem, shown } from "../common.js";

/** @import {App, Screen} from "../../types.js" */

/** @type {[string, string, string, string][]} path, name, scope, what it is for */
const PAGES = [
  ["keys", "Keys", "keys:manage", "who may do what, and until when"],
  ["secrets", "Secrets", "secrets:manage", "what signs the requests that Relay sends"],
  ["limits", "Limits", "keys:manage", "how much this workspace may do, and what is left"],
  ["policy", "Policy", "policy:manage", "which previews need an approval, and whose"],
  ["channels", "Channels", "policy:manage", "where notices of approvals go"],
];

/** @param {App} app */
const allowed = ({ who }) => PAGES.filter(([, , scope]) => who.scopes.some((it) => it === scope));

/** @type {Screen<{}>} */
export const administration = {
  title: () => "Administration",
  load: async () => ({}),
  view: (_data, app) => html`<h1 tabindex="-1">Administration</h1>
    <ul class="list">${allowed(app).map(([path, name, , words]) => html`<li>
      <a href="/studio/admin/${path}">${name}</a> <span>${words}</span></li>`)}</ul>`,
};

/** @param {App} app */
export const tabs = (app) => html`<nav aria-label="Administration"><ul>
  ${allowed(app).map(([path, name]) => html`<li><a href="/studio/admin/${path}"
    aria-current=${location.pathname.endsWith(path) ? "page" : nothing}>${name}</a></li>`)}
</ul></nav>`;

/** What stands first on each page. @param {string} title @param {App} app */
export const top = (title, app) => html`<h1 tabindex="-1">${title}</h1>
  ${tabs(app)} ${app.refusal ? problem(app.refusal) : nothing}`;

/**
 * A new secret, until the person has kept it: then it is in no part of the page.
 * @param {App} app
 * @param {string} name what it is, such as "key"
 */
export const once = (app, name) =>
  app.local.secret
    ? html`<div class="problem" role="alert">
        <p>This ${name} is shown once. Keep it now.</p>
        <p><code id="secret">${app.local.secret}</code> ${copy(app.local.secret, `the ${name}`)}</p>
        <p><button type="button" @click=${() => { app.local.secret = ""; app.draw(); }}>I have kept it</button></p>
      </div>`
    : nothing;

/**
 * A form that does something only where the name was typed. `verb`: such as "Delete".
 * @param {string} verb @param {{id: string, name: string}} it @param {App} app
 * @param {() => Promise<string>} change @param {unknown} [note]
 */
export const byName = (verb, it, app, change, note = nothing) => html`<form @submit=${(/** @type {any} */ event) => {
    event.preventDefault();
    const [field] = event.target.elements;
    if (field.value === it.name) return app.act(change);
    app.announce(`Nothing is ${verb.toLowerCase()}d: type ${it.name}.`);
    field.focus();
  }}>
  <label for="${verb}-${it.id}">${note}Type ${shown(it.name)} to ${verb.toLowerCase()} it</label>
  <input id="${verb}-${it.id}" autocomplete="off" />
  <button ?disabled=${app.busy}>${verb} ${shown(it.name)}</button>
</form>`;
