// The worker that compares texts, so that the page stays quick meanwhile.
import { diff } from "./diff.js";

addEventListener("message", ({ data: [before, after] }) => postMessage(diff(before, after)));
