/** The words about what a task made. */

import { count } from "../../format.js";
import { plural } from "./plural.js";

export const outputs = {
  none: "Dateien, die die Aufgabe nach outputs/ schreibt, stehen hier, sobald sie kommen.",
  noneQueued: "Dateien, die die Aufgabe nach outputs/ schreibt, stehen hier, wenn sie läuft.",
  soFar: "Bisher. Was gerade geschrieben wird, ist vielleicht nicht vollständig.",
  isNew: "neu",
  zip: (folder) => `${folder}/ als Zip laden`,
  noneEnded: "Die Aufgabe hat keine Dateien in outputs/ hinterlassen.",
  firstOf: (shown, total) =>
    `${count(shown)} von ${plural(total, "Datei", "Dateien")} gezeigt. Der Arbeitsbereich hat alle.`,
  open: "Im Arbeitsbereich öffnen",
  show: (name) => `Vorschau von ${name}`,
  hide: (name) => `Vorschau von ${name} schließen`,
  image: (w, h) => `${w} × ${h}, `,
  table: (rows, columns, whole) =>
    `${whole ? "" : "Anfang: "}${plural(rows, "Zeile", "Zeilen")}, ${plural(columns, "Spalte", "Spalten")}, `,
  rowsName: "Zeilen der Tabelle",
  moreRows: "Weitere Zeilen zeigen",
  moreText: "Mehr zeigen",
  page: (name) => `Vorschau der Seite ${name}`,
  pageNote: "Ohne ihre Skripte gezeigt und ohne etwas von anderswo.",
  pdf: "Ein PDF öffnet sich in einem eigenen Tab.",
  openPdf: "PDF öffnen",
  download: "Laden",
  noMedia: "Dieser Browser kann die Datei nicht abspielen. Lade sie herunter, um sie zu hören oder zu sehen.",
  box: (checked) => (checked ? "Erledigt" : "Nicht erledigt"),
  picture: (words) => `[Bild: ${words}]`,
  cut: "Das ist der Anfang; für den Rest lade die Datei herunter.",
  noImage: "Das ist kein Bild, das sich zeigen lässt. Lade es herunter, um hineinzusehen.",
  failed: (why) => `Keine Vorschau: ${why}`,
  alt: (name) => `Vorschau von ${name}`,
  blank: "Die Datei ist leer.",
};
