// What became of a run, in words, in a shape and in a colour.
import { html } from "../vendor/lit-html/lit-html.js";
import { now, span } from "../api.js";
import { plain } from "./common.js";

/** @import {Schemas} from "../types.js" */

// A word, and a shape that tells them apart without colours.
/** @type {Record<string, [string, string]>} */
export const STATUSES = {
  success: ["✓", "Sent"],
  failed: ["✕", "Refused by the target"],
  unknown: ["?", "Unknown"],
  running: ["…", "Under way"],
  not_sent: ["○", "Not sent"],
};

/**
 * The status of a run for a list.
 * @param {string} status
 */
export const badge = (status) => {
  const [shape, words] = STATUSES[status] ?? ["", plain(status)];
  return html`<span class="status ${status in STATUSES ? status : ""}"><span aria-hidden="true">${shape}</span> ${words}</span>`;
};

/**
 * One sentence: the first thing that a person should know of the run.
 * @param {Schemas["RunBody"]} run
 */
export function outcome(run) {
  const code = run.result?.status_code;
  switch (run.status) {
    case "success":
      return `Sent once; the target answered ${code ?? "with success"}`;
    case "failed":
      return code ? `Refused by the target: ${code}` : "Refused by the target";
    case "not_sent":
      return run.error && !run.error.safe_to_retry ? "Not sent." : "Not sent. Safe to retry.";
    case "running":
      return `Under way, ${span(Math.max(0, (now() - Date.parse(run.started_at)) / 1000))}`;
    default:
      return "Unknown: bytes went out, no answer came. Nobody sends it again.";
  }
}

/**
 * What to do now; empty where nothing is left to do. `url`: of the request, where it is known.
 * @param {Schemas["RunBody"]} run @param {string | null} [url]
 */
export function advice(run, url) {
  if (run.status === "not_sent")
    return "Execute the same preview again with the same Idempotency-Key: nothing has reached the target.";
  if (run.status === "unknown")
    return `Ask ${URL.parse(url ?? "")?.host ?? "the target"} what it has received. It knows this request by its webhook-id, ${run.run_id}.`;
  if (run.status === "running") return "A retry with the same Idempotency-Key waits for this run and sends nothing.";
  if (run.status === "failed") return "The target has received it. Another try needs a new preview.";
  return "";
}
