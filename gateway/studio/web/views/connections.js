// A card for each provider: whether this gateway can use it.
import { html } from "../vendor/lit-html/lit-html.js";
import { get } from "../api.js";

/** @import {Schemas, Screen} from "../types.js" */
/** @typedef {{provider: string, actions: Schemas["ActionBody"][]}} Card */

// Actions of this provider need no account.
const NONE = "independent";
/** @type {Record<string, string>} names that are not the word with a capital */
const NAMES = { [NONE]: "No provider", github: "GitHub" };

/** @type {Screen<{providers: Card[]}>} */
export const connections = {
  title: () => "Connections",
  load: async () => {
    /** @type {Schemas["ActionsBody"]} */
    const { actions } = await get("/actions");
    const providers = [...new Set(actions.map((it) => it.provider))];
    return {
      providers: providers.map((provider) => ({
        provider,
        actions: actions.filter((it) => it.provider === provider),
      })),
    };
  },
  view: (data) => html`
    <h1 tabindex="-1">Connections</h1>
    <p>What this gateway can use to do something elsewhere.</p>
    ${data.providers.map(card)}
  `,
};

/** @param {Card} it */
const card = ({ provider, actions }) => html`<section class="card">
  <h2>${NAMES[provider] ?? provider[0].toUpperCase() + provider.slice(1)}</h2>
  <p>${state(provider, actions)}</p>
  <ul>
    ${actions.map((it) => html`<li><a href="/studio/actions/${it.name}">${it.title}</a></li>`)}
  </ul>
</section>`;

/** @param {string} provider @param {Schemas["ActionBody"][]} actions */
function state(provider, actions) {
  if (!actions.some((it) => it.enabled))
    return html`<strong>Not configured.</strong> The operator of this gateway sets it up.`;
  return provider === NONE ? "Ready: these actions need no account." : "Ready to use.";
}
