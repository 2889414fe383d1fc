/** The words of the log's pane. */

import { count, size } from "../../format.js";
import { plural } from "./plural.js";

export const log = {
  search: "Das Protokoll durchsuchen, oder zu einer Zeile gehen: ein Doppelpunkt und ihre Nummer",
  lineHint: "Enter geht zur Zeile",
  placeholder: "Suchen",
  hits: (n, m, more) => (m ? `${count(n)} von ${count(m)}${more ? "+" : ""}` : more ? "Wird gesucht" : "Kein Treffer"),
  follow: "Folgen",
  followName: "Folgen: mitscrollen, wenn Zeilen kommen",
  wrap: "Umbruch",
  wrapName: "Lange Zeilen umbrechen",
  download: "Laden",
  name: (id) => `Ausgabe von ${id}`,
  jump: (n) => (n ? `Zur neuesten, ${plural(n, "neue Zeile", "neue Zeilen")}` : "Zur neuesten"),
  lines: (n, bytes) => (n === null ? size(bytes) : `${plural(n, "Zeile", "Zeilen")}, ${size(bytes)}`),
  err: "err",
  errMarks: "steht für stderr",
  following: "Folgt der neuesten Zeile",
  paused: "Folgt nicht",
  ended: "Vollständig",
  before: (n) => (n === null ? "Davor steht mehr" : `${plural(n, "frühere Zeile", "frühere Zeilen")}`),
  showBefore: "Frühere zeigen",
  loading: "Lädt",
  behind: "Danach steht mehr",
  showBehind: "Mehr zeigen",
  updates: (n) => `${count(n)} Änderungen`,
  gap: (bytes) => `${size(bytes)} ausgelassen`,
  more: (n) => `… ${plural(n, "weitere Zeile", "weitere Zeilen")}, siehe Details`,
  cut: (n) => ` … ${plural(n, "weiteres Zeichen", "weitere Zeichen")}`,
  queued: "Das Protokoll beginnt, wenn die Aufgabe beginnt.",
  empty: "Die Aufgabe hat nichts ausgegeben.",
  elsewhere: "Die Ausgabe hat der Worker des Schwarms, der diese Aufgabe erledigt hat.",
  lost: (time) =>
    `Verbindung um ${time} verloren. Die Aufgabe läuft weiter; der Rest ihres Protokolls kommt, ` +
    "sobald die Verbindung wieder da ist.",
  polling: "Keine Live-Verbindung: neue Zeilen kommen alle paar Sekunden, ohne das Zeichen für stderr.",
  unavailable: (why) => `Das Protokoll konnte nicht geladen werden: ${why}`,
  endNote: (word, ran) => (ran ? `${word} nach ${ran}.` : `${word}.`),
  announce: (n, last) => `${plural(n, "neue Zeile", "neue Zeilen")}. ${last}`,
};
