// Where in the text of a policy something is wrong.

/** @typedef {{line: number, detail: string}} Wrong `line`: from 1; 0 where it is not known. */

/**
 * What a refusal says, with its lines.
 * @param {string} text
 * @param {Partial<import("./types.js").Schemas["ProblemBody"]>} body
 * @returns {Wrong[]}
 */
export function wrongLines(text, { detail = "", errors = [] }) {
  if (errors.length) return errors.map((it) => ({ line: lineOf(text, it.pointer), detail: it.detail }));
  const found = /\(at line (\d+), column \d+\)/.exec(detail);
  const last = /\(at end of document\)/.test(detail) ? text.trimEnd().split("\n").length : 0;
  return [{ line: found ? Number(found[1]) : last, detail }];
}

/**
 * The line of a member: of `/rule/1/need/within` the one with `within` in the second `[[rule]]`.
 * @param {string} text
 * @param {string} pointer RFC 6901
 */
export function lineOf(text, pointer) {
  const [, table = "", index = "", ...names] = pointer.split("/");
  const lines = text.split("\n");
  if (!table) return 0;
  if (!/^\d+$/.test(index)) return assigned(lines, table, 0, lines.length) + 1;
  const headers = lines.flatMap((line, at) => (isHeader(line, table) ? [at] : []));
  const start = headers[Number(index)];
  if (start === undefined) return 0;
  const next = lines.findIndex((line, at) => at > start && /^\s*\[\[/.test(line));
  const end = next < 0 ? lines.length : next;
  const found = names.toReversed().map((it) => assigned(lines, it, start, end));
  return (found.find((at) => at >= 0) ?? start) + 1;
}

/** @param {string} line @param {string} table */
const isHeader = (line, table) => line.replaceAll(/\s/g, "").startsWith(`[[${table}]]`);

/** @param {string[]} lines @param {string} name @param {number} from @param {number} until */
function assigned(lines, name, from, until) {
  const pattern = new RegExp(`(^|[\\s{,"'.])${name.replaceAll(/[^\w-]/g, ".")}["']?\\s*=`);
  return lines.findIndex((line, at) => at >= from && at < until && pattern.test(line));
}
