// The roles, in words, and the scopes of each.

const READING = "actions:read previews:read runs:read connections:read";
const ACTING = `${READING} actions:preview actions:execute approvals:read`;

/** @type {[string, string, string][]} name, words, scopes */
const TABLE = [
  ["viewer", "sees actions and runs", READING],
  ["developer", "previews, and executes with a test key alone", ACTING],
  ["operator", "previews and executes", ACTING],
  ["approver", "decides on what others ask for", `${READING} approvals:read approvals:decide`],
  ["auditor", "reads the audit and nothing else", "audit:read"],
  ["admin", "does all of this, and administers",
    `${ACTING} approvals:decide audit:read keys:manage secrets:manage policy:manage`
    + " actions:http connections:manage"],
];

export const ROLES = Object.fromEntries(
  TABLE.map(([name, words, scopes]) => [name, { words, scopes: scopes.split(" ") }]),
);
