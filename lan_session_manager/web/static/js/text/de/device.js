/** The words about devices: who opens a session, and how it gets to another device. */

import { duration } from "../../format.js";
import { plural } from "./plural.js";

export const DEVICE = {
  title: "Gerät und Sitzung",
  thisOne: "Dieses Gerät",
  nameless: "Dieser Browser",
  rename: (name) => `${name} umbenennen`,
  nameField: "Name dieses Geräts",
  save: "Speichern",
  cancel: "Abbrechen",
  nameRule: "Ein Name hat 1 bis 40 Zeichen.",
  seenAt: (time) => `gesehen ${time}`,
  seenNow: "gerade gesehen",
  others: "Andere Geräte dieser Sitzung",
  none: "Kein anderes Gerät öffnet diese Sitzung.",
  program: "Programm",
  loading: "Der Server wird gefragt…",

  sharedTag: "geteilte Adresse",
  sharedTitle: "Mehrere Geräte benutzen diese Adresse: jedes wird allein an seinem Cookie erkannt",
  shared: (address) =>
    `Mehrere Geräte mit eigenen Sitzungen benutzen die Adresse ${address}. Jedes wird allein an seinem Cookie erkannt.`,
  cannotTell: (address) =>
    `Dieser Server kann Geräte unter ${address} nicht unterscheiden. Bis dort eine zweite Sitzung geöffnet wird, ` +
    "öffnet diese Sitzung, wer diese Adresse hat.",
  noCookies: (address) =>
    `Dieser Browser behält keine Cookies, der Server kennt ihn also nur an seiner Adresse: wer ${address} hat, ` +
    "öffnet diese Sitzung. Erlaube Cookies, um dieses Gerät zu benennen oder seine Sitzung mitzunehmen.",
  carried: "Das ist die Sitzung eines anderen Geräts. Die eigene Sitzung dieses Geräts wartet auf es.",
  leave: "Zurück zur eigenen Sitzung dieses Geräts",

  carry: "Auf ein anderes Gerät mitnehmen",
  claim: "Ich habe einen Code",
  token: "Token für ein Programm",
  fresh: "Nicht meine Sitzung",
  forget: "Dieses Gerät vergessen",
  forgetOther: (name) => `${name} vergessen`,

  carryTitle: "Diese Sitzung auf ein anderes Gerät mitnehmen",
  carryHow: "Scanne den QR-Code mit dem anderen Gerät. Oder öffne dort ",
  carryHowEnd: ", drücke auf die Adresse, die es für sich zeigt, und wähle „Ich habe einen Code“:",
  carryWhat:
    "Das Gerät öffnet dann diese Sitzung mit allen Aufgaben und Dateien, bis eines der beiden das andere vergisst.",
  carryQr: "QR-Code, der diese Sitzung auf einem anderen Gerät öffnet",
  carryCode: (digits) => `Code: ${[...digits].join(" ")}`,
  carryLeft: (s) => `Für ein Gerät, noch ${duration(s)}`,
  carryOver: "Dieser Code ist abgelaufen.",
  carryUsed: (name) => `${name} öffnet diese Sitzung jetzt.`,
  carryNew: "Neuer Code",
  carryMaking: "Ein Code wird gemacht…",

  claimTitle: "Die Sitzung eines anderen Geräts öffnen",
  claimField: "Code des anderen Geräts",
  claimHint: "6 Ziffern. Das andere Gerät zeigt sie unter „Auf ein anderes Gerät mitnehmen“.",
  claimRule: "Ein Code hat 6 Ziffern.",
  claimWhat: "Was dieses Gerät jetzt zeigt, bleibt: ein Druck auf seine Adresse führt zur eigenen Sitzung zurück.",
  claimButton: "Sitzung öffnen",
  claimLinkTitle: "Die Sitzung eines anderen Geräts hier öffnen?",
  claimLink:
    "Du hast einen Link geöffnet, der eine Sitzung mitbringt. " +
    "Dieses Gerät zeigt dann die Aufgaben und Dateien jener Sitzung.",
  claimNot: "Jetzt nicht",
  claimWait: (s) => `In ${duration(s)} kannst du es wieder versuchen.`,

  tokenTitle: "Token für ein Programm",
  tokenWhat:
    "Ein Programm, das dieses Token sendet, öffnet diese Sitzung von überall im Netzwerk, " +
    "bis du es in der Liste der Geräte vergisst.",
  tokenField: "Name des Programms",
  tokenDefault: "Programm",
  tokenMake: "Token machen",
  tokenOnce: "Es wird nur jetzt gezeigt. Bewahre es wie ein Passwort auf.",
  tokenCopy: "Token kopieren",
  tokenCopied: "Token kopiert",
  tokenByHand: "Das Token ist markiert: mit Strg+C kopieren",
  tokenUse: "Das Programm sendet es mit jeder Anfrage:",
  done: "Fertig",

  confirmFresh: (others, sharing) => ({
    title: "Nicht deine Sitzung?",
    body:
      "Dieses Gerät bekommt eine neue, leere Sitzung und kann diese nicht mehr öffnen. " +
      (others
        ? `Aufgaben und Dateien bleiben für ${plural(others, "anderes Gerät", "andere Geräte")}.`
        : "Aufgaben und Dateien bleiben denen, denen sie gehören.") +
      (sharing ? " Von da an gilt diese Adresse als geteilt: jedes Gerät dort braucht ein Cookie." : ""),
    button: "Neue Sitzung beginnen",
    keep: "Hier bleiben",
  }),
  confirmForget: (others) => ({
    title: "Dieses Gerät vergessen?",
    body:
      "Sein Schlüssel wird zerstört, und alle seine offenen Seiten schließen sich. " +
      (others
        ? `Aufgaben und Dateien bleiben für ${plural(others, "anderes Gerät", "andere Geräte")} dieser Sitzung.`
        : "Kein anderes Gerät öffnet diese Sitzung: niemand erreicht ihre Aufgaben und Dateien dann mehr. " +
          "Lade vorher herunter, was du brauchst, oder nimm die Sitzung auf ein anderes Gerät mit."),
    button: "Dieses Gerät vergessen",
    keep: "Behalten",
  }),
  confirmForgetOther: (name, isProgram, isGuest) => ({
    title: `${name} vergessen?`,
    body: isProgram
      ? "Sein Token gilt sofort nicht mehr. Aufgaben und Dateien der Sitzung bleiben."
      : isGuest
        ? "Es kehrt sofort zu seiner eigenen Sitzung zurück und kann diese nicht mehr öffnen. " +
          "Aufgaben und Dateien bleiben."
        : "Seine offenen Seiten schließen sich sofort, und es kann diese Sitzung nicht mehr öffnen. " +
          "Aufgaben und Dateien bleiben.",
    button: `${name} vergessen`,
    keep: "Behalten",
  }),

  gone: {
    forgotten: [
      "Dieses Gerät wurde vergessen",
      "Ein anderes Gerät der Sitzung hat es herausgenommen, oder der Server kennt es nicht mehr. " +
        "Laufende Aufgaben laufen weiter; Geräte, die die Sitzung noch öffnen, sehen sie.",
    ],
    left: [
      "Dieses Gerät ist vergessen",
      "Der Server kennt es nicht mehr, und dieser Browser hat nichts von der Sitzung behalten.",
    ],
    cookies: [
      "Dieser Browser behält keine Cookies",
      "Unter dieser Adresse kennt der Server ein Gerät allein an seinem Cookie. " +
      "Erlaube Cookies für diese Seite und versuche es noch einmal.",
    ],
  },
  anew: "Neu beginnen",
};
