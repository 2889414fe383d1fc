/** The words of the form for a new task. */

import { count } from "../../format.js";
import { plural } from "./plural.js";

export const composer = {
  name: "New task",
  field: "Command",
  runner: "Runner",
  hints: { shell: "Type a shell command", python: "Type Python code", other: "Type a command" },
  attach: "Attach",
  attachTitle: "Upload files to inputs/ for this task, or drop them here",
  drop: "Drop to attach",
  insert: (path) => `Insert ${path} into the command`,
  detach: (name) => `Remove ${name} from this task`,
  options: "Options",
  summary: (time, memory, network) => `${time} · ${memory} · ${network === "none" ? "no network" : network}`,
  time: "Time limit",
  memory: "Memory",
  memoryHint: "A task that needs more is stopped.",
  network: "Network",
  networkNone: "None: tasks cannot reach the network",
  networkOff: "None",
  order: "Order",
  orders: { 0: "As it comes", 10: "Before my other tasks", "-10": "After my other tasks" },
  start: "Not before",
  startHint: "Empty: as soon as a slot is free.",
  startsAt: (time) => ` · not before ${time}`,
  networkHint: "It reaches what the owner has listed under that name. What it connects to is written down.",
  running: (max) => ` of ${count(max)} running`,
  slotsTitle: (max) => `You may run ${plural(max, "task", "tasks")} at once`,
  willQueue: ", this one will queue",
  paused: ", paused by the owner: this one will wait",
  draining: ", the server is about to stop: this one will wait",
  draftKept: "Draft kept",
  nothing: "There is nothing to run yet: type a command first.",
  noTime: "The task cannot start at that time: choose another one, or none.",
  uploading: "Uploading first",
  run: "Run",
  sending: "Sending",
  noSandbox:
    "This server cannot run tasks now: its sandbox did not pass the self-test. " +
    "The owner sees why where the server was started.",
  mac: "⌘ ↵",
  keys: "Ctrl ↵",
};
