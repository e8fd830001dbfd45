// Which screen stands at which path, and what stands where none does: it loads, failed, or does not
// exist. A screen's file is loaded when it is first opened.
import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { clock } from "./api.js";
import { problem, skeleton } from "./views/common.js";

/** @import {App, Schemas, Screen} from "./types.js" */
/** @import {Problem} from "./api.js" */

/** @type {[RegExp, () => Promise<any>, string][]} */
const SCREENS = [
  [/^\/studio(?:\/approvals|\/sign-in)?\/?$/, () => import("./views/inbox.js"), "inbox"],
  [/^\/studio\/approvals\/([^/]+)$/, () => import("./views/approval.js"), "approval"],
  [/^\/studio\/runs$/, () => import("./views/runs.js"), "runs"],
  [/^\/studio\/runs\/([^/]+)$/, () => import("./views/run.js"), "run"],
  [/^\/studio\/actions$/, () => import("./views/actions.js"), "actions"],
  [/^\/studio\/actions\/([^/]+)$/, () => import("./views/actions.js"), "action"],
  [/^\/studio\/previews\/([^/]+)$/, () => import("./views/preview.js"), "preview"],
  [/^\/studio\/connections$/, () => import("./views/connections.js"), "connections"],
  [/^\/studio\/audit$/, () => import("./views/audit.js"), "audit"],
  [/^\/studio\/admin$/, () => import("./views/admin/pages.js"), "administration"],
  [/^\/studio\/admin\/keys$/, () => import("./views/admin/keys.js"), "keys"],
  [/^\/studio\/admin\/secrets$/, () => import("./views/admin/secrets.js"), "secrets"],
  [/^\/studio\/admin\/limits$/, () => import("./views/admin/limits.js"), "limits"],
  [/^\/studio\/admin\/policy$/, () => import("./views/admin/policy.js"), "policy"],
  [/^\/studio\/admin\/channels$/, () => import("./views/admin/channels.js"), "channels"],
];

// Each page, its name, and the scopes of which one opens it.
/** @type {[string, string, string[]][]} */
const PAGES = [
  ["/studio/approvals", "Approvals", ["approvals:read"]],
  ["/studio/runs", "Runs", ["runs:read"]],
  ["/studio/actions", "Actions", ["actions:read"]],
  ["/studio/connections", "Connections", ["actions:read"]],
  ["/studio/audit", "Audit", ["audit:read"]],
  ["/studio/admin", "Administration", ["keys:manage", "secrets:manage", "policy:manage"]],
];

/**
 * The screen at a path and the id in it. Rejects where the file is of another version.
 * @param {string} path
 */
export async function screenAt(path) {
  for (const [pattern, load, name] of SCREENS) {
    const [found, id = ""] = pattern.exec(path) ?? [];
    if (found !== undefined && readable(id))
      return { screen: (await load())[name], id: decodeURIComponent(id) };
  }
  return { screen: absent, id: "" };
}

/** @param {string} id */
const readable = (id) => !/%(?![\dA-F]{2})/i.test(id);

/** @param {Schemas["SessionBody"]} who */
export const pagesOf = (who) =>
  PAGES.filter(([, , scopes]) => scopes.some((scope) => who.scopes.includes(scope)));

/** @param {string} words */
const heading = (words) => html`<h1 tabindex="-1">${words}</h1>`;

/** @type {Screen<any>} */
export const loading = {
  title: () => "Loading",
  load: async () => ({}),
  view: () => html`${heading("Loading")} ${skeleton}`,
};

/** @type {Screen<any>} */
export const absent = {
  title: () => "Not found",
  load: async () => ({}),
  view: () => html`${heading("Not found")}
    <p>Studio has no such page. <a href="/studio/approvals">Approvals</a></p>`,
};

/**
 * Why a screen shows nothing, or nothing new.
 * @param {App} app
 */
export function failed(app) {
  const { code, status } = /** @type {Problem} */ (app.failure);
  const again = () => (app.data ? app.load() : app.open());
  if (code === "upgraded") return upgraded();
  if (code === "offline")
    return html`${headed(app, "Offline")}
      <div class="problem" role="alert">
        <p>The gateway cannot be reached.
          ${app.loadedAt ? `Nothing here is newer than ${clock(app.loadedAt)}.` : nothing}</p>
        <p><button type="button" @click=${again}>Try again</button></p>
      </div>`;
  const words = status === 404 ? "Not found" : status === 503 ? "Not ready" : "This cannot be shown";
  return html`${headed(app, words)} ${problem(app.failure, { again })} ${checks(app)}`;
}

/** @param {App} app @param {string} words */
const headed = (app, words) => (app.data ? nothing : heading(words));

const upgraded = () => html`${heading("Studio is being upgraded")}
  <p>This gateway has another version of Studio by now.</p>
  <p><button type="button" @click=${() => location.reload()}>Load the page again</button></p>`;

/**
 * What /ready says, where the gateway is not ready.
 * @param {App} app
 */
export const checks = (app) => {
  const found = (app.ready?.checks ?? []).filter((it) => it.verdict !== "ok");
  if (app.failure?.status !== 503 && app.refusal?.status !== 503) return nothing;
  return found.length
    ? html`<h2>What this gateway waits for</h2>
        <ul>${found.map((it) => html`<li><strong>${it.name}</strong>: ${it.detail}</li>`)}</ul>`
    : nothing;
};
