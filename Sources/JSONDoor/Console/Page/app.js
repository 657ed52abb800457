// The page: who is signed in, which view is shown, and the polls that feed all views.

import { History, LiveView } from "./charts.js";
import { ClientsView } from "./clients.js";
import { announce, by, copyButton, h, s, say, show } from "./dom.js";
import { Gateway, GatewayError } from "./gateway.js";
import { ModelsView } from "./models.js";
import { TryView } from "./try.js";

const interval = 2000;
const themes = ["system", "light", "dark"];

/** What is there after signing in; forgotten whole when it ends. */
class Session {
  constructor(gateway, access) {
    Object.assign(this, { gateway, access, data: {}, history: new History(), wait: interval });
    this.waking = new Map();
    this.over = new AbortController();
    this.views = { models: new ModelsView(this), try: new TryView(this), live: new LiveView(this) };
    if (access.may.administer) this.views.clients = new ClientsView(this);
    this.timer = null;
    this.asking = null;
  }

  get view() { return location.hash.slice(2).split("/")[0] in this.views ? location.hash.slice(2).split("/")[0] : "models"; }

  /** One poll; who comes while one is under way waits for the one after it. */
  async refresh() {
    while (this.asking) await this.asking;
    if (session !== this) return;
    this.asking = this.poll();
    await this.asking;
    this.asking = null;
  }

  async poll() {
    clearTimeout(this.timer);
    try {
      const { gateway, access: { may } } = this;
      const [account, statistics, index, clients] = await Promise.all([
        may.read ? gateway.ask("GET", "/sluice/v1/account") : null,
        may.index ? gateway.ask("GET", "/v2/models/stats") : null,
        may.index ? gateway.ask("POST", "/v2/repository/index", {}) : [],
        this.view === "clients" ? gateway.ask("GET", "/sluice/v1/clients") : this.data.clients,
      ]);
      if (session !== this) return;
      this.data = { account, statistics: statistics?.model_stats, index, clients };
      this.history.add(this.data, performance.now());
      this.wait = interval;
      notice("");
      this.followWaking();
      this.update();
    } catch (error) {
      if (session !== this) return;
      this.wait = Math.min(60_000, error.retryAfter ? error.retryAfter * 1000 : Math.max(this.wait * 2, interval));
      this.trouble(error, true);
    }
    this.plan();
  }

  /** Hears how far loads are, of two models at most: a browser opens few connections. */
  followWaking() {
    const models = (this.data.account?.models ?? []).filter(({ state }) => ["queued", "loading"].includes(state));
    const keys = models.map(({ name, version }) => `${name}/${version}`);
    for (const key of this.waking.keys()) if (!keys.includes(key)) this.waking.delete(key);
    for (const { name, version } of models) {
      const key = `${name}/${version}`;
      if (this.waking.has(key) || this.waking.size >= 2) continue;
      this.waking.set(key, {});
      const path = `/v2/models/${encodeURIComponent(name)}/versions/${encodeURIComponent(version)}/events`;
      const heard = (value) => {
        if (value.state && !["queued", "fetching", "loading", "warming"].includes(value.state)) return false;
        this.waking.set(key, value);
        if (this.view === "models") this.update();
        return true;
      };
      // Where it cannot be followed, the poll still says that the model is being woken.
      this.gateway.watch(path, this.over.signal, heard).then(() => this.refresh(), (error) => this.trouble(error));
    }
  }

  plan() {
    clearTimeout(this.timer);
    if (session === this && !document.hidden) this.timer = setTimeout(() => this.refresh(), this.wait);
  }

  /** Draws anew, unless somebody is about to click or has marked text: that would be lost. */
  update() {
    const marked = document.getSelection();
    if (isPressing || (marked && !marked.isCollapsed && by("main").contains(marked.anchorNode))) return;
    this.views[this.view].update();
  }

  /** What every view does with a failure: a token that is no more ends the session. */
  trouble(error, isPoll = false) {
    if (session !== this) return;
    if (error.status === 401) signOut(`The gateway does not accept this token any more: ${error.message}`);
    else if (isPoll) notice(error instanceof GatewayError ? error.message : "The gateway does not answer. Trying again.");
  }
}

let session = null;
let isPressing = false;

function notice(text) {
  by("notice").hidden = !text;
  say(by("notice"), text);
}

// MARK: Signing in and out

