/** The whole admin page: the login, or the bar and the panels. */

import { Brand, Icon, IconSheet } from "../components/icons.js";
import { clock } from "../format.js";
import { healthOf } from "../health.js";
import { html, useState } from "../html.js";
import { toggleTheme } from "../theme.js";
import { useStore } from "../use-store.js";
import { login, logout } from "./actions.js";
import { Dialog, Problem } from "./dialog.js";
import { Audit, Connections } from "./logs.js";
import { Sessions } from "./sessions.js";
import { admin } from "./store.js";
import { A } from "./text.js";

function Health() {
  const health = useStore((state) => state.health, admin);
  const lostSince = useStore((state) => (state.lost ? state.seenAt : 0), admin);
  const { icon, cls, short, rest } = healthOf(health, lostSince);
  return html`<span class="vr"></span><span class=${`health ${cls}`}><${Icon} name=${icon} /><span>${short}
    <span class="w2">${rest}</span></span></span>`;
}

function Bar({ open }) {
  const lost = useStore((state) => state.lost, admin);
  const [word, title] = lost ? A.lost : A.polling;
  return html`<header class="topbar">
    <a class="brand" href="/admin"><${Brand} /><span>${A.product}</span></a><span class="tag">${A.tag}</span>
    ${open && html`<${Health} />`}
    <div class="topbar-end">
      ${open && html`<span class="who"><span><span class="w">${A.signedIn[0]}</span><b>${A.signedIn[1]}</b></span></span>
        <span class="vr"></span>
        <span class=${`state pill ${lost ? "state--queued" : "state--cancelled"}`} role="status" title=${title}>
          <${Icon} name=${lost ? "retry" : "queued"} />${word}</span>`}
      <button class="ib ib--lg phone-hide" type="button" onClick=${toggleTheme} aria-label=${A.theme}
        title=${A.theme}><${Icon} name="moon" /></button>
      ${open && html`<button class="btn phone-hide" type="button" onClick=${logout}>${A.logout}</button>`}
      <a class="btn btn--icon" href="/" aria-label=${A.dashboard} title=${A.dashboard}><span
        class="phone-only"><${Icon} name="tasks" /></span><span class="phone-hide">${A.dashboard}</span></a>
    </div>
  </header>`;
}

function Login() {
  const busy = useStore((state) => state.busy, admin);
  const [token, setToken] = useState("");
  const onSubmit = (event) => {
    event.preventDefault();
    if (token.trim()) login(token.trim());
    else admin.set({ problem: A.login.empty });
  };
  return html`<main class="login"><form onSubmit=${onSubmit}>
    <h1>${A.login.title}</h1><p class="sub">${A.login.lead}</p>
    <label>${A.login.token}<input class="field" type="password" name="token" autocomplete="current-password" autofocus
      value=${token} onInput=${(event) => setToken(event.target.value)} /></label>
    <${Problem} />
    <button class="btn btn--lg btn--primary" type="submit" disabled=${busy}>${A.login.button}</button>
  </form></main>`;
}

function Page() {
  const { lost, seenAt, health, live, asked } = useStore(
    (state) => ({
      lost: state.lost, seenAt: state.seenAt, health: state.health, live: state.known.live, asked: !!state.dialog,
    }),
    admin,
  );
  return html`<main class=${lost ? "admin is-stale" : "admin"}>
    <div class="admin-head"><h1>${A.title}</h1><p class="sub">${A.summary(live, health)}</p></div>
    ${lost && html`<p class="notice" role="alert"><${Icon} name="warn" />${A.stale(clock(seenAt))}</p>`}
    ${!asked && html`<${Problem} />`}
    <${Sessions} />
    <div class="admin-cols"><${Audit} /><${Connections} /></div>
    <p class="foot phone-only"><button class="btn" type="button" onClick=${toggleTheme}>${A.theme}</button>
      <button class="btn" type="button" onClick=${logout}>${A.logout}</button></p>
  </main>`;
}

/** What stands in the page. */
export function App() {
  const view = useStore((state) => (state.view === "open" && !state.known ? "opening" : state.view), admin);
  return html`<${IconSheet} /><a class="skip" href="#sessions">${A.skip}</a><${Bar} open=${view === "open"} />
    ${view === "open" && html`<${Page} />`}
    ${view === "login" && html`<${Login} />`}
    ${view === "opening" && html`<main class="lone"><p>${A.opening}</p></main>`}
    <${Dialog} />`;
}
