/** The page before the first task: three steps that are the real controls. */

import { useDragOver } from "../drag.js";
import { canRun, canSend, draft, edit, limitsOf, runnerOf, sendDraft } from "../draft.js";
import { EXAMPLES } from "../examples.js";
import { duration, sizeMb } from "../format.js";
import { html } from "../html.js";
import { T } from "../text.js";
import { uploads } from "../uploads.js";
import { useStore } from "../use-store.js";
import { ChooseFiles } from "./dropzone.js";
import { Icon } from "./icons.js";

const PREVIEW_LINES = 7;

function Drop({ lost, quota }) {
  const [over, handlers] = useDragOver();
  return html`<div class="step"><h2><span>1</span>${T.start.drop}</h2>
    <div class=${`bigdrop${over ? " bigdrop--over" : ""}`} data-dropzone="inputs" ...${handlers}>
      <${Icon} name="ul" />
      <p>${T.start.dropHere}<br />${T.start.dropOr}<${ChooseFiles} lost=${lost} /></p>
      <p class="fine">${T.start.upTo(quota)}</p>
    </div>
    <p class="fine step-foot">${T.start.dropOptional}</p>
  </div>`;
}

function Examples({ examples, command }) {
  return html`<div class="step"><h2><span>2</span>${T.start.pick}</h2>
    <div class="tmpl" role="radiogroup" aria-label=${T.start.pick}>
      ${examples.map((one) => html`<label key=${one.name}>
        <input type="radio" name="example" checked=${one.command === command}
          onChange=${() => edit({ command: one.command, runner: one.runner })} />
        <span><span class="tmpl-title">${T.start.examples[one.name][0]}</span><span class="kind">${T.runners[one.runner]}</span>
          <small>${T.start.examples[one.name][1]}</small></span>
      </label>`)}
    </div>
    <p class="fine step-foot">${examples.length ? T.start.orType : T.start.noExamples}</p>
  </div>`;
}

function Run({ dash, written, ready }) {
  const limits = limitsOf(dash, written);
  const lines = written.command.trim().split("\n");
  const rest = lines.length - PREVIEW_LINES;
  const free = dash.swarm_health.slots_busy < dash.swarm_health.slots;
  const check = (icon, words) => html`<li><${Icon} name=${icon} /><span>${words}</span></li>`;
  return html`<div class="step"><h2><span>3</span>${T.start.run}</h2>
    <pre class="preview">
      ${lines.slice(0, PREVIEW_LINES).join("\n") || html`<span class="dim">${T.start.nothing}</span>`}
      ${rest > 0 && html`<span class="dim">${`\n… ${T.start.moreLines(rest)}`}</span>`}
    </pre>
    <ul class="checks">
      ${check("queued", free ? T.start.free : T.start.busy)}
      ${check("shield", T.start.sandboxed(sizeMb(limits.memory_mb), duration(limits.time_s)))}
      ${check("dir", html`${T.start.results}<span class="mono">outputs/</span>.`)}
    </ul>
    <button class="btn btn--lg btn--primary" type="button" disabled=${!ready} onClick=${sendDraft}>
      ${T.start.button}
    </button>
  </div>`;
}

/** In place of the list and the pane while there are no tasks. */
export function Start() {
  const dash = useStore((state) => state.dash);
  const lost = useStore((state) => state.connection.lost);
  const written = useStore((state) => state, draft);
  const list = useStore((state) => state.list, uploads);
  const names = dash.runners.map((runner) => runner.name);
  const quota = sizeMb(dash.permissions.workspace_quota_mb);
  const chosen = { ...written, runner: runnerOf(dash, written) };
  return html`<section class="start" id="pane-tasks" tabindex="-1" aria-labelledby="h-start">
    <h1 id="h-start">${dash.session.total_tasks ? T.start.titleAgain : T.start.title}</h1>
    <p class="start-lead">${T.start.lead}</p>
    <div class="steps">
      <${Drop} lost=${lost} quota=${quota} />
      <${Examples} examples=${EXAMPLES.filter((one) => names.includes(one.runner))} command=${written.command} />
      <${Run} dash=${dash} written=${chosen} ready=${canSend(canRun(dash), written, list, lost)} />
    </div>
    <div class="promise">
      ${T.start.promise.map(([head, body]) => html`<div key=${head}><h3>${head}</h3>${body}</div>`)}
      <div><h3>${T.start.fair}</h3>${T.start.fairText(dash.permissions.max_concurrent_tasks, quota)}</div>
    </div>
  </section>`;
}
