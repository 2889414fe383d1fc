/** Every word of the admin page, in one place. */

import { count, duration, sizeMb } from "../../format.js";
import { plural } from "./plural.js";

const OPERATIONS = {
  "POST /admin/login": "Log in on the admin page",
  "POST /admin/logout": "Log out of the admin page",
  "POST /api/task/submit": "Submit a task",
  "ws submit_task": "Submit a task",
  "POST /api/task/{task_id}/cancel": "Cancel",
  "POST /api/task/{task_id}/rerun": "Run again",
  "POST /api/task/{task_id}/complete": "Complete",
  "DELETE /api/task/{task_id}": "Delete",
  "PUT /api/workspace/{client_ip}/files/{path}": "Upload a file to",
  "DELETE /api/workspace/{client_ip}/files/{path}": "Delete a file of",
  "POST /api/workspace/{client_ip}/files": "Upload files to",
  "POST /api/workspace/{client_ip}/uploads": "Begin an upload to",
  "PATCH /api/workspace/{client_ip}/uploads/{upload_id}": "Go on with an upload to",
  "DELETE /api/workspace/{client_ip}/uploads/{upload_id}": "Give up an upload to",
  "POST /api/workspace/{client_ip}/directory": "Make a folder in",
  "WS /ws/dashboard/{client_ip}": "Open the dashboard of",
  "POST /api/device": "Make a device known",
  "PATCH /api/device": "Name the device",
  "DELETE /api/device": "Forget the device",
  "DELETE /api/device/{device_id}": "Forget a device",
  "POST /api/device/carry": "Carry the session to another device",
  "POST /api/device/claim": "Claim a carried session",
  "POST /api/device/leave": "Go back to the own session",
  "GET /api/sessions/all": "Look at all sessions",
};
const OF_ADMIN = {
  "GET connections": "Look at all connections",
  "GET session/{client_ip}/limits": "Look at the limits of",
  "PUT session/{client_ip}/limits": "Change the limits of",
  "POST session/{client_ip}/end": "End the session",
};

/** @param {string} operation of the audit log @returns {string} it in words, or as it is */
function operation(name) {
  return OPERATIONS[name] ?? OF_ADMIN[name.replace(/\/(api\/admin|admin\/api)\//, "")] ?? name;
}

export const A = {
  product: "LAN Session Manager",
  tag: "Admin",
  title: "Sessions and swarm",
  skip: "Skip to sessions",
  theme: "Switch between light and dark",
  dashboard: "My dashboard",
  logout: "Log out",
  signedIn: ["Signed in as ", "admin"],
  polling: ["Polling", "Updates every 5 s"],
  lost: ["No answer", "The server does not answer; asking again every 5 s"],
  opening: "Opening the admin page…",
  asOf: (time) => `As of ${time}`,
  stale: (time) => `The server does not answer. What you see is from ${time}.`,
  dismiss: "Dismiss",
  summary: (live, swarm) =>
    `${plural(live, "session", "sessions")} live, ${plural(swarm.active_tasks, "task", "tasks")} running, ` +
    `${count(swarm.queue_length)} waiting. Capacity is ${plural(swarm.slots, "slot", "slots")} on this machine.`,

  login: {
    title: "Admin",
    lead: "Log in with the admin token. The server printed at its start where the token is.",
    token: "Admin token",
    button: "Log in",
    empty: "Type or paste the admin token first.",
  },

  sessions: {
    title: "Sessions",
    of: (total, live) => `${plural(total, "session", "sessions")}, ${count(live)} live`,
    left: (shown) => `The ${count(shown)} that were seen last are listed.`,
    find: "Find a session",
    findHint: "Find by address or device",
    none: "No session yet.",
    noneFound: "No session fits.",
    table: "Sessions table",
    heads: ["State", "Address", "Devices", "Running", "Memory", "Disk", "Last activity"],
    actions: "Actions",
    states: { active: "Active", idle: "Idle", expired: "Expired" },
    noDevice: "no device of its own",
    kinds: { browser: "browser", program: "program" },
    more: (n) => `and ${plural(n, "more", "more")}`,
    ofMost: (n, most) => `${count(n)} of ${count(most)}`,
    queued: (n) => `${count(n)} waiting`,
    mb: (n, most) => `${sizeMb(n)} of ${sizeMb(most)}`,
    memoryHint: "What the running tasks may take together",
    close: "Close to the limit",
    unknown: "not measured",
    now: "now",
    ago: (s) => `${duration(s)} ago`,
    own: "own limits",
    limits: "Limits…",
    limitsOf: (name) => `Limits of ${name}`,
    end: "End…",
    endOf: (name) => `End session ${name}`,
    log: "Log",
    logOf: (name) => `Audit log of ${name}`,
  },

  end: {
    title: (name) => `End session ${name}?`,
    body: (running, queued) =>
      `${running ? `${plural(running, "running task stops", "running tasks stop")}. ` : ""}` +
      `${queued ? `${plural(queued, "waiting task is", "waiting tasks are")} cancelled. ` : ""}` +
      "Its files stay. A device that comes back opens the session again.",
    keep: "Keep it",
    button: "End session",
  },

  limits: {
    title: (name) => `Limits of ${name}`,
    lead: "An empty field is as the settings have it. In force from the session's next task on.",
    fields: {
      max_concurrent_tasks: "Tasks that run at once",
      queue_bound: "Tasks that may wait",
      memory_mb: "Memory of all tasks, MB",
      cores: "Processor cores of all tasks",
      pids: "Processes of all tasks",
      quota_mb: "Disk of its files, MB",
      files: "Files and folders",
      time_s: "Time of a task, seconds",
      open_files: "Open files of a process",
      log_mb: "Log of a task, MB",
      logs_mb: "Logs of ended tasks, MB",
      weight: "Weight of its fair share",
    },
    now: (value) => `now ${value}`,
    networks: "Network profiles",
    networksUsual: "As in the settings",
    numbers: "A limit is a number. Empty the field for what the settings have.",
    cancel: "Cancel",
    save: "Save limits",
  },

  audit: {
    title: "Audit log",
    fine: "Append-only, newest first",
    table: "Audit log table",
    heads: ["Time", "Who", "What", "Result"],
    filter: "Result",
    verdicts: { "": "All", allowed: "Allowed", refused: "Refused" },
    results: { allowed: "Allowed", refused: "Refused" },
    session: "Of one session",
    sessionHint: "Address or workspace",
    none: "Nothing has been written down yet.",
    noneFound: "Nothing fits.",
    older: "Show older",
    operation,
    roles: { admin: "admin", worker: "worker" },
  },

  connections: {
    title: "Connections of tasks",
    fine: "Newest first",
    table: "Connections table",
    heads: ["Time", "Task", "To", "Result"],
    none: "No task has tried to reach a network.",
    more: (n) => plural(n, "further connection", "further connections"),
    verdict: (word) => word.replaceAll("_", " "),
  },
};
