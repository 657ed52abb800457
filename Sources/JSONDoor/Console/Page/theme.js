// The theme somebody chose, kept over reloads. A script of its own in the page's head, so that it is set before anything is
// painted: the policy allows no inline script, and a module runs too late. Storage holds the one word; nothing else is kept.

(() => {
  const place = "sluice.theme";
  const names = ["light", "dark"];
  // A browser may refuse storage: then the choice lasts as long as the page.
  const trying = (what) => {
    try {
      return what();
    } catch {
      return null;
    }
  };
  const kept = trying(() => localStorage.getItem(place));
  if (names.includes(kept)) document.documentElement.setAttribute("data-theme", kept);

  /** Keeps a choice; any other word than a theme's forgets it. */
  globalThis.keepTheme = (name) => trying(() => {
    if (names.includes(name)) localStorage.setItem(place, name);
    else localStorage.removeItem(place);
  });
})();
