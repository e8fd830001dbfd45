// JSON over several lines, with each token as it is written, and what other readers may take for
// something else.

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const INDENT_MAX = 40;

/**
 * `text` over lines, and `notes` on it, sentences; null for text that is not JSON.
 * @param {string} text
 */
export function formatted(text) {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  /** @type {Set<string>} */
  const notes = new Set();
  /** @type {(Set<string> | null)[]} */
  const open = []; // a set of names for each object, null for each list
  let written = "";
  let expected = "value";
  const line = () => `\n${"  ".repeat(Math.min(open.length, INDENT_MAX))}`;
  const tokens = text.match(TOKENS) ?? [];
  tokens.forEach((token, index) => {
    const names = open.at(-1) ?? null;
    if (token === "{" || token === "[") {
      open.push(token === "{" ? new Set() : null);
      written += token + (closes(tokens[index + 1]) ? "" : line());
      expected = token === "{" ? "name" : "value";
    } else if (closes(token)) {
      open.pop();
      written += (closes(tokens[index - 1], true) ? "" : line()) + token;
    } else if (token === ",") {
      written += token + line();
      expected = names ? "name" : "value";
    } else if (token === ":") {
      written += ": ";
      expected = "value";
    } else {
      note(token, expected === "name" ? names : null, notes);
      written += token;
    }
  });
  return { text: written, notes: [...notes] };
}

/** @param {any} token */
const closes = (token, opening = false) =>
  opening ? token === "{" || token === "[" : token === "}" || token === "]";

/** @param {any} token @param {Set<string> | null} names @param {Set<string>} notes */
function note(token, names, notes) {
  if (names) {
    const name = JSON.parse(token);
    if (names.has(name)) notes.add(`Member ${token} stands twice; readers take one of the two.`);
    names.add(name);
  } else if (/^[-\d]/.test(token) && exact(token) !== exact(String(Number(token))))
    notes.add(`Number ${token} is rounded by many readers, to ${Number(token)}.`);
}

/**
 * A number as its digits and their exponent, so that 1.0 and 10e-1 are the same.
 * @param {string} number
 */
function exact(number) {
  const [, sign, whole, part = "", power = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number) ?? [];
  if (whole === undefined) return number;
  const digits = (whole + part).replace(/^0+/, "");
  const short = digits.replace(/0+$/, "");
  if (!short) return "0";
  return `${sign}${short}e${Number(power) - part.length + digits.length - short.length}`;
}
