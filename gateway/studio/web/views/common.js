// What several screens show in the same way. Hidden characters in the text of others are named.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { clock, full, now, relative } from "../api.js";

// For screen readers.
/** @type {Record<string, string>} */
const NAMES = {
  "0000": "null", "0009": "tab", "000A": "line feed", "000D": "carriage return", "001B": "escape",
  "00A0": "no-break space", "00AD": "soft hyphen", "034F": "combining grapheme joiner",
  "061C": "arabic letter mark", "115F": "hangul choseong filler", "1160": "hangul jungseong filler",
  "180E": "mongolian vowel separator", "200B": "zero width space", "200C": "zero width non-joiner",
  "200D": "zero width joiner", "200E": "left-to-right mark", "200F": "right-to-left mark",
  2028: "line separator", 2029: "paragraph separator", "202A": "left-to-right embedding",
  "202B": "right-to-left embedding", "202C": "pop directional formatting",
  "202D": "left-to-right override", "202E": "right-to-left override", "202F": "narrow no-break space",
  2060: "word joiner", 2066: "left-to-right isolate", 2067: "right-to-left isolate",
  2068: "first strong isolate", 2069: "pop directional isolate", 2800: "braille pattern blank",
  3000: "ideographic space", 3164: "hangul filler", FEFF: "zero width no-break space",
  FFA0: "halfwidth hangul filler",
};
/** @type {[RegExp, string][]} */
const KINDS = [
  [/^\p{Cc}$/u, "control character"],
  [/^[\u{E0000}-\u{E007F}]$/u, "tag character"],
  [/^\p{Variation_Selector}$/u, "variation selector"],
  [/^\p{Zs}$/u, "space"],
  [/^\p{Cf}$/u, "format character"],
  [/^\p{Co}$/u, "private use character"],
  [/^\p{Cs}$/u, "half of a pair"],
  [/^\p{Cn}$/u, "unassigned character"],
];

/**
 * What a screen reader says of a hidden character: `code` in hex.
 * @param {string} code
 */
export function named(code) {
  const character = String.fromCodePoint(Number.parseInt(code, 16));
  const kind = KINDS.find(([pattern]) => pattern.test(character))?.[1] ?? "filler";
  return `hidden character U+${code}, ${NAMES[code] ?? kind}`;
}

// Controls, formats (bidi, zero width), unassigned and private characters, spaces that are not the
// usual one, fillers and variation selectors.
const CLASS =
  "\\p{Cc}\\p{Cf}\\p{Co}\\p{Cn}\\p{Cs}\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000" +
  "\\u034F\\u115F\\u1160\\u17B4\\u17B5\\u180B-\\u180F\\u2800\\u3164\\uFE00-\\uFE0F\\uFFA0\\u{E0100}-\\u{E01EF}";
const HIDDEN = new RegExp(`[${CLASS}]`, "gu");
export const HIDDEN_IN_LINES = new RegExp(`(?!\\n)[${CLASS}]`, "gu");

/** @param {string} character */
export const codeOf = (character) =>
  Number(character.codePointAt(0)).toString(16).toUpperCase().padStart(4, "0");

/**
 * Text as parts of {text, code}: `code` names the one hidden character, or is empty.
 * @param {string} text
 */
export function parts(text) {
  const found = [];
  let from = 0;
  for (const { 0: character, index } of text.matchAll(HIDDEN)) {
    if (index > from) found.push({ text: text.slice(from, index), code: "" });
    const code = codeOf(character);
    found.push({ text: `U+${code}`, code });
    from = index + character.length;
  }
  if (from < text.length) found.push({ text: text.slice(from), code: "" });
  return found;
}

/**
 * Text of others: hidden characters are red boxes with their number, and its direction is its own.
 * @param {string | null | undefined} text
 */
export const shown = (text) =>
  html`<bdi>${parts(text ?? "").map((it) =>
    it.code
      ? html`<span class="hidden" role="img" aria-label=${named(it.code)}>${it.text}</span>`
      : it.text,
  )}</bdi>`;

