// Sets light or dark before the page is painted, so that it does not flash in the other one. A classic script for that
// reason; the switch itself is in shell.js.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("daogou-theme");
  } catch {
    // Storage is refused: the system decides.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
