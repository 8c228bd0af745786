// A classic script in the head: it runs before the first paint, so that a chosen theme does not flash.
(() => {
  const root = document.documentElement;
  const key = "foodscene.theme";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const now = () => root.dataset.theme ?? (dark.matches ? "dark" : "light");
  root.classList.add("js");
  try {
    const chosen = localStorage.getItem(key);
    if (chosen) root.dataset.theme = chosen;
  } catch {
    // Storage is switched off in this browser: the system's theme it is.
  }
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const tell = () => button.setAttribute("aria-label", now() === "dark" ? "Use light colours" : "Use dark colours");
    button.addEventListener("click", () => {
      root.dataset.theme = now() === "dark" ? "light" : "dark";
      tell();
      try {
        localStorage.setItem(key, root.dataset.theme);
      } catch {
        // It then holds until the page is left.
      }
    });
    dark.addEventListener("change", tell);
    tell();
  });
})();
