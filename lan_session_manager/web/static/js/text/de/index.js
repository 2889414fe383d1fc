/** Every word of the page in German. Another language is a folder beside this one with the same files and keys. */

import { composer } from "./composer.js";
import { detail, facts, plots } from "./detail.js";
import { DEVICE } from "./device.js";
import { log } from "./log.js";
import { outputs } from "./outputs.js";
import { page, who, health, connection, ending, draining, message, join, dialog, errors } from "./page.js";
import { start } from "./start.js";
import { network, swarm } from "./swarm.js";
import { tasks, keys, waits, meta } from "./tasks.js";
import { workspace, trash, upload } from "./workspace.js";

export { O, SIGNALS } from "./outcomes.js";

export const T = {
  product: "LAN Session Manager",
  dot: " · ",
  close: "Schließen",
  dismiss: "Ausblenden",
  retry: "Wiederholen",
  tryAgain: "Noch einmal versuchen",
  reading: "Wird gelesen…",
  spoken: (id) => `Aufgabe ${id}`,
  asOf: (time) => `Stand ${time}`,

  states: {
    queued: "Wartet",
    running: "Läuft",
    completed: "Fertig",
    failed: "Gescheitert",
    cancelled: "Abgebrochen",
  },
  whenLastSeen: (state) => `${state} (zuletzt gesehen)`,
  runners: { shell: "Shell", python: "Python", swarm: "Schwarm" },

  device: DEVICE,
  page,
  who,
  health,
  connection,
  ending,
  draining,
  message,
  join,
  dialog,
  errors,
  start,
  composer,
  tasks,
  keys,
  waits,
  meta,
  detail,
  facts,
  plots,
  outputs,
  log,
  workspace,
  trash,
  upload,
  network,
  swarm,
};
