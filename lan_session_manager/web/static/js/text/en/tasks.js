/** The words of the list of tasks. */

import { count, duration, sizeMb } from "../../format.js";
import { plural } from "./plural.js";

export const tasks = {
  title: "My tasks",
  search: "Search your tasks",
  searchHint: "Search tasks",
  looking: "Looking through older tasks…",
  noneFound: "No task has that in its title, id or command.",
  noneHere: "What was found has another state.",
  counted: (n, more) => `${count(n)}${more ? "+" : ""}`,
  choosing: "Select",
  choose1: (id) => `Select ${id}`,
  chosen: (n) => `${count(n)} selected`,
  chooseAll: (n) => `Select all ${count(n)}`,
  chooseNone: "Done",
  many: {
    cancel: (n) => `Cancel ${count(n)}`,
    rerun: (n) => `Run ${count(n)} again`,
    delete: (n) => `Delete ${count(n)}`,
  },
  deleteMany: (n) => ({
    title: `Delete ${plural(n, "task", "tasks")}?`,
    body: "They leave the list, and their logs are lost. Files that they wrote to outputs/ stay in the workspace.",
    button: `Delete ${plural(n, "task", "tasks")}`,
  }),
  refused: (n, why) => `For ${plural(n, "task", "tasks")} it could not be done: ${why}`,
  gone: "That link leads to no task of this session: it was deleted, or is of another one.",
  partly: (done, of, why) => `It was done for ${count(done)} of ${plural(of, "task", "tasks")}, then it stopped: ${why}`,
  first: (id) => `Run ${id} next`,
  filterName: "Filter tasks",
  filters: { all: "All", running: "Running", queued: "Queued", done: "Done", failed: "Failed" },
  empty: {
    running: "No task is running.",
    queued: "No task is waiting.",
    done: "No task has completed or been cancelled yet.",
    failed: "No task has failed.",
  },
  showAll: "Show all",
  cancel: (id) => `Cancel ${id}`,
  rerun: (id) => `Run ${id} again`,
  remove: (id) => `Delete ${id}`,
  cancelShort: "Cancel",
  stopping: "Stopping",
  rerunShort: "Run again",
  removeShort: "Delete",
  choose: "Choose a task to see its log.",
};

export const keys = {
  title: "Keys",
  where: "The first two work everywhere but in a field, the others while the focus is in the list of tasks.",
  all: [
    ["?", "Show this"],
    ["/", "Search tasks"],
    ["j k ↓ ↑", "Next, previous task"],
    ["Home End", "First, last task"],
    ["Enter", "Open the task"],
    ["x", "Select or leave out; with Shift all from the last one on"],
    ["c", "Cancel"],
    ["r", "Run again"],
    ["n", "Write a new task"],
    ["Esc", "End selecting"],
  ],
};

export const waits = {
  next: "Next in queue",
  position: (n) => `Position ${count(n)} in queue`,
  unknown: ", waiting time unknown",
  about: (s) => `, about ${duration(s)}`,
  ownLimit: (running, max) =>
    `${count(running)} of your ${plural(max, "task", "tasks")} ${running === 1 ? "is" : "are"} running`,
  memory: (size) => `Waiting for ${size} of memory`,
  dependency: (id, more) => `Waits for ${id}${more ? ` and ${plural(more, "more task", "more tasks")}` : ""}`,
  dependencies: "Waits for other tasks of yours",
  startAfter: (time) => `Starts after ${time}`,
  worker: "Waits for a swarm worker",
  paused: "Waits: the owner has paused your session",
  alone: "Runs alone: waits until your other tasks have ended",
  waiting: "Waiting to start",
};

export const meta = {
  started: (time) => `Started ${time}`,
  stopping: "Stopping",
  cpu: "CPU",
  memory: "Mem",
  notYet: "–",
  outputs: (n) => (n ? plural(n, "output", "outputs") : "No outputs"),
  peakOf: (mb) => `, peak ${sizeMb(mb)}`,
  cancelledBy: {
    cancelled_by_user: "Cancelled by you",
    cancelled_by_admin: "Cancelled by the owner of this server",
    session_ended: "Stopped: the session ended",
    dependency_failed: "Cancelled: a task that it waited for did not complete",
  },
  cancelled: "Cancelled",
  beforeStart: " before it started",
};
