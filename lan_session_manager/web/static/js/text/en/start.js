/** The words of a first visit. */

import { plural } from "./plural.js";

export const start = {
  title: "Run your first task",
  titleAgain: "Run a task",
  lead:
    "It runs on the shared machine, not on this device. " +
    "You can close the page; it keeps going, and the result waits for you here.",
  drop: "Drop a file",
  dropHere: "Drop files here",
  dropOr: "or ",
  upTo: (max) => `Up to ${max} in total`,
  dropOptional: "Nothing at hand? The examples work without a file.",
  pick: "Pick an example",
  examples: {
    csv: [
      "Summarise a CSV file",
      "Rows, ranges and means of every column; uses a sample until you drop your own",
    ],
    list: ["List your files", "Everything in inputs/, outputs/ and temp/"],
    usage: ["Measure disk usage", "How much each folder takes, written to outputs/usage.txt"],
    primes: ["Count primes", "Ten seconds of work, to watch a log grow"],
  },
  orType: "Or type any command in the field above.",
  run: "Run",
  busy: "The swarm is full, so it may wait first.",
  free: "A slot is free, so it starts at once.",
  sandboxed: (memory, time) => `Sandboxed: no network, ${memory} memory, ${time} at most.`,
  results: "Results appear in ",
  button: "Run this command",
  nothing: "Pick an example, or type a command in the field above.",
  moreLines: (n) => plural(n, "more line", "more lines"),
  noExamples: "Type a command in the field above.",
  promise: [
    ["No account", "This device is your session. Come back from the same device and your files are here."],
    ["Yours alone", "Other people see how many tasks run, never whose or what."],
  ],
  fair: "Fair to all",
  fairText: (tasks, quota) =>
    `Up to ${plural(tasks, "task", "tasks")} at once and ${quota} of files for each session.`,
};
