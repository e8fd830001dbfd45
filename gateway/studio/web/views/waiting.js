// The time until Relay takes a refused request again.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { now, span } from "../api.js";

/** @import {App} from "../types.js" */

/** Seconds; 0 where the refusal asks for no patience. @param {App} app @returns {number} */
export function secondsLeft({ refusal }) {
  if (refusal?.status !== 429 || !refusal.retryAt) return 0;
  return Math.max(0, Math.ceil((refusal.retryAt - now()) / 1000));
}

/** @param {number} left */
export const countdown = (left) =>
  left ? html`<p id="countdown">Too often. You can try again in ${span(left)}.</p>` : nothing;
