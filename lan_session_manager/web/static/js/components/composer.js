/** Where a task is written: runner, command, files, limits, and how many may run. */

import { useDragOver } from "../drag.js";
import {
  canRun,
  canSend,
  draft,
  edit,
  isUploading,
  limitsOf,
  networkOf,
  runnerOf,
  sendDraft,
} from "../draft.js";
import { History } from "../history.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../html.js";
import { quoted } from "../quoting.js";
import { runningCount } from "../store.js";
import { T } from "../text.js";
import { upload, uploads } from "../uploads.js";
import { useStore } from "../use-store.js";
import { Chip } from "./chip.js";
import { Icon, iconForRunner } from "./icons.js";
import { Options } from "./options.js";

const MAX_CELLS = 8;
const KEYS = /mac|iphone|ipad/i.test(navigator.userAgent) ? T.composer.mac : T.composer.keys;

function Runners({ runners, chosen }) {
  return html`<span class="segs" role="radiogroup" aria-label=${T.composer.runner}>
    ${runners.map(({ name, label }) => html`<label class="seg" key=${name}>
      <input type="radio" name="runner" value=${name} checked=${name === chosen}
        onChange=${() => edit({ runner: name })} />
      <span><${Icon} name=${iconForRunner(name)} />${label}</span>
    </label>`)}
  </span>`;
}

// A picture from the clipboard has no name of its own, and the next one would have the same.
function named(file) {
  if (!/^image\.\w+$/.test(file.name)) return file;
  const now = new Date().toISOString().slice(0, 19).replace(/\D/g, "-");
  return new File([file], `pasted-${now}.${file.name.split(".").pop()}`, { type: file.type });
}

function Slots({ lost, waiting }) {
  const running = useStore(runningCount);
  const max = useStore((state) => state.dash.permissions.max_concurrent_tasks);
  const held = useStore(({ dash }) => (dash.paused ? "paused" : dash.swarm_health.draining ? "draining" : ""));
  if (lost) return html`<span class="slots">${T.composer.draftKept}</span>`;
  if (waiting) return html`<span class="slots">${T.composer.uploading}</span>`;
  const length = max <= MAX_CELLS ? max : 0;
  const cells = Array.from({ length }, (_, i) => html`<b class=${i < running ? "on" : ""}></b>`);
  return html`<span class="slots" title=${T.composer.slotsTitle(max)}>
    ${cells.length > 0 && html`<i aria-hidden="true">${cells}</i>`}
    <span><b class="strong">${running}</b>${T.composer.running(max)}${
      held ? T.composer[held] : running >= max ? T.composer.willQueue : ""}</span>
  </span>`;
}

function useGrowing(command, open) {
  const field = useRef(null);
  useLayoutEffect(() => {
    const node = field.current;
    node.style.height = "auto";
    node.style.height = `${node.scrollHeight}px`;
  }, [command, open]);
  return field;
}

/** The form over the task list; docked at the bottom on a phone, where it opens when it is used. */
export function Composer() {
  const dash = useStore(({ dash: all }) => ({
    runners: all.runners,
    limits: all.limits,
    networks: all.permissions.networks,
    runs: canRun(all),
  }));
  const lost = useStore((state) => state.connection.lost);
  const written = useStore((state) => state, draft);
  const list = useStore((state) => state.list, uploads);
  const [open, setOpen] = useState(false);
  const form = useRef(null);
  const picker = useRef(null);
  const past = useRef(new History());
  const field = useGrowing(written.command, open);
  const [over, handlers] = useDragOver({ attached: true });

  const runner = runnerOf(dash, written);
  const limits = limitsOf(dash, written);
  const chips = list.filter((one) => one.attached);
  const ready = canSend(dash.runs, written, list, lost);
  const prompt = dash.runners.find((one) => one.name === runner)?.prompt ?? "";

  useEffect(() => {
    const outside = (event) => {
      if (!form.current.contains(event.target)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, []);

  const onKeyDown = (event) => {
    const { key, target: node } = event;
    if (key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      sendDraft();
    } else if (key === "ArrowUp" || key === "ArrowDown") {
      if (event.shiftKey || event.ctrlKey || event.altKey || event.metaKey || node.selectionStart !== node.selectionEnd) return;
      const beyond = key === "ArrowUp" ? node.value.slice(0, node.selectionStart) : node.value.slice(node.selectionEnd);
      const found = beyond.includes("\n") ? null : past.current.go(key === "ArrowUp" ? 1 : -1, written);
      if (!found) return;
      event.preventDefault();
      edit(found);
    }
  };
  const onPaste = (event) => {
    const files = [...event.clipboardData.files];
    if (!files.length || lost) return;
    event.preventDefault();
    upload(files.map(named), { attached: true });
  };
  const insert = (path) => {
    const node = field.current;
    node.setRangeText(quoted(runner, path), node.selectionStart, node.selectionEnd, "end");
    edit({ command: node.value });
    node.focus();
  };
  const attach = (event) => {
    upload([...event.target.files], { attached: true });
    event.target.value = "";
  };
  const submit = (event) => {
    event.preventDefault();
    if (!written.command.trim()) field.current.focus();
    sendDraft();
  };
  const problem = dash.runs ? written.error : T.composer.noSandbox;
  const opened = open || chips.length > 0 || Boolean(problem);

  return html`<form class="composer" aria-label=${T.composer.name} ref=${form} onSubmit=${submit}
    onFocusIn=${() => setOpen(true)} ...${handlers}>
    <div class=${`cbox${over ? " cbox--drop" : ""}${opened ? " cbox--open" : ""}`}>
      <div class="cfield">
        <span class="prompt" aria-hidden="true">${prompt}</span>
        <textarea id="command" rows="1" ref=${field} aria-label=${T.composer.field} spellcheck="false"
          autocapitalize="off" autocomplete="off" aria-describedby="composer-problem"
          placeholder=${T.composer.hints[runner] ?? T.composer.hints.other} value=${written.command}
          onInput=${(event) => edit({ command: event.target.value })} onKeyDown=${onKeyDown} onPaste=${onPaste}></textarea>
        <button class="btn btn--primary run-in phone-only" type="submit" aria-label=${T.composer.run}
          disabled=${!ready}><${Icon} name="play" /></button>
      </div>
      <p class="cproblem" id="composer-problem" role="alert">${problem && html`<${Icon} name="warn" />
        <span>${problem}</span>`}</p>
      <div class="cbar">
        <${Runners} runners=${dash.runners} chosen=${runner} />
        <button class="btn btn--quiet" type="button" title=${T.composer.attachTitle} disabled=${lost}
          onClick=${() => picker.current.click()}><${Icon} name="clip" />${T.composer.attach}</button>
        <input type="file" multiple hidden ref=${picker} onChange=${attach} />
        ${chips.map((one) => html`<${Chip} key=${one.id} one=${one} lost=${lost} insert=${insert} />`)}
        <span class="grow"></span>
        <${Options} dash=${dash} limits=${limits} network=${networkOf(dash.networks, written)}
          priority=${written.priority} startAfter=${written.startAfter} />
        <${Slots} lost=${lost} waiting=${isUploading(list)} />
        <button class="btn btn--lg btn--primary phone-hide" type="submit" disabled=${!ready}>
          ${written.sending ? T.composer.sending : T.composer.run} <kbd>${KEYS}</kbd>
        </button>
      </div>
      ${over && html`<p class="cdrop" aria-hidden="true"><${Icon} name="ul" />${T.composer.drop}</p>`}
    </div>
  </form>`;
}
