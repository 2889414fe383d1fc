/** The words of the frame: bar, banners, join, dialogs. */

import { count, duration, sizeMb } from "../../format.js";
import { plural } from "./plural.js";

export const page = {
  heading: "Übersicht",
  skip: "Zu den Aufgaben springen",
  title: (running, lost) => (lost ? "Verbindet neu" : running ? `${plural(running, "läuft", "laufen")}` : "Aufgaben"),
  loading: "Deine Sitzung wird geöffnet…",
  failed: "Die Übersicht konnte nicht geladen werden",
  unreachable: "Der Server antwortet nicht. Ist dieses Gerät noch im Netzwerk?",
  rail: "Arbeitsbereich und Schwarm",
  sections: "Bereiche",
  views: { tasks: "Aufgaben", files: "Dateien", swarm: "Schwarm" },
  again: "Die Seite versucht es von selbst wieder.",
  identity: "Identität und Zustand des Schwarms",
  language: "Sprache",
  theme: "Zwischen hell und dunkel wechseln",
  themeLong: "Hell oder dunkel",
  said: (id, state) => `${id} ${state}`,
};

export const who = {
  you: "Du bist ",
  session: "Sitzung ",
  workspace: "Arbeitsbereich ",
  youLabel: "Du bist",
  sessionLabel: "Sitzung",
  workspaceLabel: "Arbeitsbereich",
};

export const health = {
  healthy: "Schwarm in Ordnung",
  warning: "Schwarm braucht Aufmerksamkeit",
  unknown: "Zustand des Schwarms unbekannt",
  since: (time) => ` seit ${time}`,
  free: (free, slots) => `, ${count(free)} von ${plural(slots, "Platz", "Plätzen")} frei`,
  busy: (waiting) => `, alle Plätze belegt${waiting ? `, ${plural(waiting, "wartet", "warten")}` : ""}`,
  isolation: (grade) => `, Isolation: ${grade}`,
  noSandbox: ", er kann gerade keine Aufgaben ausführen",
  disk: (mb) => `, noch ${sizeMb(mb)} auf der Platte frei`,
};

export const connection = {
  connecting: ["Verbindet", "Die Live-Verbindung wird geöffnet"],
  live: ["Live", "Neues kommt, sobald es geschieht"],
  reconnecting: ["Verbindet neu", "Verbindung verloren"],
  polling: ["Abfragen", "Keine Live-Verbindung: Neues alle 5 s"],
  ended: ["Beendet", "Die Sitzung ist zu Ende"],
  lost: "Verbindung verloren.",
  in: (s) => ` Neuer Versuch in ${s} s`,
  now: " Neuer Versuch läuft",
  attempt: (n) => `, Versuch ${n}`,
  tasks: ". Deine Aufgaben laufen weiter",
  tasksLong: " auf dem Server; neue startest du, sobald du wieder verbunden bist. ",
  from: (time, ago) => `Was du siehst, ist von ${time}, vor ${ago}.`,
  retry: "Erneut",
  retryNow: " versuchen",
};

export const ending = {
  idle: "Diese Seite hat seit einer Weile niemand benutzt.",
  in: " Die Sitzung endet in ",
  files: "; Dateien bleiben.",
  keep: "Offen halten",
  title: (left) => `Endet in ${left}`,
  over: {
    idle: "Die Sitzung ist zu Ende, weil sie niemand benutzt hat.",
    ended: "Die Sitzung wurde beendet.",
  },
  kept: " Deine Dateien bleiben.",
  again: "Wieder öffnen",
  overTitle: "Sitzung beendet",
};

export const draining = {
  title: "Der Server hält gleich an.",
  body: " Was läuft, läuft zu Ende. Neue Aufgaben bleiben und starten, sobald der Server zurück ist.",
};

export const message = {
  from: "Vom Betreiber dieses Servers:",
  hide: "Diese Nachricht ausblenden",
  paused: "Der Betreiber hat deine Sitzung angehalten.",
  pausedBody:
    " Was läuft, läuft zu Ende. Neue Aufgaben bleiben und starten, sobald der Betreiber die Sitzung " +
    "fortsetzt.",
};

export const join = {
  button: "Mitmachen",
  name: "Mitmachen: Adresse und QR-Code zeigen",
  title: "Mit einem anderen Gerät mitmachen",
  scan: "Scanne den Code oder öffne ",
  scanEnd: " im selben Netzwerk.",
  byName: "Die meisten Geräte finden ihn auch unter ",
  fine:
    "Ohne Anmeldung. Jedes Gerät hat seine eigene Sitzung und seinen Arbeitsbereich; " +
    "niemand sieht die Dateien anderer.",
  qr: (url) => `QR-Code für ${url}`,
  copy: "Adresse kopieren",
  copied: "Adresse kopiert",
  byHand: "Die Adresse ist markiert: mit Strg+C kopieren",
  closed: "Was zu richten ist, erfährt der Betreiber an der Maschine selbst mit dem Doctor.",
  loading: "Die Adresse wird erfragt…",
  trust: "Damit ein Gerät die Seite ohne Warnung öffnet, dort zuerst ",
  trustLink: "das Zertifikat des Servers installieren",
  trustEnd: " und diesen Fingerabdruck mit dem vergleichen, den der Server beim Start ausgegeben hat:",
};

export const dialog = {
  deleteTask: (id) => `${id} löschen?`,
  deleteTaskBody: (title) =>
    `„${title}“ verschwindet aus der Liste, und das Protokoll geht verloren. ` +
    "Dateien, die sie nach outputs/ geschrieben hat, bleiben im Arbeitsbereich.",
  deleteTaskButton: (id) => `${id} löschen`,
  replaceDraft: {
    title: "Was du gerade schreibst ersetzen?",
    body: "Im Befehlsfeld steht ein anderer Entwurf. Der Befehl dieser Aufgabe tritt an seine Stelle.",
    button: "Entwurf ersetzen",
  },
  keep: "Behalten",
};

export const errors = {
  network: "Der Server antwortet nicht. Prüfe die Verbindung und versuche es noch einmal.",
  timeout: "Der Server hat zu lange gebraucht. Versuche es noch einmal.",
  status: (n) =>
    `Der Server hat mit Status ${n} geantwortet. ` +
    "Versuche es noch einmal, und sag es dem Betreiber, wenn es so bleibt.",
  wait: (s) => ` In ${duration(s)} kannst du es wieder versuchen.`,
};
