/** The words of the form for a new task. */

import { count } from "../../format.js";
import { plural } from "./plural.js";

export const composer = {
  name: "Neue Aufgabe",
  field: "Befehl",
  runner: "Runner",
  hints: { shell: "Shell-Befehl eingeben", python: "Python-Code eingeben", other: "Befehl eingeben" },
  attach: "Anhängen",
  attachTitle: "Dateien für diese Aufgabe nach inputs/ hochladen, oder hier ablegen",
  drop: "Zum Anhängen ablegen",
  insert: (path) => `${path} in den Befehl einfügen`,
  detach: (name) => `${name} von dieser Aufgabe lösen`,
  options: "Optionen",
  summary: (time, memory, network) => `${time} · ${memory} · ${network === "none" ? "kein Netzwerk" : network}`,
  time: "Zeitgrenze",
  memory: "Speicher",
  memoryHint: "Eine Aufgabe, die mehr braucht, wird gestoppt.",
  network: "Netzwerk",
  networkNone: "Keines: Aufgaben erreichen das Netzwerk nicht",
  networkOff: "Keines",
  order: "Reihenfolge",
  orders: { 0: "Der Reihe nach", 10: "Vor meinen anderen Aufgaben", "-10": "Nach meinen anderen Aufgaben" },
  start: "Nicht vor",
  startHint: "Leer: sobald ein Platz frei ist.",
  startsAt: (time) => ` · nicht vor ${time}`,
  networkHint:
    "Sie erreicht, was der Betreiber unter diesem Namen aufgeführt hat. " +
    "Wohin sie sich verbindet, wird aufgeschrieben.",
  running: (max) => ` von ${count(max)} ${max === 1 ? "läuft" : "laufen"}`,
  slotsTitle: (max) => `Du darfst ${plural(max, "Aufgabe", "Aufgaben")} zugleich ausführen`,
  willQueue: ", diese wird warten",
  paused: ", vom Betreiber angehalten: diese wartet",
  draining: ", der Server hält gleich an: diese wartet",
  draftKept: "Entwurf behalten",
  nothing: "Es gibt noch nichts zu starten: schreibe zuerst einen Befehl.",
  noTime: "Zu dieser Zeit kann die Aufgabe nicht beginnen: Wähle eine andere oder keine.",
  uploading: "Lädt zuerst hoch",
  run: "Starten",
  sending: "Wird gesendet",
  noSandbox:
    "Dieser Server kann gerade keine Aufgaben ausführen: seine Sandbox hat den Selbsttest nicht bestanden. " +
    "Der Betreiber sieht den Grund dort, wo der Server gestartet wurde.",
  mac: "⌘ ↵",
  keys: "Strg ↵",
};
