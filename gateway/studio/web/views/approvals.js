// What an approval says in lists and on its page: where it goes, who may decide, and how it ended. The
// gateway decides who may; the page says it before a click.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { now } from "../api.js";
import { plain, shown } from "./common.js";

/** @import {App, Schemas} from "../types.js" */

/**
 * Where it goes: the link to its page.
 * @param {Schemas["ListedApproval"]} it @param {App} app
 */
export function target(it, app) {
  const url = URL.canParse(it.url ?? "") ? new URL(it.url ?? "") : null;
  const open = app.id === it.preview_id;
  return html`<a href="/studio/approvals/${it.preview_id}" aria-current=${open ? "true" : nothing}>
    ${url
      ? html`<strong>${it.method}</strong> <strong class="host">${host(url.host)}</strong>
          <span class="path">${shown(url.pathname + url.search)}</span>`
      : shown(it.summary ?? it.action)}
  </a>`;
}

/**
 * A host in both spellings, where there are two.
 * @param {string} name
 */
export const host = (name) => {
  const readable = spelledOut(name);
  return readable === name ? shown(name) : html`${shown(readable)} (${shown(name)})`;
};

const BASE = 36;
const T_MAX = 26;

/**
 * A host whose `xn--` labels are spelled out; the same where there are none.
 * @param {string} host
 */
const spelledOut = (host) =>
  host
    .split(".")
    .map((label) => (/^xn--/i.test(label) ? (decoded(label.slice(4)) ?? label) : label))
    .join(".");

/**
 * A label of Punycode (RFC 3492, 6.2); null for text that is none.
 * @param {string} text
 */
function decoded(text) {
  const dash = text.lastIndexOf("-");
  const found = dash > 0 ? [...text.slice(0, dash)] : [];
  let [code, bias, index] = [128, 72, 0];
  for (let at = dash + 1; at < text.length; ) {
    const before = index;
    for (let [weight, step] = [1, BASE]; ; step += BASE) {
      const digit = Number.parseInt(text[at++], BASE);
      if (Number.isNaN(digit)) return null;
      const value = digit < 10 ? digit + T_MAX : digit - 10;
      index += value * weight;
      const threshold = Math.min(Math.max(step - bias, 1), T_MAX);
      if (value < threshold) break;
      weight *= BASE - threshold;
    }
    bias = adapted(index - before, found.length + 1, before === 0);
    code += Math.floor(index / (found.length + 1));
    index %= found.length + 1;
    if (code > 0x10ffff) return null;
    found.splice(index++, 0, String.fromCodePoint(code));
  }
  return found.join("");
}

/**
 * The bias for the next character (RFC 3492, 6.1).
 * @param {number} delta @param {number} length @param {boolean} first
 */
function adapted(delta, length, first) {
  let left = first ? Math.floor(delta / 700) : delta >> 1;
  left += Math.floor(left / length);
  let bias = 0;
  for (; left > 455; bias += BASE) left = Math.floor(left / 35);
  return bias + Math.floor((36 * left) / (left + 38));
}

/**
 * The names of a rule's `from` in words.
 * @param {string} name
 */
const inWords = (name) => {
  const [kind, value] = [name.split(":", 1)[0], name.slice(name.indexOf(":") + 1)];
  if (kind === "role") return `a key of the role ${value}`;
  return kind === "key" ? `the key ${value}` : value;
};

/**
 * Who counts for the rules that are not met yet, in words.
 * @param {Schemas["ListedApproval"]} approval
 */
export function approvers(approval) {
  const missing = approval.rules.filter((rule) => rule.left > 0);
  const names = new Set(missing.flatMap((rule) => rule.approvers).map(inWords));
  return [...names].join(" or ") || "any other key that may decide";
}

/** @param {Schemas["RuleState"]} rule @param {Schemas["SessionBody"]} who */
const counts = (rule, who) =>
  !rule.approvers.length ||
  [`subject:${who.subject}`, `key:${who.key}`, `role:${who.role}`].some((it) =>
    rule.approvers.includes(it),
  );

/** @param {Schemas["ListedApproval"]} approval @param {Schemas["SessionBody"]} who */
export const isOwn = (approval, who) => approval.requester === who.subject;

/**
 * Why this person may not decide, in a sentence; empty if they may.
 * @param {Schemas["ListedApproval"]} approval @param {Schemas["SessionBody"]} who
 */
export function barred(approval, who) {
  if (who.open) return "Nothing that is held can be decided until the first key is made.";
  if (isOwn(approval, who))
    return `You asked for this yourself. Another person has to decide: ${approvers(approval)}.`;
  if (!who.scopes.includes("approvals:decide")) return "Your key may not decide.";
  if (!approval.rules.some((rule) => counts(rule, who)))
    return `Your decision does not count for its rules. Ask ${approvers(approval)}.`;
  return "";
}

/**
 * What this person decided already, or undefined.
 * @param {Schemas["ListedApproval"]} approval @param {Schemas["SessionBody"]} who
 */
export const decided = (approval, who) =>
  approval.deciders.find((it) => it.subject === who.subject);

/**
 * How many approvals are there and needed, by the rule that asks for most.
 * @param {Schemas["ListedApproval"]} approval
 */
export function progress(approval) {
  const needed = Math.max(0, ...approval.rules.map((rule) => rule.approvals));
  const left = Math.max(0, ...approval.rules.map((rule) => rule.left));
  return { needed, left, given: needed - left };
}

/**
 * Of all that waits: what waits for this person, the most urgent first.
 * @param {App} app
 */
export const decidable = (app) =>
  (app.waiting?.approvals ?? [])
    .filter((it) => Date.parse(it.decide_by) > now())
    .filter((it) => !barred(it, app.who) && !decided(it, app.who))
    .sort((a, b) => a.decide_by.localeCompare(b.decide_by));

/**
 * By whom it was decided so last: " by ann", or empty.
 * @param {Pick<Schemas["ApprovalBody"], "deciders">} data @param {"approve" | "deny"} decision
 */
export function by(data, decision) {
  const last = data.deciders.filter((it) => it.decision === decision).at(-1);
  return last ? ` by ${plain(last.subject)}` : "";
}

/**
 * A few words for a list: "approved by ann".
 * @param {Pick<Schemas["ApprovalBody"], "state" | "deciders" | "requester" | "use_by">} data
 */
export function endedBy(data) {
  if (data.state === "approved") return `approved${by(data, "approve")}`;
  if (data.state === "denied") return `denied${by(data, "deny")}`;
  return data.state;
}
