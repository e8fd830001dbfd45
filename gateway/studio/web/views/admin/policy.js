// The approval policy: its text, what it asks of a preview, and its versions.
import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { get, send } from "../../api.js";
import { wrongLines } from "../../policy.js";
import { problem, shown, when } from "../common.js";
import { difference } from "../difference.js";
import { explanation } from "./explain.js";
import { tabs } from "./pages.js";
import { versions } from "./versions.js";

/** @import {App, Schemas, Screen} from "../../types.js" */
/** @import {Wrong} from "../../policy.js" */
/** @typedef {{policy: Schemas["PolicyBody"]}} Data */

/** @type {Screen<Data>} */
export const policy = {
  title: () => "Policy",
  load: async () => ({ policy: await get("/policy") }),
  view: (data, app) => {
    const text = app.local.text ?? data.policy.text;
    const wrong = app.refusal?.body.code === "policy_refused" ? wrongLines(app.local.refused, app.refusal.body) : [];
    return html`
      <h1 tabindex="-1">Policy</h1>
      ${tabs(app)}
      ${standing(data.policy)}
      ${refusal(data, app, wrong)}
      <form @submit=${(/** @type {Event} */ event) => { event.preventDefault(); save(data, app); }}>
        ${editor(text, wrong, app)}
        <p class="buttons">
          <button ?disabled=${app.busy || text === data.policy.text}>Save</button>
          ${app.local.text === undefined ? nothing : html`<button type="button" @click=${() => discard(app)}>Discard my changes</button>`}
        </p>
      </form>
      ${explanation(text === data.policy.text ? "" : text, app)}
      ${app.refusal?.body.code === "policy_changed" ? nothing : versions(data.policy, text, app)}
    `;
  },
  shown: (_data, app) => {
    if (app.refusal && app.refusal !== app.local.focused) document.getElementById("refused")?.focus();
    app.local.focused = app.refusal;
  },
};

/** @param {Data["policy"]} it */
const standing = (it) => html`
  <p>${it.version
    ? html`Version ${it.version}, saved ${when(it.changed_at)} by ${shown(it.changed_by)}${it.text ? nothing : ". It removed the policy"}.`
    : "This workspace has no policy yet."}</p>
  ${it.operator_digest
    ? html`<p>The operator of the gateway has a policy too, and the strictest of both holds. <code>${it.operator_digest}</code></p>`
    : nothing}`;

/** @param {Data} data @param {App} app @param {Wrong[]} wrong */
function refusal({ policy: newest }, app, wrong) {
  if (!app.refusal) return nothing;
  if (wrong.length)
    return html`<div class="problem" role="alert" id="refused" tabindex="-1">
      <h2>${app.refusal.message}</h2>
      <ul>${wrong.map((it) => html`<li>${it.line
        ? html`<a href="#policy" @click=${(/** @type {Event} */ event) => toLine(event, it.line)}>Line ${it.line}</a>: `
        : nothing}${shown(it.detail)}</li>`)}</ul>
    </div>`;
  if (app.refusal.body.code !== "policy_changed") return html`<div id="refused" tabindex="-1">${problem(app.refusal)}</div>`;
  return html`<div class="problem" role="alert" id="refused" tabindex="-1">
    <h2>Not saved: version ${newest.version} was saved meanwhile</h2>
    <p>${shown(newest.changed_by)} saved it ${when(newest.changed_at)}. Your text is still here. What it would change:</p>
    ${difference(newest.text, app.local.text ?? "", app)}
    <p><button type="button" @click=${() => { app.refusal = null; app.local.base = newest.version; app.draw(); }}>
      I have seen version ${newest.version}</button></p>
  </div>`;
}

/** @param {string} text @param {Wrong[]} wrong @param {App} app */
function editor(text, wrong, app) {
  const lines = text.split("\n");
  const bad = new Set(wrong.map((it) => it.line));
  return html`
    <label for="policy">Rules and their tests, as TOML. An empty text removes the policy.</label>
    <div class="editor">
      <div class="numbers" aria-hidden="true">${lines.map((_, at) => html`<div class=${bad.has(at + 1) ? "bad" : nothing}>${at + 1}</div>`)}</div>
      <textarea id="policy" wrap="off" spellcheck="false" autocomplete="off" rows=${lines.length + 1} .value=${text}
        aria-invalid=${wrong.length ? "true" : nothing} aria-describedby=${wrong.length ? "refused" : nothing}
        @input=${(/** @type {any} */ event) => { app.local.text = event.target.value; app.draw(); }}></textarea>
    </div>`;
}

/** Select a line of the text. @param {Event} event @param {number} line */
function toLine(event, line) {
  event.preventDefault();
  const field = /** @type {HTMLTextAreaElement} */ (document.getElementById("policy"));
  const lines = field.value.split("\n");
  const start = lines.slice(0, line - 1).join("").length + line - 1;
  field.focus();
  field.setSelectionRange(start, start + lines[line - 1].length);
}

/** @param {App} app */
function discard(app) {
  app.refusal = null;
  Object.assign(app.local, { text: undefined, base: undefined });
  app.draw();
}

/** The version that was seen goes along: what another person saved since is not lost. @param {Data} data @param {App} app */
function save(data, app) {
  const { text } = app.local;
  app.local.base ??= data.policy.version;
  app.act(async () => {
    app.local.refused = text;
    await send("PUT", "/policy", JSON.stringify({ text }), { "If-Match": `"${app.local.base}"` });
    Object.assign(app.local, { text: undefined, base: undefined });
    return text.trim() ? "The policy is in force." : "The policy was removed.";
  });
}
