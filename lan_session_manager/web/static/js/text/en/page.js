/** The words of the frame: bar, banners, join, dialogs. */

import { count, duration, sizeMb } from "../../format.js";
import { plural } from "./plural.js";

export const page = {
  heading: "Dashboard",
  skip: "Skip to tasks",
  title: (running, lost) => (lost ? "Reconnecting" : running ? `${count(running)} running` : "Tasks"),
  loading: "Opening your session…",
  failed: "The dashboard could not be loaded",
  unreachable: "The server does not answer. Is this device still in the network?",
  rail: "Workspace and swarm",
  sections: "Sections",
  views: { tasks: "Tasks", files: "Files", swarm: "Swarm" },
  again: "This page tries again by itself.",
  identity: "Identity and state of the swarm",
  language: "Language",
  theme: "Switch between light and dark",
  themeLong: "Switch light or dark",
  said: (id, state) => `${id} ${state}`,
};

export const who = {
  you: "You are ",
  session: "session ",
  workspace: "workspace ",
  youLabel: "You are",
  sessionLabel: "Session",
  workspaceLabel: "Workspace",
};

export const health = {
  healthy: "Swarm healthy",
  warning: "Swarm needs attention",
  unknown: "Swarm state unknown",
  since: (time) => ` since ${time}`,
  free: (free, slots) => `, ${count(free)} of ${plural(slots, "slot", "slots")} free`,
  busy: (waiting) => `, all slots busy${waiting ? `, ${count(waiting)} waiting` : ""}`,
  isolation: (grade) => `, isolation is ${grade}`,
  noSandbox: ", it cannot run tasks now",
  disk: (mb) => `, ${sizeMb(mb)} of disk left`,
};

export const connection = {
  connecting: ["Connecting", "The live connection is being opened"],
  live: ["Live", "Updates arrive as they happen"],
  reconnecting: ["Reconnecting", "Connection lost"],
  polling: ["Polling", "No live connection: updates every 5 s"],
  ended: ["Ended", "The session has ended"],
  lost: "Connection lost.",
  in: (s) => ` Trying again in ${s} s`,
  now: " Trying again now",
  attempt: (n) => `, attempt ${n}`,
  tasks: ". Your tasks keep running",
  tasksLong: " on the server; start new ones once you are back. ",
  from: (time, ago) => `What you see is from ${time}, ${ago} ago.`,
  retry: "Retry",
  retryNow: " now",
};

export const ending = {
  idle: "Nobody has used this page for a while.",
  in: " The session ends in ",
  files: "; files stay.",
  keep: "Keep it",
  title: (left) => `Ends in ${left}`,
  over: {
    idle: "The session ended because nobody used it.",
    ended: "The session was ended.",
  },
  kept: " Your files are kept.",
  again: "Open it again",
  overTitle: "Session ended",
};

export const draining = {
  title: "The server is about to stop.",
  body: " What runs goes on to its end. New tasks are kept, and start once the server is back.",
};

export const message = {
  from: "From the owner of this server:",
  hide: "Hide this message",
  paused: "The owner has paused your session.",
  pausedBody: " What runs goes on to its end. New tasks are kept, and start once the owner lets the session go on.",
};

export const join = {
  button: "Join",
  name: "Join: show the address and QR code",
  title: "Join from another device",
  scan: "Scan the code, or open ",
  scanEnd: " on the same network.",
  byName: "Most devices also find it as ",
  fine: "No sign-up. Every device gets its own session and workspace; nobody sees the files of others.",
  qr: (url) => `QR code for ${url}`,
  copy: "Copy address",
  copied: "Address copied",
  byHand: "The address is selected: copy it with Ctrl+C",
  closed: "The owner finds out what to mend with the doctor, on the machine itself.",
  loading: "Asking for the address…",
  trust: "So that a device opens it without a warning, ",
  trustLink: "install the server's certificate",
  trustEnd: " there first, and compare this fingerprint with the one that the server printed at its start:",
};

export const dialog = {
  deleteTask: (id) => `Delete ${id}?`,
  deleteTaskBody: (title) =>
    `“${title}” leaves the list, and its log is lost. Files that it wrote to outputs/ stay in the workspace.`,
  deleteTaskButton: (id) => `Delete ${id}`,
  replaceDraft: {
    title: "Replace what you are writing?",
    body: "The command field holds another draft. It is replaced by the command of this task.",
    button: "Replace the draft",
  },
  keep: "Keep it",
};

export const errors = {
  network: "The server does not answer. Check the connection, then try again.",
  timeout: "The server took too long to answer. Try again.",
  status: (n) => `The server answered with status ${n}. Try again, and tell the owner if it stays.`,
  wait: (s) => ` You can try again in ${duration(s)}.`,
};
