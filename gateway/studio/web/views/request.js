// What will be sent: exactly, formatted, and compared with what was approved last.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { digest, exact, hiddenCount, textOf } from "../bytes.js";
import { formatted } from "../format.js";
import { copy, shown, tabs, when } from "./common.js";
import { difference } from "./difference.js";

/** @import {App, Schemas} from "../types.js" */

/** @typedef {Pick<Schemas["ApprovalBody"], "digest" | "added_when_sent"> & {wire: Schemas["Wire"] | null,
 *   previous: Schemas["PreviousBody"] | null}} Request
 */

const NOTES_MAX = 20;
/** @type {[string, string][]} */
const TABS = [
  ["exact", "As it is"],
  ["formatted", "Formatted"],
  ["diff", "Diff to last approved"],
];

/** @param {Schemas["Wire"]} wire */
const isBase64 = (wire) => "body_base64" in wire;
/** @param {Schemas["Wire"]} wire */
const bodyOf = (wire) => wire.body ?? wire.body_base64 ?? "";
/** @param {Schemas["Wire"]} wire */
export const textOfWire = (wire) => wire.head + bodyOf(wire);

/** As whom it is sent, which the digest does not cover.
 * @param {string | null | undefined} account @param {string | null | undefined} connection
 */
export const sentAs = (account, connection) =>
  account && connection
    ? html`<p id="as">Sent as <strong>${shown(account)}</strong> (connection <code>${shown(connection)}</code>)</p>`
    : nothing;

/** The text that is in the document now, and the digest of it; null where it is not shown as it is
 * or the browser computes none.
 * @param {Request} data
 */
export async function seen(data) {
  const head = document.getElementById("head");
  const body = document.getElementById("body");
  if (!head || !body || !globalThis.crypto?.subtle) return null;
  const [first, second] = [textOf(head), textOf(body)];
  return { text: first + second, digest: await digest(first, second, isBase64(/** @type {Schemas["Wire"]} */ (data.wire))) };
}

/** @param {Request} data @param {App} app */
export const request = (data, app) => {
  const wire = /** @type {Schemas["Wire"]} */ (data.wire);
  const hidden = hiddenOf(wire, app);
  const parsed = formattedOf(wire, app);
  const all = TABS.filter(([id]) => id !== "formatted" || parsed);
  const chosen = app.local.tab ?? "exact";
  const choose = (/** @type {string} */ id) => { app.local.tab = id; app.draw(); };
  return html`
    <h2>What will be sent</h2>
    ${hidden ? html`<p class="warning">${hidden === 1 ? "1 hidden character" : `${hidden} hidden characters`}</p>` : nothing}
    <div class="copied">${copy(textOfWire(wire), "what will be sent")}</div>
    ${tabs("What will be sent", all, chosen, choose, html`${PANELS[chosen](data, app, parsed)}`)}
    ${data.added_when_sent.length
      ? html`<p class="quiet">Added when sending: ${data.added_when_sent.join(", ")}</p>`
      : nothing}
    <p id="digest"><code>${data.digest}</code> ${verdict(data, app)}</p>
  `;
};

/** Each is computed once for one request.
 * @param {App} app @param {string} name @param {string} wire @param {() => any} compute
 */
function once(app, name, wire, compute) {
  if (app.local[name]?.wire !== wire) app.local[name] = { wire, value: compute() };
  return app.local[name].value;
}
/** @param {Schemas["Wire"]} wire @param {App} app */
const hiddenOf = (wire, app) => once(app, "hidden", textOfWire(wire), () => hiddenCount(textOfWire(wire)));
/** @param {Schemas["Wire"]} wire @param {App} app */
const formattedOf = (wire, app) => once(app, "formatted", bodyOf(wire), () => formatted(bodyOf(wire)));

/** @type {Record<string, (data: any, app: App, parsed: any) => unknown>} */
const PANELS = {
  exact: ({ wire }, app) => html`${exact("head", wire.head, app, "Method, address and headers")}
    ${isBase64(wire) ? html`<p>The body is not text. It is shown in base64.</p>` : nothing}
    ${exact("body", bodyOf(wire), app, "Body")}`,
  formatted: ({ wire }, app, parsed) => html`
    ${parsed.notes.length
      ? html`<ul class="warning">${parsed.notes.slice(0, NOTES_MAX).map((/** @type {any} */ it) => html`<li>${shown(it)}</li>`)}
          ${parsed.notes.length > NOTES_MAX ? html`<li>${parsed.notes.length - NOTES_MAX} more</li>` : nothing}</ul>`
      : nothing}
    ${exact("formatted", wire.head + parsed.text, app, "The request with its body over lines")}`,
  diff: (data, app) => {
    const { previous } = data;
    if (!previous) return html`<p>None is kept. The rule's <code>remember</code> would keep it.</p>`;
    if (previous.same_bytes)
      return html`<p>The same bytes were approved ${when(previous.decided_at)}.</p>`;
    return html`<p>Compared with what was approved ${when(previous.decided_at)}:</p>
      ${difference(spread(previous.wire), spread(data.wire), app)}`;
  },
};

/**
 * With a body of JSON over lines, so that a change is a line.
 * @param {Schemas["Wire"]} wire
 */
const spread = (wire) => wire.head + (formatted(bodyOf(wire))?.text ?? bodyOf(wire));

/** @param {Request} data @param {App} app */
const verdict = (data, app) => {
  const { checked } = app.local;
  if (!globalThis.crypto?.subtle)
    return html`<strong role="alert">cannot be checked: the browser computes digests over https and
      on localhost only.</strong>`;
  if (!checked) return "is being compared with what is shown.";
  if (checked === data.digest) return "is what is shown here.";
  return html`<strong role="alert">is not what is shown here. Do not approve.</strong>`;
};
