// A field for each member of the params. What is wrong stands at its field and in a summary.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { shown } from "./common.js";

/** @import {App} from "../types.js" */
/** @import {Field, Value} from "../schema.js" */
/** @typedef {{name: string, within: string, detail: string}} Wrong */

/** @param {string} name */
export const idOf = (name) => `param-${name}`;

/** @param {Field} field @param {Wrong[]} wrong @param {App} app */
export const field = (field, wrong, app) => html`<div class="field">
  ${field.kind === "rows"
    ? html`<p class="label" id="${idOf(field.name)}-label">${labelOf(field)}</p>`
    : html`<label for=${idOf(field.name)}>${labelOf(field)}</label>`}
  ${field.help ? html`<p class="quiet" id="${idOf(field.name)}-help">${field.help}</p>` : nothing}
  ${control(field, wrong.length > 0, app)}
  ${wrong.length
    ? html`<p class="warning" id="${idOf(field.name)}-error">${wrong.map(sentence)}</p>`
    : nothing}
</div>`;

/** @param {Field} field */
const labelOf = ({ name, required, kind }) =>
  `${name}${kind === "json" ? ", as JSON" : ""}${required ? " (required)" : ""}`;

/** @param {Wrong} it */
const sentence = ({ within, detail }) => html`<span>${within ? html`${shown(within)}: ` : nothing}${shown(detail)} </span>`;

/** @param {Field} field @param {boolean} wrong @param {App} app */
function control(field, wrong, app) {
  const id = idOf(field.name);
  const described = [field.help && `${id}-help`, wrong && `${id}-error`].filter(Boolean).join(" ") || nothing;
  const invalid = wrong ? "true" : nothing;
  if (field.kind === "rows") return rows(field, app, described);
  if (field.kind === "choice")
    return html`<select id=${id} aria-describedby=${described} aria-invalid=${invalid}>
      ${field.value ? nothing : html`<option value="">${field.required ? "choose one" : "not given"}</option>`}
      ${field.choices.map((it) => html`<option ?selected=${it === field.value}>${it}</option>`)}
    </select>`;
  if (field.kind === "switch")
    return html`<input id=${id} type="checkbox" ?checked=${field.value} aria-describedby=${described}
      aria-invalid=${invalid} />`;
  if (field.kind === "json")
    return html`<textarea id=${id} rows="4" spellcheck="false" aria-describedby=${described}
      aria-invalid=${invalid} .defaultValue=${field.value}></textarea>`;
  if (field.kind === "integer")
    return html`<input id=${id} type="number" step="1" min=${field.min ?? nothing} max=${field.max ?? nothing}
      value=${field.value} aria-describedby=${described} aria-invalid=${invalid} />`;
  return html`<input id=${id} value=${field.value} autocomplete="off" aria-describedby=${described}
    aria-invalid=${invalid} />`;
}

/** @param {Field} field @param {App} app @param {unknown} described */
function rows(field, app, described) {
  const pairs = pairsOf(field, app);
  const id = idOf(field.name);
  const cell = (/** @type {number} */ row, /** @type {0 | 1} */ side) => html`<input
    aria-label="${field.name}, ${side ? "value" : "name"} ${row + 1}" autocomplete="off" .value=${pairs[row][side]}
    @input=${(/** @type {any} */ event) => { pairs[row][side] = event.target.value; }} />`;
  const change = (/** @type {() => void} */ it) => () => { it(); app.draw(); };
  return html`<div id=${id} role="group" tabindex="-1" aria-labelledby="${id}-label" aria-describedby=${described}>
    ${pairs.map((_, row) => html`<div class="pair">${cell(row, 0)} ${cell(row, 1)}
      <button type="button" aria-label="Remove row ${row + 1} of ${field.name}"
        @click=${change(() => pairs.splice(row, 1))}>Remove</button></div>`)}
    <button type="button" @click=${change(() => pairs.push(["", ""]))}>Add a row to ${field.name}</button>
  </div>`;
}

/** @param {Field} field @param {App} app @returns {[string, string][]} */
function pairsOf(field, app) {
  app.local.rows ??= {};
  return (app.local.rows[field.name] ??= field.value.map((/** @type {string[]} */ it) => [...it]));
}

/** @param {Field} field @param {App} app @returns {Value} what is typed; empty rows are left out */
export function valueOf(field, app) {
  if (field.kind === "rows") return pairsOf(field, app).filter(([name, text]) => name || text);
  const found = /** @type {HTMLInputElement} */ (document.getElementById(idOf(field.name)));
  if (field.kind === "switch") return found.checked;
  return found.validity.badInput ? "not a number" : found.value;
}

/** @param {Wrong[]} wrong @param {string} title @param {string[]} names of the fields on the page */
export const summary = (wrong, title, names) => html`<div class="problem" id="summary" role="alert" tabindex="-1">
  <h2>${title}</h2>
  <ul>
    ${wrong.map((it) => html`<li>${names.includes(it.name)
      ? html`<a href="#${idOf(it.name)}" @click=${jump}>${shown(it.name)}</a>: `
      : nothing}${sentence(it)}</li>`)}
  </ul>
</div>`;

/** @param {any} event */
function jump(event) {
  event.preventDefault();
  document.getElementById(event.currentTarget.getAttribute("href").slice(1))?.focus();
}
