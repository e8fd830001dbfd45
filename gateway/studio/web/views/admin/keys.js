// API keys: who has which role until when. A new key is shown once.
import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { get, now, post, remove } from "../../api.js";
import { shown, when } from "../common.js";
import { byName, once, top } from "./pages.js";
import { ROLES } from "./roles.js";

/** @import {App, Schemas, Screen} from "../../types.js" */
/** @typedef {Schemas["Key"]} Key */

const SOON_MS = 14 * 86_400_000;

/** @type {Screen<Schemas["KeysBody"]>} */
export const keys = {
  title: () => "Keys",
  load: () => get("/keys"),
  view: (data, app) => html`
    ${top("Keys", app)}
    ${once(app, "key")}
    ${form(app)}
    <h2>Existing keys</h2>
    <ul class="list">${data.keys.map((it) => row(it, app))}</ul>
  `,
};

/** @param {App} app */
function form(app) {
  const role = app.local.role ?? "viewer";
  return html`<form @submit=${(/** @type {SubmitEvent} */ event) => create(event, app)}>
    <h2>Make a key</h2>
    <p><label for="name">Name</label><input id="name" name="name" required maxlength="100" autocomplete="off" /></p>
    <p><label for="subject">Person or program (subject)</label>
      <input id="subject" name="subject" autocomplete="off" pattern="[A-Za-z0-9._@+\\-]{1,64}" aria-describedby="subject-help" />
      <span class="quiet" id="subject-help">Without one, the key stands for itself. A subject cannot approve what it asked for.</span></p>
    <p><label for="role">Role</label>
      <select id="role" name="role" @change=${(/** @type {any} */ event) => choose(event.target, app)}>
        ${Object.entries(ROLES).map(([it, { words }]) => html`<option value=${it} ?selected=${it === role}>${it}: ${words}</option>`)}
      </select></p>
    <details>
      <summary>Fewer scopes</summary>
      <fieldset>
        <legend>What the key may do</legend>
        ${ROLES[role].scopes.map((it) => html`<label>
          <input type="checkbox" name="scopes" value=${it} checked /> ${it}</label>`)}
      </fieldset>
    </details>
    <p><label for="kind">Kind</label>
      <select id="kind" name="kind"><option value="live">live</option><option value="test">test</option></select></p>
    <p><label for="days">Ends after days</label>
      <input id="days" name="days" type="number" min="1" max="365" value="90" required /></p>
    <button ?disabled=${app.busy}>Make the key</button>
  </form>`;
}

/**
 * Another role has all its scopes, whatever was taken from the one before.
 * @param {HTMLSelectElement} field @param {App} app
 */
function choose(field, app) {
  if (field.value === app.local.role) return;
  app.local.role = field.value;
  app.draw();
  /** @type {NodeListOf<HTMLInputElement> | undefined} */
  const scopes = field.form?.querySelectorAll("[name=scopes]");
  scopes?.forEach((it) => { it.checked = true; });
}

/** @param {SubmitEvent} event @param {App} app */
function create(event, app) {
  event.preventDefault();
  const target = /** @type {HTMLFormElement} */ (event.target);
  const given = new FormData(target);
  const [role, subject, scopes] = [String(given.get("role")), given.get("subject"), given.getAll("scopes")];
  app.act(async () => {
    const made = await post("/keys", {
      name: given.get("name"),
      role,
      kind: given.get("kind"),
      expires_in_days: Number(given.get("days")),
      ...(subject ? { subject } : {}),
      ...(scopes.length < ROLES[role].scopes.length ? { scopes } : {}),
    });
    app.local.secret = made.secret;
    target.reset();
    app.local.role = "viewer";
    return "The key was made.";
  });
}

/** @param {Key} it @param {App} app */
const row = (it, app) => html`<li data-key=${it.id}>
  <span><strong>${shown(it.name)}</strong> <code>${it.id}</code></span>
  <span>${it.role}${it.scopes ? html` (${it.scopes.join(", ")})` : nothing}, ${it.kind}, for ${shown(it.subject)}</span>
  <span>${it.last_used_at ? html`used ${when(it.last_used_at)}` : "never used"}</span>
  ${end(it)}
  ${it.revoked_at || Date.parse(it.expires_at) <= now() ? nothing : changes(it, app)}
</li>`;

/** @param {Key} it */
function end(it) {
  if (it.revoked_at) return html`<span>revoked ${when(it.revoked_at)} by ${shown(it.revoked_by)}</span>`;
  const left = Date.parse(it.expires_at) - now();
  const next = it.replaced_by ? html`, replaced by <code>${it.replaced_by}</code>` : nothing;
  if (left <= 0) return html`<span>ended ${when(it.expires_at)}${next}</span>`;
  return left < SOON_MS
    ? html`<span class="soon">ends soon: ${when(it.expires_at)}${next}</span>`
    : html`<span>${when(it.expires_at)}${next}</span>`;
}

/** @param {Key} it @param {App} app */
const changes = (it, app) => html`
  ${it.replaced_by ? nothing : html`<form @submit=${(/** @type {SubmitEvent} */ event) => rotate(event, it, app)}>
    <label for="overlap-${it.id}">Hours in which the old key still works</label>
    <input id="overlap-${it.id}" name="overlap" type="number" min="0" max="8760" value="24" required />
    <button ?disabled=${app.busy}>Rotate ${shown(it.name)}</button>
  </form>`}
  ${byName("Revoke", it, app, async () => {
    await remove(`/keys/${it.id}`);
    return "The key was revoked.";
  }, it.id === app.who.key ? html`<strong>You are signed in with this key.</strong> ` : nothing)}`;

/** @param {SubmitEvent} event @param {Key} it @param {App} app */
function rotate(event, it, app) {
  event.preventDefault();
  const hours = Number(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("overlap"));
  app.act(async () => {
    const made = await post(`/keys/${it.id}/rotate`, { overlap_hours: hours });
    app.local.secret = made.secret;
    return hours ? `The old key still works for ${hours} hours.` : "The old key has ended.";
  });
}
