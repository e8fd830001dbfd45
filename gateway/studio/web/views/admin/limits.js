// Limits: what is left of what is granted. Nothing here changes them.
import { html } from "../../vendor/lit-html/lit-html.js";
import { get } from "../../api.js";
import { top } from "./pages.js";

/** @import {Schemas, Screen} from "../../types.js" */
/** @typedef {Schemas["LimitsBody"]} Limits */

/** @type {Screen<Limits>} */
export const limits = {
  title: () => "Limits",
  load: () => get("/limits"),
  view: (data, app) => html`
    ${top("Limits", app)}
    <p>The operator of the gateway changes them: <code>relay workspaces limits</code>. No key can raise its own.</p>
    <table>
      <thead><tr><td></td><th scope="col">Left of your key</th><th scope="col">Left of the workspace</th></tr></thead>
      <tbody>${rate("Previews a minute", data.previews)} ${rate("Executes a minute", data.executes)}</tbody>
    </table>
    <p>${data.runs.in_flight}${data.runs.total === null ? "" : ` of ${data.runs.total}`} runs are under way${data.runs.per_target === null
      ? ""
      : `, at most ${data.runs.per_target} of them to one target`}.</p>
  `,
};

/** @param {string} name @param {Limits["previews"]} it */
const rate = (name, it) => html`<tr>
  <th scope="row">${name}</th>
  <td>${left(it.per_key_left, it.per_key)}</td>
  <td>${left(it.per_workspace_left, it.per_workspace)}</td>
</tr>`;

/** @param {number | null} rest @param {number | null} granted */
const left = (rest, granted) => (granted === null ? "no limit" : `${rest ?? granted} of ${granted}`);
