// Two texts line by line: what was taken away, what was added.
import { html } from "../vendor/lit-html/lit-html.js";
import { rowOf, rows } from "../bytes.js";

/** @import {App} from "../types.js" */

// Equal lines that stay around a change.
const AROUND = 3;
/** @type {{before: string | null, after: string | null, element: Element | null}} */
let last = { before: null, after: null, element: null };

// Trusted Types refuse any other address of a worker.
const own = /** @type {any} */ (globalThis).trustedTypes?.createPolicy("relay-worker", {
  createScriptURL: () => new URL("../differ.js", import.meta.url).href,
});
const address = () => own?.createScriptURL("") ?? new URL("../differ.js", import.meta.url).href;

/**
 * The difference, or that it is being computed; then the page is drawn again.
 * @param {string} before @param {string} after @param {App} app
 */
export function difference(before, after, app) {
  if (last.before !== before || last.after !== after) {
    last = { before, after, element: null };
    compare(last, app);
  }
  return last.element ?? html`<p>The texts are being compared.</p>`;
}

/** @param {any} job @param {App} app */
function compare(job, app) {
  const worker = new Worker(address(), { type: "module" });
  worker.addEventListener("message", ({ data: lines }) => {
    worker.terminate();
    job.element = drawn(lines);
    app.draw();
  });
  worker.postMessage([job.before, job.after]);
}

/** @param {string[]} lines */
function drawn(lines) {
  const element = document.createElement("div");
  Object.assign(element, { className: "exact", id: "difference", tabIndex: 0, role: "group" });
  element.ariaLabel = "Differences";
  const near = nearChanges(lines);
  let left = 0;
  lines.forEach(([kind, line], index) => {
    if (!near[index]) left++;
    else if (left) element.append(rest(left)), (left = 0);
    if (near[index]) for (const slice of rows(line || " ")) element.append(changed(kind, slice));
  });
  if (left) element.append(rest(left));
  return element;
}

/** @type {Record<string, string>} */
const KINDS = { " ": "same", "+": "added", "-": "removed" };

/** @param {string} kind @param {string} slice */
function changed(kind, slice) {
  const row = rowOf(slice);
  row.classList.add(KINDS[kind]);
  row.prepend(`${kind} `);
  return row;
}

/** @param {number} count */
function rest(count) {
  const row = document.createElement("div");
  row.className = "quiet";
  row.textContent = count === 1 ? "1 equal line" : `${count} equal lines`;
  return row;
}

/** @param {string[]} lines */
function nearChanges(lines) {
  const near = new Array(lines.length).fill(false);
  lines.forEach(([kind], index) => {
    if (kind === " ") return;
    near.fill(true, Math.max(0, index - AROUND), index + AROUND + 1);
  });
  return near;
}
