// Asks the gateway that served this page, and says times by its clock.

/** @import {Schemas} from "./types.js" */

let answeredAt = 0;

/** When the gateway last answered a request of this page, milliseconds since 1970. */
export const lastAnswer = () => answeredAt;

/** What Relay refused, in its own words. `trace`: a link, where the request has a trace.
 * `retryAt`: when it may be asked again, milliseconds since 1970, or null.
 */
export class Problem extends Error {
  /** @param {number} status @param {Partial<import("./types.js").Schemas["ProblemBody"]>} body @param {Headers} [headers] */
  constructor(status, body, headers = new Headers()) {
    super(body.detail || body.title || `Relay answered ${status}.`);
    this.status = status;
    this.body = body;
    this.trace = headers.get("X-Trace-Link");
    const seconds = Number(headers.get("Retry-After"));
    this.retryAt = seconds > 0 ? now() + seconds * 1000 : null;
  }

  get code() {
    return this.body.code ?? "";
  }
}

const offline = () =>
  new Problem(0, { title: "Offline", code: "offline", detail: "The gateway cannot be reached." });

/**
 * `text` is sent as it is: a JSON document, or null for none.
 * @param {string} method @param {string} path @param {string | null} [text] @param {Record<string, string>} [headers]
 * @returns {Promise<any>}
 */
export async function send(method, path, text = null, headers = {}) {
  const type = text === null ? null : { "Content-Type": "application/json" };
  let answer;
  let body;
  try {
    answer = await fetch(path, { method, body: text, headers: { ...type, ...headers } });
    body = answer.status === 204 ? {} : await answer.json();
  } catch (error) {
    if (answer && error instanceof SyntaxError)
      throw new Problem(answer.status, { title: "This is no answer of Relay" }, answer.headers);
    throw offline();
  }
  sync(answer.headers.get("Date"));
  if (!answer.ok) throw new Problem(answer.status, body, answer.headers);
  answeredAt = now();
  return body;
}

/** @param {string} path */
export const get = (path) => send("GET", path);
/** @param {string} path @param {any} body */
export const post = (path, body) => send("POST", path, JSON.stringify(body));
/** @param {string} path */
export const remove = (path) => send("DELETE", path);

/**
 * Whether the proxy has to sign the caller in, and what it says is not enough.
 * @param {any} error
 */
export const byProxy = (error) =>
  ["assertion_refused", "no_role", "issuer_unavailable"].includes(error?.body?.code);

// As the gateway does it (gateway/access/sessions.py): a request renews a cookie that is older than
// the first for the time of the second, and never beyond `latest_until`.
const RENEWED_AFTER_MS = 5 * 60_000;
const IDLE_MS = 30 * 60_000;

/**
 * When the session of `who` ends, if its last request was answered then; null for no session.
 * @param {Schemas["SessionBody"]} who @param {number} answeredAt
 */
export function ends(who, answeredAt) {
  if (!who?.until) return null;
  const until = Date.parse(who.until);
  const age = answeredAt - (until - IDLE_MS);
  if (age < RENEWED_AFTER_MS) return until;
  return Math.min(Date.parse(who.latest_until ?? ""), answeredAt + IDLE_MS);
}

/** @type {[string, number][]} */
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
// The header Date has whole seconds, and an answer takes a moment.
const SKEW_MS = 2000;
let skew = 0;

/**
 * Note what the gateway's clock says now, as the header Date.
 * @param {string | null} date
 */
export function sync(date) {
  const apart = Date.parse(date ?? "") - Date.now();
  if (!Number.isNaN(apart)) skew = Math.abs(apart) > SKEW_MS ? apart : 0;
}

/** Milliseconds since 1970 on the gateway's clock. */
export const now = () => Date.now() + skew;

/**
 * A number of seconds in its largest whole unit: "12 minutes".
 * @param {number} seconds
 */
export function span(seconds) {
  const [unit, length] = UNITS.find(([, size]) => seconds >= size) ?? ["second", 1];
  const number = Math.max(0, Math.floor(seconds / length));
  return `${number} ${unit}${number === 1 ? "" : "s"}`;
}

/**
 * How far an instant is from now: "3 minutes ago", "12 minutes left".
 * @param {any} instant
 */
export function relative(instant, at = now()) {
  const seconds = (Date.parse(instant) - at) / 1000;
  return seconds < 0 ? `${span(-seconds)} ago` : `${span(seconds)} left`;
}

/** @returns {Intl.DateTimeFormatOptions} */
const zone = () => (wants("utc") ? { timeZone: "UTC", timeZoneName: "short" } : {});

/**
 * The date and the time of day, local or in UTC.
 * @param {any} instant
 */
export const full = (instant) => new Date(instant).toLocaleString([], zone());

/**
 * The time of day; with the date where that is another day.
 * @param {any} instant
 */
export function clock(instant, at = now()) {
  const date = new Date(instant);
  const day = (/** @type {any} */ it) => new Date(it).toLocaleDateString([], zone());
  return day(date) === day(at) ? date.toLocaleTimeString([], zone()) : full(date);
}

const words = document.documentElement.classList;

/**
 * `light`, `dark`: colours. `utc`: times. `quiet`: single keys do nothing.
 * @param {string} word
 */
export const wants = (word) => words.contains(word);

/**
 * Choose one of these words, or none of them.
 * @param {string[]} options @param {string} chosen
 */
export function choose(options, chosen) {
  words.remove(...options);
  if (chosen) words.add(chosen);
  try {
    localStorage.setItem("display", words.value);
  } catch {
    // It holds until the page is left.
  }
}
