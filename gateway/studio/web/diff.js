// Which lines differ (Myers, An O(ND) Difference Algorithm, 1986).

// With more differences all lines are given as changed: the work grows with their square.
const MOST = 1000;

/**
 * The lines of both texts as [kind, line]: ` ` in both, `-` in the first, `+` in the second.
 * @param {string} before @param {string} after
 * @returns {[string, string][]}
 */
export function diff(before, after) {
  const [first, second] = [before.split("\n"), after.split("\n")];
  const shorter = Math.min(first.length, second.length);
  let head = 0;
  while (head < shorter && first[head] === second[head]) head++;
  let tail = 0;
  while (tail < shorter - head && first.at(-1 - tail) === second.at(-1 - tail)) tail++;
  /** @param {string[]} lines @returns {[string, string][]} */
  const same = (lines) => lines.map((line) => [" ", line]);
  const middle = (/** @type {string[]} */ lines) => lines.slice(head, lines.length - tail);
  return [
    ...same(first.slice(0, head)),
    ...changes(middle(first), middle(second)),
    ...same(first.slice(first.length - tail)),
  ];
}

/**
 * `furthest`: how far each diagonal comes in the first text, from -cost - 1 to cost + 1.
 * @param {string[]} first @param {string[]} second
 * @returns {[string, string][]}
 */
function changes(first, second) {
  /** @type {Int32Array[]} */
  const trace = [];
  let furthest = new Int32Array(3);
  for (let cost = 0; cost <= MOST; cost++) {
    trace.push(furthest);
    const next = new Int32Array(2 * cost + 5);
    for (let diagonal = -cost; diagonal <= cost; diagonal += 2) {
      const from = at(furthest, cost, before(furthest, cost, diagonal));
      let x = from + (before(furthest, cost, diagonal) < diagonal ? 1 : 0);
      while (x < first.length && x - diagonal < second.length && first[x] === second[x - diagonal]) x++;
      next[diagonal + cost + 2] = x;
      if (x >= first.length && x - diagonal >= second.length) return walkedBack(trace, first, second);
    }
    furthest = next;
  }
  return first.map((line) => /** @type {[string, string]} */ (["-", line])).concat(second.map((line) => ["+", line]));
}

/** @param {Int32Array} furthest @param {number} cost @param {number} diagonal */
const at = (furthest, cost, diagonal) => furthest[diagonal + cost + 1];

/**
 * The diagonal from which the last change came: the one above for an added line.
 * @param {Int32Array} furthest @param {number} cost @param {number} diagonal
 */
function before(furthest, cost, diagonal) {
  const added =
    diagonal === -cost ||
    (diagonal !== cost &&
      at(furthest, cost, diagonal - 1) < at(furthest, cost, diagonal + 1));
  return diagonal + (added ? 1 : -1);
}

/** @param {Int32Array[]} trace @param {string[]} first @param {string[]} second */
function walkedBack(trace, first, second) {
  /** @type {[string, string][]} */
  const found = [];
  let [x, y] = [first.length, second.length];
  for (let cost = trace.length - 1; cost >= 0; cost--) {
    const diagonal = before(trace[cost], cost, x - y);
    const fromX = at(trace[cost], cost, diagonal);
    const fromY = fromX - diagonal;
    for (; x > fromX && y > fromY; y--) found.push([" ", first[--x]]);
    if (cost) found.push(x > fromX ? ["-", first[fromX]] : ["+", second[fromY]]);
    [x, y] = [fromX, fromY];
  }
  return found.reverse();
}
