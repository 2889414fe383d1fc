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
  exit: (code) => `Exit ${code}`,
  exitWith: (code, why) => `Exit ${code}, ${why}`,
  notFound: "command not found",
  notRunnable: "the command cannot be run",
  signal: (n) => (n > 0 ? `signal ${n}` : "a signal"),
  childMemory: (mb) => `a child ran out of memory: limit ${sizeMb(mb)}`,
  memory: (mb) => `out of memory: limit ${sizeMb(mb)}`,
  memoryOf: "out of memory",
  signal: (name) => `Stopped by ${name}`,
  time: (s) => `Time limit of ${duration(s)} reached`,
  quota: "Stopped for the disk",
  output: "Printed more than it may",
  session: "Stopped: the session ended",
  lost: "Lost: the server or its machine stopped while it ran",
  start: "Could not start",
  dependency: "A task that it waited for did not complete",
  failed: "Failed",
  because: (what, why) => `${what}: ${why}`,

  titles: {
    exit: (code) => `The program ended with exit code ${code}`,
    signal: (name) => `The program was stopped by ${name}`,
    out_of_memory: (mb) => `Out of memory: limit ${sizeMb(mb)}`,
    outOfMemory: "Out of memory",
    time_limit: (s) => `Time limit reached: ${duration(s)}`,
    disk_quota: "Stopped for what is on the disk",
    output_limit: "Too much output",
    session_ended: "The session ended while the task ran",
    lost: "The task was lost",
    start_failed: "The task could not start",
    dependency_failed: "A task that this one waits for did not complete",
    other: "The task failed",
  },
  bodies: {
    exit: "Any code but 0 means that the program itself reports a failure. The end of the log usually says why.",
    notFound: "The sandbox has no program of that name. Check the spelling, or use one that the shared machine has.",
    notRunnable:
      "The file is there but cannot be run. Start it through its interpreter, for example with sh or python3.",
    childMemory: (mb) =>
      `A child process was stopped at the limit of ${sizeMb(mb)}. Give the task more memory, or work on less at once.`,
    signal: "The program crashed or a process of the task ended it. The end of the log may say where.",
    out_of_memory: (ran, code) =>
      `The task asked for more memory than it was allowed and was stopped${ran ? ` after ${ran}` : ""}` +
      `${code === null ? "" : ` (exit ${code})`}. Give it more memory, or read the data in parts.`,
    time_limit: (s) =>
      `The task ran for ${duration(s)}, as long as it may, and was stopped. Give it more time, or split the work.`,
    disk_quota:
      "A limit of the disk was met, of the task, of the workspace or of the whole server. Files are kept. " +
      "Delete or download some, or give the task more, then run it again.",
    output_limit:
      "The task printed more than it may and was stopped. Write long results to outputs/ in place of printing them.",
    session_ended:
      "The session of this device ended before the task did. Its files are kept; run it again to start over.",
    lost: "The server, or the machine that ran it, stopped before the task ended. Run it again.",
    start_failed:
      "The sandbox for it could not be made. Run it again; tell the owner of this server if that does not help.",
    dependency_failed: "It was never started. Mend the other task first, then run this one again.",
    other: "The end of the log may say why.",
  },
  rerun: "Run again",
  rerunMemory: (mb) => `Run again with ${sizeMb(mb)}`,
  rerunDisk: (mb) => `Run again with ${sizeMb(mb)} on the disk`,
  rerunTime: (s) => `Run again with ${duration(s)}`,
  edit: "Edit command",
  exitCode: (code, why) => (why ? `${count(code)}, ${why}` : count(code)),
  stopped: "stopped by the sandbox: out of memory",
};
