// Runs before the first paint, so that a page never flashes in other colours. Not a module: those
// run later. The words become classes of the document; see api.js.
try {
  document.documentElement.className = localStorage.getItem("display") ?? "";
} catch {
  // A browser that keeps nothing shows the page as the system asks.
}
