/** The words of the list of tasks. */

import { count, duration, sizeMb } from "../../format.js";
import { plural } from "./plural.js";

export const tasks = {
  title: "Aufgaben",
  search: "Deine Aufgaben durchsuchen",
  searchHint: "Suchen",
  looking: "Ältere Aufgaben werden durchsucht…",
  noneFound: "Keine Aufgabe hat das in Titel, Kennung oder Befehl.",
  noneHere: "Was gefunden wurde, hat einen anderen Zustand.",
  counted: (n, more) => `${count(n)}${more ? "+" : ""}`,
  choosing: "Auswählen",
  choose1: (id) => `${id} auswählen`,
  chosen: (n) => `${count(n)} ausgewählt`,
  chooseAll: (n) => `Alle ${count(n)} auswählen`,
  chooseNone: "Fertig",
  many: {
    cancel: (n) => `${count(n)} abbrechen`,
    rerun: (n) => `${count(n)} noch einmal`,
    delete: (n) => `${count(n)} löschen`,
  },
  deleteMany: (n) => ({
    title: `${plural(n, "Aufgabe", "Aufgaben")} löschen?`,
    body:
      "Sie verschwinden aus der Liste, und ihre Protokolle gehen verloren. " +
      "Dateien, die sie nach outputs/ geschrieben haben, bleiben im Arbeitsbereich.",
    button: `${plural(n, "Aufgabe", "Aufgaben")} löschen`,
  }),
  refused: (n, why) => `Bei ${plural(n, "Aufgabe", "Aufgaben")} ging es nicht: ${why}`,
  gone: "Dieser Link führt zu keiner Aufgabe dieser Sitzung: Sie wurde gelöscht, oder gehört einer anderen.",
  partly: (done, of, why) => `Bei ${count(done)} von ${plural(of, "Aufgabe", "Aufgaben")} ist es geschehen, dann ging es nicht weiter: ${why}`,
  first: (id) => `${id} als nächste starten`,
  filterName: "Aufgaben filtern",
  filters: { all: "Alle", running: "Läuft", queued: "Wartet", done: "Fertig", failed: "Fehler" },
  empty: {
    running: "Keine Aufgabe läuft.",
    queued: "Keine Aufgabe wartet.",
    done: "Noch keine Aufgabe ist fertig oder abgebrochen.",
    failed: "Keine Aufgabe ist fehlgeschlagen.",
  },
  showAll: "Alle zeigen",
  cancel: (id) => `${id} abbrechen`,
  rerun: (id) => `${id} noch einmal starten`,
  remove: (id) => `${id} löschen`,
  cancelShort: "Abbrechen",
  stopping: "Wird gestoppt",
  rerunShort: "Noch einmal",
  removeShort: "Löschen",
  choose: "Wähle eine Aufgabe, um ihr Protokoll zu sehen.",
};

export const keys = {
  title: "Tasten",
  where:
    "Die ersten beiden gelten überall außer in einem Feld, die anderen, solange der Fokus in der Aufgabenliste " +
    "ist.",
  all: [
    ["?", "Dies zeigen"],
    ["/", "Aufgaben suchen"],
    ["j k ↓ ↑", "Nächste, vorige Aufgabe"],
    ["Pos1 Ende", "Erste, letzte Aufgabe"],
    ["Enter", "Aufgabe öffnen"],
    ["x", "Auswählen oder weglassen; mit Umschalt alle ab der letzten"],
    ["c", "Abbrechen"],
    ["r", "Noch einmal starten"],
    ["n", "Neue Aufgabe schreiben"],
    ["Esc", "Auswahl beenden"],
  ],
};

export const waits = {
  next: "Nächste in der Schlange",
  position: (n) => `Platz ${count(n)} in der Schlange`,
  unknown: ", Wartezeit unbekannt",
  about: (s) => `, etwa ${duration(s)}`,
  ownLimit: (running, max) =>
    `${count(running)} von deinen ${plural(max, "Aufgabe", "Aufgaben")} ${running === 1 ? "läuft" : "laufen"}`,
  memory: (size) => `Wartet auf ${size} Speicher`,
  dependency: (id, more) =>
    `Wartet auf ${id}${more ? ` und ${plural(more, "weitere Aufgabe", "weitere Aufgaben")}` : ""}`,
  dependencies: "Wartet auf andere deiner Aufgaben",
  startAfter: (time) => `Beginnt nach ${time}`,
  worker: "Wartet auf einen Worker des Schwarms",
  paused: "Wartet: der Betreiber hat deine Sitzung angehalten",
  alone: "Läuft allein: wartet, bis deine anderen Aufgaben zu Ende sind",
  waiting: "Wartet auf ihren Beginn",
};

export const meta = {
  started: (time) => `Begonnen ${time}`,
  stopping: "Wird gestoppt",
  cpu: "CPU",
  memory: "RAM",
  notYet: "–",
  outputs: (n) => (n ? plural(n, "Ergebnis", "Ergebnisse") : "Keine Ergebnisse"),
  peakOf: (mb) => `, Spitze ${sizeMb(mb)}`,
  cancelledBy: {
    cancelled_by_user: "Von dir abgebrochen",
    cancelled_by_admin: "Vom Betreiber dieses Servers abgebrochen",
    session_ended: "Gestoppt: die Sitzung endete",
    dependency_failed: "Abgebrochen: eine Aufgabe, auf die sie wartete, wurde nicht fertig",
  },
  cancelled: "Abgebrochen",
  beforeStart: ", bevor sie begann",
};