/**
 * Text of others for where no element may stand.
 * @param {string | null | undefined} text
 */
export const plain = (text) =>
  parts(text ?? "")
    .map((it) => it.text)
    .join("");

/** Stands where something loads; shown after 200 ms, by the style sheet. */
export const skeleton = html`<div class="skeleton" aria-hidden="true"><p></p><p></p><p></p></div>`;

/**
 * How far an instant is; when it is, in the title.
 * @param {string | null | undefined} instant
 */
export const when = (instant) =>
  instant
    ? html`<time datetime=${instant} title=${full(instant)}>${relative(instant)}</time>`
    : nothing;

/** @param {string} address @param {string | null | undefined} text */
export const link = (address, text) => {
  const to = safe(address);
  return to ? html`<a href=${to}>${text}</a>` : text;
};

/**
 * A refusal. `again`: repeats a read, or a change that is safe to repeat.
 * @param {any} error @param {{again?: (() => unknown) | null, words?: string}} [options]
 */
export const problem = (error, { again = null, words = "" } = {}) =>
  html`<div class="problem" role="alert">
    <h2>${error.body?.title ?? "Something went wrong"}</h2>
    <p>${shown(words || error.message)}</p>
    ${error.body?.errors?.map((/** @type {any} */ it) => html`<p><code>${it.pointer}</code> ${shown(it.detail)}</p>`)}
    ${error.retryAt > now() ? html`<p>Ask again at ${clock(error.retryAt)}.</p>` : nothing}
    ${error.body?.request_id
      ? html`<p>Request <code>${error.body.request_id}</code> ${copy(error.body.request_id)}
          ${error.trace ? link(error.trace, "Trace") : nothing}</p>`
      : nothing}
    ${again ? html`<button type="button" @click=${again}>Try again</button>` : nothing}
  </div>`;

/**
 * A button that copies this text. `name`: what it copies, for screen readers.
 * @param {string} text
 */
export const copy = (text, name = "") => html`<button type="button" class="small"
  aria-label=${name ? `Copy ${name}` : nothing} @click=${(/** @type {any} */ event) => copied(event.target, text)}>Copy</button>`;

/** @param {HTMLElement} button @param {string} text */
async function copied(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "The browser does not allow it";
  }
}

/**
 * Every address in a link passes here: it stays where it is https:, http: or a path of this origin; else null.
 * @param {string} address
 */
export function safe(address) {
  if (typeof address !== "string") return null;
  if (/^\/(?![/\\])/.test(address)) return address;
  return /^https?:\/\//i.test(address) ? address : null;
}

/**
 * Tabs (ARIA Authoring Practices): one is reached with Tab, the others with the arrow keys.
 * `all`: pairs of an id and a name. `choose`: called with the id of another one.
 * @param {string} label @param {[string, unknown][]} all @param {string} chosen @param {(id: string) => void} choose @param {unknown} content
 */
export const tabs = (label, all, chosen, choose, content) => html`
  <div role="tablist" aria-label=${label} @keydown=${(/** @type {any} */ event) => moved(event, all, chosen, choose)}>
    ${all.map(
      ([id, name]) => html`<button type="button" role="tab" id="tab-${id}" aria-controls="panel"
        aria-selected=${id === chosen ? "true" : "false"} tabindex=${id === chosen ? "0" : "-1"}
        @click=${() => choose(id)}>${name}</button>`,
    )}
  </div>
  <div role="tabpanel" id="panel" aria-labelledby="tab-${chosen}">${content}</div>`;

/** @param {any} event @param {[string, unknown][]} all @param {string} chosen @param {(id: string) => void} choose */
function moved(event, all, chosen, choose) {
  const at = all.findIndex(([id]) => id === chosen);
  /** @type {Record<string, number>} */
  const steps = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 };
  const to = steps[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const [id] = all.at(to % all.length) ?? [chosen];
  choose(id);
  event.currentTarget.querySelector(`#tab-${id}`).focus();
}
