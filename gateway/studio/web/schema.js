// A form for the params of an action, from their JSON Schema. Text that was typed as JSON goes into
// the request as it is: reading it and writing it again would make other bytes.

/**
 * @typedef {"choice" | "text" | "integer" | "switch" | "rows" | "json"} Kind
 * @typedef {{name: string, kind: Kind, choices: string[], help: string, required: boolean,
 *   min?: number, max?: number, value: any}} Field `value`: the default, in the form of its kind.
 * @typedef {string | boolean | [string, string][]} Value
 */

/**
 * The members of an object's schema.
 * @param {any} schema
 * @returns {Field[]}
 */
export function fields(schema) {
  const top = resolved(schema, schema);
  const required = new Set(top.required ?? []);
  return Object.entries(top.properties ?? {}).map(([name, given]) => {
    const it = resolved(given, schema);
    const kind = kindOf(it);
    return {
      name,
      kind,
      choices: it.enum ?? [],
      help: helpOf(it, kind),
      required: required.has(name),
      min: it.minimum ?? up(it.exclusiveMinimum, 1),
      max: it.maximum ?? up(it.exclusiveMaximum, -1),
      value: presetOf(it, kind),
    };
  });
}

/** @param {number | undefined} bound @param {number} step */
const up = (bound, step) => (bound === undefined ? undefined : bound + step);

/**
 * Follow references, and leave null out of what may also be null: an empty field is left out.
 * @param {any} it
 * @param {any} schema
 * @returns {any}
 */
function resolved(it, schema) {
  if (it.$ref) {
    /** @type {string[]} */
    const path = it.$ref.split("/").slice(1);
    return resolved({ ...path.reduce((found, key) => found[key], schema), ...it, $ref: "" }, schema);
  }
  const others = it.anyOf?.filter((/** @type {any} */ each) => each.type !== "null") ?? [];
  return others.length === 1 ? resolved({ ...others[0], ...it, anyOf: undefined }, schema) : it;
}

/** @param {any} it @returns {Kind} */
function kindOf(it) {
  if (it.enum?.every((/** @type {unknown} */ each) => typeof each === "string")) return "choice";
  if (it.enum || it.anyOf || it.oneOf) return "json";
  if (it.type === "boolean") return "switch";
  if (it.type === "integer") return "integer";
  if (it.type === "object" && it.additionalProperties?.type === "string" && !it.properties) return "rows";
  return it.type === "string" ? "text" : "json";
}

/** @param {any} it @param {Kind} kind @returns {string} */
function helpOf(it, kind) {
  const { min, max } = { min: it.minimum ?? it.exclusiveMinimum, max: it.maximum ?? it.exclusiveMaximum };
  const bounds = kind === "integer" && min !== undefined && max !== undefined ? `${min} to ${max}.` : "";
  return [it.description, bounds].filter(Boolean).join(". ");
}

/** @param {any} it @param {Kind} kind */
function presetOf(it, kind) {
  if (kind === "rows") return Object.entries(it.default ?? {});
  if (it.default === undefined || it.default === null) return kind === "switch" ? false : "";
  if (kind === "json") return JSON.stringify(it.default);
  return kind === "switch" ? it.default : String(it.default);
}

/**
 * The text of the params as a JSON object, and an error for each field that cannot be meant.
 * @param {Field[]} all
 * @param {Record<string, Value>} values
 */
export function written(all, values) {
  const members = [];
  /** @type {Record<string, string>} */
  const errors = {};
  for (const field of all) {
    const value = values[field.name] ?? "";
    const error = errorOf(field, value);
    if (error) errors[field.name] = error;
    const text = textOf(field, value);
    if (text) members.push(`${JSON.stringify(field.name)}:${text}`);
  }
  return { text: `{${members.join(",")}}`, errors };
}

/** @param {Field} field @param {Value} value */
function errorOf(field, value) {
  if (value === "" || (Array.isArray(value) && !value.length)) return field.required ? "This is required." : "";
  if (field.kind === "json") return isJson(String(value)) ? "" : "This is not JSON.";
  return field.kind === "integer" ? integerError(field, String(value)) : "";
}

/** @param {Field} field @param {string} text */
function integerError({ min, max }, text) {
  if (!/^-?(0|[1-9]\d*)$/.test(text)) return "This is not a whole number.";
  if (min !== undefined && BigInt(text) < min) return `The least is ${min}.`;
  if (max !== undefined && BigInt(text) > max) return `The most is ${max}.`;
  return "";
}

/** @param {Field} field @param {Value} value @returns {string} empty where the member is left out */
function textOf({ kind }, value) {
  if (kind === "switch") return String(value === true);
  if (Array.isArray(value)) {
    const pairs = value.map(([name, text]) => `${JSON.stringify(name)}:${JSON.stringify(text)}`);
    return pairs.length ? `{${pairs.join(",")}}` : "";
  }
  if (value === "") return "";
  return kind === "json" || kind === "integer" ? String(value) : JSON.stringify(value);
}

/** @param {string} text */
export function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * Where an error of the API belongs: the member of the params, and the place in it.
 * @param {string} pointer RFC 6901
 */
export function memberOf(pointer) {
  const steps = pointer.split("/").slice(1);
  const [, name = "", ...rest] = steps.map((it) => it.replaceAll("~1", "/").replaceAll("~0", "~"));
  return steps[0] === "params" ? { name, within: rest.join("/") } : { name: "", within: "" };
}
