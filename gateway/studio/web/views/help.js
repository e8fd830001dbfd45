// What single keys do.
import { html, render } from "../vendor/lit-html/lit-html.js";

const KEYS = [
  ["g a", "Approvals"],
  ["g r", "Runs"],
  ["g x", "Actions"],
  ["g u", "Audit"],
  ["j, k", "the next row, the one before"],
  ["Enter", "open the row"],
  ["u", "back to the list"],
  ["/", "the filter"],
  ["a, d", "on an approval: go to Approve, to Deny. Neither decides"],
  ["Ctrl+Enter", "in the reason: do what a or d chose"],
  ["?", "this help"],
];

export function open() {
  const place = document.body.appendChild(document.createElement("div"));
  render(
    html`<dialog id="help" aria-labelledby="help-title" @close=${() => place.remove()}>
      <h2 id="help-title">Keys</h2>
      <dl>${KEYS.map(([key, words]) => html`<dt><kbd>${key}</kbd></dt><dd>${words}</dd>`)}</dl>
      <p>They do nothing while you type. "No single keys" below the page turns them off.</p>
      <form method="dialog"><button>Close</button></form>
    </dialog>`,
    place,
  );
  /** @type {HTMLDialogElement} */ (place.firstElementChild).showModal();
}
