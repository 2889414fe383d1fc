// Runs before the first paint, so that a remembered theme never flashes the other one, and the words of the right
// language are fetched with the first script. No module: those run too late.
(function () {
  var root = document.documentElement;
  var remembered = function (key) {
    try {
      return localStorage.getItem("lsm." + key);
    } catch (e) {
      return null; // storage is off: the page follows the system
    }
  };
  var theme = remembered("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;

  var languages = root.dataset.languages.split(" ");
  var wanted = [remembered("language")].concat(navigator.languages || [navigator.language]);
  for (var i = 0; i < wanted.length; i += 1) {
    var short = String(wanted[i]).slice(0, 2).toLowerCase();
    if (languages.indexOf(short) >= 0) {
      root.lang = short;
      break;
    }
  }
})();
