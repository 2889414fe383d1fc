// Runs before the first paint, so that a remembered theme never flashes the other one. No module: those run too late.
(function () {
  try {
    var theme = localStorage.getItem("lsm.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch (e) {
    // Storage is off: the page follows the system.
  }
})();
