/** The words about the network and the swarm. */

import { count, sizeMb } from "../../format.js";
import { plural } from "./plural.js";

export const network = {
  title: "Network activity",
  users: (n) => `${plural(n, "other user", "other users")} active`,
  onlyYou: "Only you are active",
  tasks: (n) => `, ${n ? plural(n, "task", "tasks") : "no task"} running`,
  nobody: (n) => `No other user active, ${plural(n, "task", "tasks")} of others running`,
  background: (n) => `, ${plural(n, "background task", "background tasks")} running`,
  chart: (from, to, cap) =>
    `Running tasks in the swarm over the last 30 minutes: from ${from} to ${to}, capacity ${cap}.`,
  chartShort: (now, cap) => `Running tasks in the swarm: ${now} now, capacity ${cap}.`,
  ago: "30 min ago",
  now: "now",
  fine: "Counts only: details of others are never shown.",
};

export const swarm = {
  title: "Swarm status",
  healthy: "Healthy",
  warning: "Attention",
  cpu: "CPU",
  memory: "Memory",
  memoryOf: (used, total) => `${used} of ${total}`,
  disk: "Disk",
  diskFree: (mb) => `${sizeMb(mb)} free`,
  queue: "Queue",
  queueEmpty: "Empty",
  waiting: (n) => `${count(n)} waiting`,
  slots: (busy, slots) => `${count(busy)} of ${plural(slots, "slot", "slots")}`,
  thisMachine: "this machine",
  isolation: (line) => `Isolation: ${line}`,
  noSandbox: "No sandbox: tasks cannot run. The owner sees why where the server was started.",
};
