// The versions of the policy, each compared with the text that is shown.
import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { get } from "../../api.js";
import { shown, when } from "../common.js";
import { difference } from "../difference.js";

/** @import {App, Schemas} from "../../types.js" */
/** @typedef {Schemas["PolicyBody"]} Policy */

/** @param {Policy} newest @param {string} text @param {App} app */
export function versions(newest, text, app) {
  if (!newest.version) return nothing;
  /** @type {Policy | undefined} */
  const chosen = app.local.version;
  const numbers = Array.from({ length: newest.version }, (_, at) => newest.version - at);
  return html`<h2>Versions</h2>
    <p><label for="version">Compare with version</label>
      <select id="version" @change=${(/** @type {any} */ event) => choose(event.target.value, app)}>
        <option value="">none</option>
        ${numbers.map((it) => html`<option value=${it} ?selected=${it === chosen?.version}>${it}</option>`)}
      </select></p>
    ${chosen
      ? html`<p>Version ${chosen.version} was saved ${when(chosen.changed_at)} by ${shown(chosen.changed_by)}.
            From it to the text above:</p>
          ${difference(chosen.text, text, app)}
          <button type="button" @click=${() => { app.local.text = chosen.text; app.draw(); }}>Take the text of version ${chosen.version}</button>`
      : nothing}`;
}

/** @param {string} number @param {App} app */
const choose = (number, app) =>
  app.act(async () => {
    app.local.version = number ? await get(`/policy?version=${number}`) : undefined;
    return "";
  });
