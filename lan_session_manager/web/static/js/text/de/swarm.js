/** The words about the network and the swarm. */

import { count, sizeMb } from "../../format.js";
import { plural } from "./plural.js";

export const network = {
  title: "Im Netzwerk",
  users: (n) => `${plural(n, "anderer Nutzer", "andere Nutzer")} aktiv`,
  onlyYou: "Nur du bist aktiv",
  tasks: (n) => (n ? `, ${plural(n, "Aufgabe läuft", "Aufgaben laufen")}` : ", keine Aufgabe läuft"),
  nobody: (n) => `Niemand sonst ist aktiv, ${plural(n, "fremde Aufgabe läuft", "fremde Aufgaben laufen")}`,
  background: (n) => `, ${plural(n, "Hintergrundaufgabe läuft", "Hintergrundaufgaben laufen")}`,
  chart: (from, to, cap) =>
    `Laufende Aufgaben im Schwarm in den letzten 30 Minuten: von ${from} auf ${to}, Platz für ${cap}.`,
  chartShort: (now, cap) => `Laufende Aufgaben im Schwarm: jetzt ${now}, Platz für ${cap}.`,
  ago: "vor 30 min",
  now: "jetzt",
  fine: "Nur Zahlen: Einzelheiten anderer werden nie gezeigt.",
};

export const swarm = {
  title: "Zustand des Schwarms",
  healthy: "In Ordnung",
  warning: "Achtung",
  cpu: "CPU",
  memory: "Speicher",
  memoryOf: (used, total) => `${used} von ${total}`,
  disk: "Platte",
  diskFree: (mb) => `${sizeMb(mb)} frei`,
  queue: "Schlange",
  queueEmpty: "Leer",
  waiting: (n) => plural(n, "wartet", "warten"),
  slots: (busy, slots) => `${count(busy)} von ${plural(slots, "Platz", "Plätzen")}`,
  thisMachine: "diese Maschine",
  isolation: (line) => `Isolation: ${line}`,
  noSandbox:
    "Keine Sandbox: Aufgaben können nicht laufen. " +
    "Der Betreiber sieht den Grund dort, wo der Server gestartet wurde.",
};