function signIn(problem = "") {
  const error = h("p", { class: "error", role: "alert", id: "token-error" }, problem);
  const token = h("input", { id: "token", type: "password", autocomplete: "off", spellcheck: "false", autocapitalize: "off", required: true, "aria-describedby": "token-error" });
  const enter = h("button", { type: "submit", class: "primary", id: "enter" }, "Sign in");
  const command = 'sluice token create --name me --scope "infer:* models:read"';
  const form = h("form", { class: "panel sign-in", "aria-labelledby": "sign-in-title", on: { submit: async (event) => {
    event.preventDefault();
    const shown = token.value.trim();
    const complain = (text) => { say(error, text); token.setAttribute("aria-invalid", "true"); token.focus(); token.select(); };
    if (!shown) return complain("Paste a token first.");
    if (!/^[\x21-\x7e]+$/.test(shown)) return complain("This is no token: it has spaces or letters that no token has.");
    enter.disabled = true;
    say(error, "");
    try {
      const gateway = new Gateway(shown);
      const access = await gateway.ask("GET", "/sluice/v1/access");
      token.value = "";
      begin(gateway, access);
    } catch (failure) {
      complain(failure.status === 401 ? "The gateway does not know this token, or it has ended."
        : failure instanceof GatewayError ? failure.message : "The gateway does not answer.");
    } finally {
      enter.disabled = false;
    }
  } } },
  h("img", { src: "/console/icon.svg", alt: "", width: "44", height: "44" }),
  h("h1", { id: "sign-in-title" }, "Sign in to this gateway"),
  h("p", { class: "note" }, "With a bearer token. It stays in this page's memory and is gone when you close or reload it."),
  h("div", { class: "field" }, h("label", { for: "token" }, "Token"), token, error),
  enter,
  h("div", { class: "hint" }, h("p", { class: "note" }, "An operator makes one with"), h("div", { class: "snippet" }, copyButton(() => command), h("pre", { tabindex: "0" }, h("code", {}, command)))));
  show(by("main"), form);
  token.focus();
}

function begin(gateway, access) {
  session = new Session(gateway, access);
  const names = { models: "Models", try: "Try a call", live: "Live", clients: "Clients" };
  show(by("views"), Object.keys(session.views).map((view) => h("a", { href: `#/${view}`, id: `view-${view}` }, names[view])));
  by("views").hidden = false;
  by("leave").hidden = false;
  by("who").hidden = false;
  const who = access.client || access.subject || "unnamed";
  show(by("who"), h("b", { title: `${who}, of the issuer ${access.issuer}; scopes: ${access.scopes.join(" ") || "none"}` }, who),
    h("span", {}, access.may.administer ? "administrator" : access.issuer));
  announce(`Signed in as ${who}`);
  route();
  session.refresh();
}

function signOut(problem = "") {
  clearTimeout(session?.timer);
  session?.over.abort();
  session = null;
  for (const id of ["views", "leave", "who"]) by(id).hidden = true;
  notice("");
  show(by("who"));
  signIn(problem);
}

// MARK: Views

function route(event) {
  if (!session) return;
  const [, ...words] = location.hash.slice(1).split("/").map((word) => { try { return decodeURIComponent(word); } catch { return word; } });
  const view = session.view;
  const { element } = session.views[view];
  if (by("main").firstElementChild !== element) {
    show(by("main"), element);
    if (event) {
      by("main").focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  }
  for (const link of by("views").children) {
    if (link.id === `view-${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  session.views[view].open(words[0] === view ? words.slice(1).filter(Boolean) : []);
  session.update();
}

function theme(name) {
  const next = themes[(themes.indexOf(name) + 1) % themes.length];
  if (name === "system") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", name);
  const label = `Theme: ${name}. Change to ${next}`;
  // A disc: half for the system's choice, hollow for light, full for dark.
  show(by("theme"), s("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
    s("circle", { cx: 8, cy: 8, r: 6.2, fill: name === "dark" ? "currentColor" : "none", stroke: "currentColor", "stroke-width": 1.6 }),
    name === "system" && s("path", { d: "M8 2a6 6 0 0 1 0 12z", fill: "currentColor" })));
  by("theme").setAttribute("aria-label", label);
  by("theme").title = label;
  by("theme").onclick = () => {
    theme(next);
    globalThis.keepTheme?.(next);
  };
}

addEventListener("hashchange", route);
addEventListener("pointerdown", () => { isPressing = true; });
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { setTimeout(() => { isPressing = false; }, 0); });
document.addEventListener("visibilitychange", () => { if (session && !document.hidden) session.refresh(); });
by("leave").addEventListener("click", () => signOut());
theme(document.documentElement.getAttribute("data-theme") ?? "system");
signIn();
