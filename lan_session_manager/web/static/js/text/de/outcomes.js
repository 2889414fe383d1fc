/** The words for why a task ended badly: what happened, why with numbers, what to do. */

import { count, duration, sizeMb } from "../../format.js";

export const SIGNALS = {
  1: "SIGHUP",
  2: "SIGINT",
  3: "SIGQUIT",
  4: "SIGILL",
  5: "SIGTRAP",
  6: "SIGABRT",
  7: "SIGBUS",
  8: "SIGFPE",
  9: "SIGKILL",
  11: "SIGSEGV",
  13: "SIGPIPE",
  14: "SIGALRM",
  15: "SIGTERM",
  24: "SIGXCPU",
  25: "SIGXFSZ",
  31: "SIGSYS",
};

export const O = {
  exit: (code) => `Exit-Code ${code}`,
  exitWith: (code, why) => `Exit-Code ${code}, ${why}`,
  notFound: "Befehl nicht gefunden",
  notRunnable: "der Befehl lässt sich nicht ausführen",
  signal: (n) => (n > 0 ? `Signal ${n}` : "ein Signal"),
  childMemory: (mb) => `einem Kindprozess fehlte Speicher: Grenze ${sizeMb(mb)}`,
  memory: (mb) => `zu wenig Speicher: Grenze ${sizeMb(mb)}`,
  memoryOf: "zu wenig Speicher",
  signal: (name) => `Gestoppt durch ${name}`,
  time: (s) => `Zeitgrenze von ${duration(s)} erreicht`,
  quota: "Gestoppt wegen der Platte",
  output: "Hat mehr ausgegeben als erlaubt",
  session: "Gestoppt: die Sitzung endete",
  lost: "Verloren: der Server oder seine Maschine hielt an, während sie lief",
  start: "Ließ sich nicht starten",
  dependency: "Eine Aufgabe, auf die sie wartete, wurde nicht fertig",
  failed: "Fehlgeschlagen",
  because: (what, why) => `${what}: ${why}`,

  titles: {
    exit: (code) => `Das Programm endete mit Exit-Code ${code}`,
    signal: (name) => `Das Programm wurde durch ${name} gestoppt`,
    out_of_memory: (mb) => `Zu wenig Speicher: Grenze ${sizeMb(mb)}`,
    outOfMemory: "Zu wenig Speicher",
    time_limit: (s) => `Zeitgrenze erreicht: ${duration(s)}`,
    disk_quota: "Gestoppt wegen dessen, was auf der Platte liegt",
    output_limit: "Zu viel Ausgabe",
    session_ended: "Die Sitzung endete, während die Aufgabe lief",
    lost: "Die Aufgabe ging verloren",
    start_failed: "Die Aufgabe ließ sich nicht starten",
    dependency_failed: "Eine Aufgabe, auf die diese wartet, wurde nicht fertig",
    other: "Die Aufgabe ist fehlgeschlagen",
  },
  bodies: {
    exit:
      "Jeder Code außer 0 heißt: das Programm selbst meldet einen Fehler. " +
      "Warum, steht meist am Ende des Protokolls.",
    notFound:
      "Die Sandbox hat kein Programm dieses Namens. " +
      "Prüfe die Schreibweise, oder nimm eines, das die gemeinsame Maschine hat.",
    notRunnable:
      "Die Datei ist da, lässt sich aber nicht ausführen. Starte sie mit ihrem Interpreter, etwa mit sh oder python3.",
    childMemory: (mb) =>
      `Ein Kindprozess wurde an der Grenze von ${sizeMb(mb)} gestoppt. ` +
      "Gib der Aufgabe mehr Speicher, oder bearbeite weniger auf einmal.",
    signal:
      "Das Programm ist abgestürzt, oder ein Prozess der Aufgabe hat es beendet. " +
      "Das Ende des Protokolls sagt vielleicht, wo.",
    out_of_memory: (ran, code) =>
      `Die Aufgabe wollte mehr Speicher als erlaubt und wurde${ran ? ` nach ${ran}` : ""} gestoppt` +
      `${code === null ? "" : ` (Exit-Code ${code})`}. Gib ihr mehr Speicher, oder lies die Daten in Teilen.`,
    time_limit: (s) =>
      `Die Aufgabe lief ${duration(s)}, so lange sie darf, und wurde gestoppt. ` +
      "Gib ihr mehr Zeit, oder teile die Arbeit auf.",
    disk_quota:
      "Eine Grenze der Platte wurde erreicht: die der Aufgabe, des Arbeitsbereichs oder des ganzen Servers. " +
      "Die Dateien bleiben. Lösche welche oder lade sie herunter, oder gib der Aufgabe mehr, und starte sie dann " +
      "noch einmal.",
    output_limit:
      "Die Aufgabe hat mehr ausgegeben als erlaubt und wurde gestoppt. " +
      "Schreib lange Ergebnisse nach outputs/, statt sie auszugeben.",
    session_ended:
      "Die Sitzung dieses Geräts endete vor der Aufgabe. " +
      "Ihre Dateien bleiben; starte sie noch einmal, um von vorn zu beginnen.",
    lost: "Der Server oder die Maschine, auf der sie lief, hielt vor ihrem Ende an. Starte sie noch einmal.",
    start_failed:
      "Ihre Sandbox ließ sich nicht einrichten. Starte sie noch einmal; sag es dem Betreiber, wenn das nicht hilft.",
    dependency_failed:
      "Sie wurde nie gestartet. Bring zuerst die andere Aufgabe in Ordnung, und starte dann diese noch " +
      "einmal.",
    other: "Das Ende des Protokolls sagt vielleicht, warum.",
  },
  rerun: "Noch einmal",
  rerunMemory: (mb) => `Noch einmal mit ${sizeMb(mb)}`,
  rerunDisk: (mb) => `Noch einmal mit ${sizeMb(mb)} auf der Platte`,
  rerunTime: (s) => `Noch einmal mit ${duration(s)}`,
  edit: "Befehl ändern",
  exitCode: (code, why) => (why ? `${count(code)}, ${why}` : count(code)),
  stopped: "von der Sandbox gestoppt: zu wenig Speicher",
};
