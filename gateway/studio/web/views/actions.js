// The actions, and a form for one of them.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { Problem, get, send } from "../api.js";
import { fields, isJson, memberOf, written } from "../schema.js";
import { problem, shown } from "./common.js";
import { field, summary, valueOf } from "./form.js";
import { newKey } from "./preview.js";
import { countdown, secondsLeft } from "./waiting.js";

/** @import {App, Schemas, Screen} from "../types.js" */
/** @import {Wrong} from "./form.js" */
/** @typedef {Schemas["ActionBody"]} Action */

/** @type {Screen<Schemas["ActionsBody"]>} */
export const actions = {
  title: () => "Actions",
  load: () => get("/actions"),
  view: (data) => html`
    <h1 tabindex="-1">Actions</h1>
    <p>A form previews an action. Nothing is sent before you execute the preview.</p>
    <ul class="list">
      ${data.actions.filter((it) => it.enabled).map(row)}
      ${data.actions.filter((it) => !it.enabled).map(row)}
    </ul>
  `,
};

/** @param {Action} it */
const row = (it) => html`<li class=${it.enabled ? nothing : "quiet"}>
  <a href="/studio/actions/${it.name}">${it.title}</a><span>${it.name}</span>
  ${it.enabled ? nothing : missing(it)}
</li>`;

/** @param {Action} it */
const missing = ({ provider }) => html`<p>
  <strong>${provider[0].toUpperCase()}${provider.slice(1)} is not configured here.</strong>
  The operator of this gateway sets it up: <a href="/studio/connections">Connections</a>
</p>`;

/** @type {Screen<Action>} */
export const action = {
  title: (data) => data?.title ?? "Action",
  load: async (name) => {
    /** @type {Schemas["ActionsBody"]} */
    const { actions: all } = await get("/actions");
    const found = all.find((it) => it.name === name);
    if (!found) throw new Problem(404, { title: "No such action", detail: `This gateway has no action ${name}.` });
    return found;
  },
  view: (data, app) => {
    const all = fields(data.params);
    const wrong = wrongOf(app);
    const left = secondsLeft(app);
    return html`
      <h1 tabindex="-1">${data.title}</h1>
      ${data.enabled ? nothing : missing(data)}
      ${wrong.length
        ? summary(wrong, app.refusal?.body.title ?? "Something is missing or wrong", app.local.raw ? [] : all.map((it) => it.name))
        : app.refusal ? problem(app.refusal) : nothing}
      <form novalidate @submit=${(/** @type {Event} */ event) => submit(event, data, app)}>
        <fieldset ?disabled=${!data.enabled}>
          <legend>${data.name}</legend>
          <p><label class="switch"><input type="checkbox" .checked=${Boolean(app.local.raw)}
            @change=${() => toggle(data, app)} /> Raw JSON</label></p>
          <div ?hidden=${app.local.raw}>
            ${all.map((it) => field(it, wrong.filter(({ name }) => name === it.name), app))}
          </div>
          ${app.local.raw ? rawField(app.local.text, wrong) : nothing}
          ${countdown(left)}
          <button ?disabled=${app.busy || left > 0}>Preview</button>
        </fieldset>
      </form>
    `;
  },
  ticks: true,
  shown: (_data, app) => {
    const now = app.local.errors ?? app.refusal;
    if (now && now !== app.local.focused) document.getElementById("summary")?.focus();
    app.local.focused = now;
  },
};

/** @param {string} text @param {Wrong[]} wrong */
const rawField = (text, wrong) => html`<div class="field">
  <label for="raw">params</label>
  <p class="quiet" id="raw-help">This text is sent as it is. The form keeps what was typed there.</p>
  <textarea id="raw" rows="12" spellcheck="false" .defaultValue=${text} aria-invalid=${wrong.length ? "true" : nothing}
    aria-describedby=${wrong.length ? "raw-help summary" : "raw-help"}></textarea>
</div>`;

/** @param {App} app @returns {Wrong[]} what the page has found, else what Relay has */
function wrongOf(app) {
  if (app.local.errors) return app.local.errors;
  return (app.refusal?.body.errors ?? []).map((it) => ({ ...memberOf(it.pointer), detail: it.detail }));
}

/** @param {Action} data @param {App} app */
function toggle(data, app) {
  const text = app.local.raw ? "" : typed(data, app).text;
  app.refusal = null;
  Object.assign(app.local, { raw: !app.local.raw, text, errors: null });
  app.draw();
}

/** @param {Action} data @param {App} app */
function typed(data, app) {
  const all = fields(data.params);
  return written(all, Object.fromEntries(all.map((it) => [it.name, valueOf(it, app)])));
}

/** @param {Action} data @param {App} app @returns {{text: string, errors: Wrong[]}} */
function paramsOf(data, app) {
  if (!app.local.raw) {
    const { text, errors } = typed(data, app);
    return { text, errors: Object.entries(errors).map(([name, detail]) => ({ name, within: "", detail })) };
  }
  const { value } = /** @type {HTMLTextAreaElement} */ (document.getElementById("raw"));
  return { text: value, errors: isJson(value) ? [] : [{ name: "", within: "", detail: "This is not JSON." }] };
}

/** @param {Event} event @param {Action} data @param {App} app */
function submit(event, data, app) {
  event.preventDefault();
  const { text, errors } = paramsOf(data, app);
  app.local.errors = errors.length ? errors : null;
  if (errors.length) {
    app.refusal = null;
    app.draw();
    return;
  }
  app.act(async () => {
    const request = `{"action":${JSON.stringify(data.name)},"params":${text}}`;
    /** @type {Schemas["PreviewBody"]} */
    const made = await send("POST", "/actions/preview", request);
    app.go(made.approval ? `/studio/approvals/${made.preview_id}` : `/studio/previews/${made.preview_id}?key=${newKey()}`);
    return made.approval ? "This waits for approval." : "Previewed. Nothing is sent yet.";
  });
}
