// Channels: where notices of approvals go, and what each answered last.
import { html } from "../../vendor/lit-html/lit-html.js";
import { get, post, remove } from "../../api.js";
import { shown, when } from "../common.js";
import { byName, top } from "./pages.js";

/** @import {App, Schemas, Screen} from "../../types.js" */
/** @typedef {Schemas["ListedChannel"]} Channel */

/** @type {Screen<Schemas["ChannelsBody"]>} */
export const channels = {
  title: () => "Channels",
  load: () => get("/channels"),
  view: (data, app) => html`
    ${top("Channels", app)}
    <p>Relay sends each of them a signed webhook when an approval is asked for, decided or expires.</p>
    <form @submit=${(/** @type {SubmitEvent} */ event) => create(event, app)}>
      <h2>Add a channel</h2>
      <p><label for="name">Name</label><input id="name" name="name" required maxlength="64" autocomplete="off" /></p>
      <p><label for="url">URL</label><input id="url" name="url" type="url" required maxlength="2048" autocomplete="off" /></p>
      <p><label><input type="checkbox" name="escalation_only" /> Only the reminders of rules that name it</label></p>
      <button ?disabled=${app.busy}>Add the channel</button>
    </form>
    <h2>Existing channels</h2>
    ${data.channels.length
      ? html`<ul class="list">${data.channels.map((it) => row(it, app))}</ul>`
      : html`<p>No channel yet: approvers find what waits on this page alone.</p>`}
  `,
};

/** @param {Channel} it @param {App} app */
const row = (it, app) => html`<li>
  <span><strong>${shown(it.name)}</strong> ${shown(it.url)}</span>
  <span>${it.escalation_only ? "only reminders of rules that name it" : "all notices"}</span>
  ${answer(it.last_answer)}
  <button type="button" ?disabled=${app.busy} @click=${() => test(it, app)}>Send a test to ${shown(it.name)}</button>
  ${byName("Delete", it, app, async () => {
    await remove(`/channels/${it.id}`);
    return "The channel was deleted.";
  })}
</li>`;

/** @param {Channel["last_answer"]} it */
function answer(it) {
  if (!it) return html`<span class="quiet">not used in the last 30 days</span>`;
  return it.outcome === "sent"
    ? html`<span>answered ${it.status_code} ${when(it.at)}</span>`
    : html`<strong class="warning">failed ${when(it.at)}: ${shown(it.detail)}</strong>`;
}

/** @param {SubmitEvent} event @param {App} app */
function create(event, app) {
  event.preventDefault();
  const target = /** @type {HTMLFormElement} */ (event.target);
  const given = new FormData(target);
  app.act(async () => {
    const escalationOnly = given.has("escalation_only");
    await post("/channels", { name: given.get("name"), url: given.get("url"), escalation_only: escalationOnly });
    target.reset();
    return "The channel was added.";
  });
}

/** @param {Channel} it @param {App} app */
const test = (it, app) =>
  app.act(async () => {
    /** @type {Schemas["TestedBody"]} */
    const tested = await post(`/channels/${it.id}/test`, {});
    return tested.outcome === "sent" ? `It answered ${tested.status_code}.` : `The test failed: ${tested.detail}`;
  });
