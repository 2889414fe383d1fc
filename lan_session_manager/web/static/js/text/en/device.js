/** The words about devices: who opens a session, and how it gets to another device. */

import { duration } from "../../format.js";
import { plural } from "./plural.js";

export const DEVICE = {
  title: "Device and session",
  thisOne: "This device",
  nameless: "This browser",
  rename: (name) => `Rename ${name}`,
  nameField: "Name of this device",
  save: "Save",
  cancel: "Cancel",
  nameRule: "A name has 1 to 40 characters.",
  seenAt: (time) => `seen ${time}`,
  seenNow: "seen just now",
  others: "Other devices of this session",
  none: "No other device opens this session.",
  program: "program",
  loading: "Asking the server…",

  sharedTag: "shared address",
  sharedTitle: "Several devices use this address: each of them is known by its cookie alone",
  shared: (address) =>
    `Several devices with sessions of their own use the address ${address}. Each is known by its cookie alone.`,
  cannotTell: (address) =>
    `This server cannot tell devices at ${address} apart. Until a second session is opened there, ` +
    "whoever has this address opens this session.",
  noCookies: (address) =>
    `This browser keeps no cookies, so the server knows it by its address alone: whoever has ${address} opens ` +
    "this session. Allow cookies to name this device or to carry its session.",
  carried: "This is the session of another device. This device's own session waits for it.",
  leave: "Back to this device's own session",

  carry: "Carry to another device",
  claim: "I have a code",
  token: "Token for a program",
  fresh: "Not my session",
  forget: "Forget this device",
  forgetOther: (name) => `Forget ${name}`,

  carryTitle: "Carry this session to another device",
  carryHow: "Scan the QR code with the other device. Or open ",
  carryHowEnd: " there, press the address that it shows for itself, and choose “I have a code”:",
  carryWhat: "That device then opens this session with all its tasks and files, until one of the two forgets it.",
  carryQr: "QR code that opens this session on another device",
  carryCode: (digits) => `Code: ${[...digits].join(" ")}`,
  carryLeft: (s) => `For one device, within ${duration(s)}`,
  carryOver: "This code has run out.",
  carryUsed: (name) => `${name} opens this session now.`,
  carryNew: "New code",
  carryMaking: "Making a code…",

  claimTitle: "Open the session of another device",
  claimField: "Code from the other device",
  claimHint: "6 digits. The other device shows them under “Carry to another device”.",
  claimRule: "A code has 6 digits.",
  claimWhat: "What this device shows now stays: press its address to come back to its own session.",
  claimButton: "Open the session",
  claimLinkTitle: "Open the session of another device here?",
  claimLink: "You opened a link that carries a session. This device then shows the tasks and files of that session.",
  claimNot: "Not now",
  claimWait: (s) => `You can try again in ${duration(s)}.`,

  tokenTitle: "Token for a program",
  tokenWhat:
    "A program that sends this token opens this session from anywhere in the network, " +
    "until you forget it in the list of devices.",
  tokenField: "Name of the program",
  tokenDefault: "Program",
  tokenMake: "Make a token",
  tokenOnce: "It is shown only now. Keep it like a password.",
  tokenCopy: "Copy the token",
  tokenCopied: "Token copied",
  tokenByHand: "The token is selected: copy it with Ctrl+C",
  tokenUse: "The program sends it with each request:",
  done: "Done",

  confirmFresh: (others, sharing) => ({
    title: "Not your session?",
    body:
      "This device gets a new, empty session and can no longer open this one. " +
      (others
        ? `Tasks and files stay for ${plural(others, "other device", "other devices")}.`
        : "Tasks and files stay for whoever they belong to.") +
      (sharing ? " From then on this address counts as shared: each device at it needs a cookie." : ""),
    button: "Start a new session",
    keep: "Stay here",
  }),
  confirmForget: (others) => ({
    title: "Forget this device?",
    body:
      "Its key is destroyed, and every open page of it closes. " +
      (others
        ? `Tasks and files stay for ${plural(others, "other device", "other devices")} of this session.`
        : "No other device opens this session: nobody can reach its tasks and files any more. " +
          "Download first what you need, or carry the session to another device."),
    button: "Forget this device",
    keep: "Keep it",
  }),
  confirmForgetOther: (name, isProgram, isGuest) => ({
    title: `Forget ${name}?`,
    body: isProgram
      ? "Its token stops working at once. Tasks and files of the session stay."
      : isGuest
        ? "It goes back to its own session at once and can no longer open this one. Tasks and files stay."
        : "Its open pages close at once, and it can no longer open this session. Tasks and files stay.",
    button: `Forget ${name}`,
    keep: "Keep it",
  }),

  gone: {
    forgotten: [
      "This device was forgotten",
      "Another device of the session has taken it out, or the server knows it no longer. " +
        "Running tasks go on; devices that still open the session see them.",
    ],
    left: [
      "This device is forgotten",
      "The server knows it no longer, and this browser has kept nothing of the session.",
    ],
    cookies: [
      "This browser keeps no cookies",
      "At this address the server knows a device by its cookie alone. Allow cookies for this page, then try again.",
    ],
  },
  anew: "Start anew",
};
