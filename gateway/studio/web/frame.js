// What stands around each screen: pages, who is signed in and until when, how the page looks.
// A key that is typed goes to the gateway and stays nowhere in the browser.
import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { byProxy, choose, clock, ends, get, lastAnswer, now, post, remove, wants } from "./api.js";
import { app, readiness } from "./app.js";
import { checks, failed, loading, pagesOf } from "./screens.js";
import { decidable } from "./views/approvals.js";
import { plain, problem, shown } from "./views/common.js";

/** @import {Schemas} from "./types.js" */

const WARNED_MS = 2 * 60_000;
const root = /** @type {HTMLElement} */ (document.getElementById("app"));
export const wide = matchMedia("(min-width: 1100px)");

export function draw() {
  const { screen, data } = app;
  const alone = app.signedOut && !data;
  render(html`${head()} ${alone ? signInPage() : page()} ${foot()} ${signInOver()}`, root);
  document.title = `${alone ? "Sign in" : plain(screen.title(data, app))} · Relay Studio`;
  const over = /** @type {HTMLDialogElement | null} */ (root.querySelector("#again"));
  if (over && !over.open) over.showModal();
  if (data) screen.shown?.(data, app);
}

const head = () => html`
  <a class="skip" href="#main" @click=${skip}>Skip to the page</a>
  <header>
    <strong>Relay Studio</strong>
    ${app.who ? html`${pages()} ${who()} ${warnings()}` : nothing}
  </header>`;

/**
 * A change of the fragment would open the page anew.
 * @param {Event} event
 */
const skip = (event) => {
  event.preventDefault();
  document.getElementById("main")?.focus();
};

const pages = () => html`<nav aria-label="Pages"><ul>
  ${pagesOf(app.who).map(([path, name]) => html`<li><a href=${path}
    aria-current=${here(path) ? "page" : nothing}>${name}${counted(path)}</a></li>`)}
</ul></nav>`;

/** @param {string} path */
const here = (path) => location.pathname.startsWith(path.split("/").slice(0, 3).join("/"));

/**
 * How many approvals wait for the decision of this person.
 * @param {string} path
 */
const counted = (path) => {
  const count = path === "/studio/approvals" ? decidable(app).length : 0;
  return count ? ` (${count})` : "";
};

const who = () => html`<p>
  ${proxied() ? "Signed in by your proxy as " : nothing}${shown(app.who.subject)}, ${app.who.role}, workspace
  ${shown(app.who.workspace)}${app.who.until ? html`, until ${clock(app.who.latest_until)}` : nothing}
  ${app.who.open || proxied()
    ? nothing
    : html`<button type="button" @click=${signOut}>Sign out</button>`}
</p>`;

const proxied = () => app.who.signed_in_by === "proxy";

const warnings = () => {
  const end = ending();
  return html`
    ${app.who.open
      ? html`<p class="warning">Everybody may do everything here until the first key is made.</p>`
      : nothing}
    ${end
      ? html`<div class="problem" role="alert" id="ending">
          <p>Your session ends at ${clock(end.at)}.
            ${end.final ? "Sign in again then; what you typed stays." : nothing}</p>
          ${end.final
            ? nothing
            : html`<p><button type="button" @click=${extend}>Stay signed in</button></p>`}
        </div>`
      : nothing}`;
};

const page = () => {
  const { data, failure, screen } = app;
  const beside = wide.matches && data && screen.beside && app.waiting;
  return html`<div class=${beside ? "beside" : ""}>
    ${beside ? html`<section class="left" aria-label="List">${screen.beside?.list?.(app)}</section>` : nothing}
    <main id="main" tabindex="-1" aria-busy=${app.busy || (!data && !failure)}>
      ${failure ? failed(app) : nothing}
      ${data ? screen.view(data, app) : failure ? nothing : loading.view({}, app)}
    </main>
  </div>`;
};

const signInPage = () => html`<main id="main" tabindex="-1" aria-busy="false">
  <h1 tabindex="-1">Sign in</h1>
  ${keyForm()}
</main>`;

/** Over the page, whose fields keep what was typed. */
const signInOver = () =>
  app.signedOut && app.data
    ? html`<dialog id="again" aria-labelledby="again-title" @cancel=${(/** @type {any} */ event) => event.preventDefault()}>
        <h2 id="again-title">Sign in again</h2>
        <p>Your session has ended. What you typed stays.</p>
        ${keyForm()}
      </dialog>`
    : nothing;

const foot = () => html`<footer>
  <label>Colours <select id="colours" @change=${colours}>
    ${[["", "as the system"], ["light", "light"], ["dark", "dark"]].map(
      ([word, name]) => html`<option value=${word} ?selected=${wants(word || "none")}>${name}</option>`)}
  </select></label>
  ${toggle("utc", "Times in UTC")}
  ${toggle("quiet", "No single keys")}
  <span class="quiet">Press ? for the keys.</span>
</footer>`;

/** @param {any} event */
const colours = (event) => choose(["light", "dark"], event.target.value);

/** @param {string} word @param {string} name */
const toggle = (word, name) => html`<label>
  <input type="checkbox" id=${word} ?checked=${wants(word)}
    @change=${(/** @type {any} */ event) => { choose([word], event.target.checked ? word : ""); draw(); }} /> ${name}
</label>`;

/** `null`, or when the session ends, where that is within two minutes. `final`: no request helps. */
function ending() {
  const at = ends(app.who, lastAnswer());
  if (at === null || app.signedOut || at - now() > WARNED_MS) return null;
  return { at, final: Date.parse(app.who.latest_until ?? "") - now() <= WARNED_MS };
}

const extend = () =>
  app.act(async () => {
    app.who = await get("/session");
    return "You stay signed in.";
  });

/**
 * The key goes to the gateway; here it is forgotten at once.
 * @param {any} event
 */
async function signIn(event) {
  event.preventDefault();
  const field = event.target.elements.key;
  const key = field.value;
  field.value = "";
  Object.assign(app, { refusal: null, ready: null });
  try {
    await post("/session", { key });
    await signedIn(await get("/session"));
  } catch (error) {
    Object.assign(app, { refusal: error, ready: await readiness(error) });
    app.draw();
  }
}

/**
 * The same key goes on where its session ended; another one begins anew.
 * @param {Schemas["SessionBody"]} who
 */
async function signedIn(who) {
  const same = app.data && app.who?.key === who.key;
  Object.assign(app, { who, signedOut: false });
  if (!same) return app.open();
  app.draw();
  await app.load();
}

const signOut = () =>
  app.act(async () => {
    await remove("/session");
    Object.assign(app, { who: null, waiting: null, data: null, local: {}, signedOut: true });
    return "Signed out.";
  });

/** Behind a proxy that signs people in, no key is asked for: it would not count. */
const keyForm = () =>
  byProxy(app.refusal)
    ? html`${problem(app.refusal, { again: () => location.reload() })} ${checks(app)}
        <p>Your proxy signs you in here. Show this page to its admin.</p>`
    : html`
        ${app.refusal ? html`${problem(app.refusal)} ${checks(app)}` : nothing}
        <form @submit=${signIn}>
          <label for="key">API key</label>
          <input id="key" name="key" type="password" autocomplete="current-password" required />
          <button>Sign in</button>
        </form>
        <p>An admin makes keys: <code>relay keys create --role approver</code></p>
      `;
