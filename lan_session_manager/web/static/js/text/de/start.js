/** The words of a first visit. */

import { plural } from "./plural.js";

export const start = {
  title: "Starte deine erste Aufgabe",
  titleAgain: "Starte eine Aufgabe",
  lead:
    "Sie läuft auf der gemeinsamen Maschine, nicht auf diesem Gerät. " +
    "Du kannst die Seite schließen; sie läuft weiter, und das Ergebnis wartet hier auf dich.",
  drop: "Datei ablegen",
  dropHere: "Dateien hier ablegen",
  dropOr: "oder ",
  upTo: (max) => `Bis zu ${max} insgesamt`,
  dropOptional: "Nichts zur Hand? Die Beispiele kommen ohne Datei aus.",
  pick: "Beispiel wählen",
  examples: {
    csv: [
      "CSV-Datei zusammenfassen",
      "Zeilen, Bereiche und Mittelwerte jeder Spalte; nimmt ein Muster, bis du eine eigene ablegst",
    ],
    list: ["Deine Dateien auflisten", "Alles in inputs/, outputs/ und temp/"],
    usage: ["Platzverbrauch messen", "Wie viel jeder Ordner belegt, nach outputs/usage.txt geschrieben"],
    primes: ["Primzahlen zählen", "Zehn Sekunden Arbeit, um ein Protokoll wachsen zu sehen"],
  },
  orType: "Oder schreibe oben einen beliebigen Befehl.",
  run: "Starten",
  busy: "Der Schwarm ist voll, sie wartet also vielleicht zuerst.",
  free: "Ein Platz ist frei, sie beginnt sofort.",
  sandboxed: (memory, time) => `In der Sandbox: kein Netzwerk, ${memory} Speicher, höchstens ${time}.`,
  results: "Ergebnisse erscheinen in ",
  button: "Diesen Befehl starten",
  nothing: "Wähle ein Beispiel oder schreibe oben einen Befehl.",
  moreLines: (n) => plural(n, "weitere Zeile", "weitere Zeilen"),
  noExamples: "Schreibe oben einen Befehl.",
  promise: [
    ["Kein Konto", "Dieses Gerät ist deine Sitzung. Komm mit demselben Gerät zurück, und deine Dateien sind hier."],
    ["Nur für dich", "Andere sehen, wie viele Aufgaben laufen, nie wessen oder welche."],
  ],
  fair: "Gerecht für alle",
  fairText: (tasks, quota) =>
    `Bis zu ${plural(tasks, "Aufgabe", "Aufgaben")} zugleich und ${quota} an Dateien für jede Sitzung.`,
};
