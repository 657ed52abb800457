// Models: where they are, what they hold, why, and what an administrator may do about it.

import { announce, bar, button, h, say, show } from "./dom.js";
import { advice, ago, bytes, number, time, warning, why } from "./words.js";

const states = {
  awake: "awake", asleep: "asleep", queued: "waking", loading: "waking", leaving: "going to sleep",
  broken: "broken", quarantined: "quarantined", out: "out of service", unknown: "unknown",
};

/** One line a version, from the accounts, or from the index for those who may not read accounts. */
export function lines(data) {
  const key = (model) => `${model.name}/${model.version}`;
  const index = new Map((data.index ?? []).map((entry) => [key(entry), entry]));
  const counts = new Map((data.statistics ?? []).map((entry) => [key(entry), entry]));
  const models = data.account?.models ?? (data.index ?? []).map((entry) => ({ ...entry, state: wordOf(entry) }));
  return models.map((model) => {
    const entry = index.get(key(model));
    const isOut = entry?.state === "UNAVAILABLE" && model.state !== "broken" && !model.quarantined;
    const state = model.quarantined ? "quarantined" : isOut ? "out" : model.state in states ? model.state : "unknown";
    const counted = counts.get(key(model))?.inference_stats;
    const done = counted ? Number(counted.success?.count ?? 0) + Number(counted.fail?.count ?? 0) : undefined;
    let reason = data.account ? why(model, data.account.fleet, data.account.models) : entry?.reason ?? "";
    if (isOut && data.account) reason += `; out of service: ${entry.reason}`;
    return { ...model, shown: state, calls: done, why: reason };
  }).sort((left, right) => left.name.localeCompare(right.name) || Number(right.version) - Number(left.version));
}

/** The index says where a model is in its reason. */
function wordOf(entry) {
  if (entry.state === "UNAVAILABLE") return "out";
  if (entry.state === "LOADING") return "loading";
  return { awake: "awake", asleep: "asleep", loading: "loading", "going to sleep": "leaving" }[entry.reason]
    ?? (entry.state === "READY" ? "unknown" : "broken");
}

export const badge = (state) => h("span", { class: `state ${state}` }, h("i", { "aria-hidden": "true" }), states[state] ?? state);

const path = (model, version) => `#/models/${encodeURIComponent(model)}/${encodeURIComponent(version)}`;

/** Both budgets, and who holds what. */
function budgets(account) {
  const { fleet, models } = account;
  const one = (title, used, budget, of, note) => {
    const whole = budget > 0 ? budget : Math.max(used, 1);
    const held = models.filter((model) => ["awake", "leaving"].includes(model.state) && of(model) > 0)
      .sort((left, right) => of(right) - of(left));
    const known = held.reduce((sum, model) => sum + of(model), 0);
    const parts = held.slice(0, 24).map((model, at) =>
      ({ share: of(model) / whole, kind: `part p${at % 4}`, title: `${model.name} ${model.version}: ${bytes(of(model))}` }));
    const rest = used - Math.min(used, held.slice(0, 24).reduce((sum, model) => sum + of(model), 0));
    if (rest > 0) parts.push({ share: rest / whole, kind: "part rest", title: `${known < used ? "others and loads" : "others"}: ${bytes(rest)}` });
    const full = budget > 0 ? used / budget : 0;
    return h("div", { class: "budget" },
      h("div", { class: "budget-head" }, h("h3", {}, title), h("p", { class: "figure" }, h("b", {}, bytes(used)), budget > 0 ? ` of ${bytes(budget)}` : " (no budget)")),
      bar(parts, { class: `tall ${full > 0.95 ? "full" : ""}`, role: "meter", "aria-label": title, "aria-valuemin": "0", "aria-valuemax": String(whole), "aria-valuenow": String(used), "aria-valuetext": `${bytes(used)} of ${bytes(whole)}` }),
      h("p", { class: "note" }, note));
  };
  return h("section", { class: "panel budgets", "aria-label": "Memory" },
    one("Own memory of models", fleet.anonymous_used, fleet.anonymous_budget, (model) => model.anonymous_bytes,
      `${number(fleet.calls)} calls since the start, ${number(fleet.cold_calls)} of them found their model asleep`),
    one("Mapped from files", fleet.mapped_used, fleet.mapped_budget, (model) => model.mapped_bytes,
      `${number(fleet.loads_last_hour)} loads in the last hour`),
    [warning(fleet), advice(fleet)].filter(Boolean).map((text, at) =>
      h("p", { class: `advice ${at === 0 && warning(fleet) ? "warn" : ""}` }, text)));
}

/** How far a load is: a bar that fills, or one that moves while nobody knows. */
function wakingBar(model, progress) {
  const { fraction, remaining_ms: left } = progress ?? {};
  const known = typeof fraction === "number";
  return h("progress", { "aria-label": `${model.name} is being woken`, max: "1", value: known ? fraction : undefined, title: left > 0 ? `about ${time(left)} to go` : undefined });
}

function row(model, selected, budget, progress) {
  const own = model.anonymous_bytes;
  const isIn = ["awake", "leaving"].includes(model.state);
  const memory = own === undefined ? "" : isIn
    ? [h("span", {}, bytes(own + (model.mapped_bytes ?? 0))), budget > 0 && bar([{ share: own / budget, kind: "part p0" }, { share: (model.mapped_bytes ?? 0) / budget, kind: "part p2" }], { "aria-hidden": "true" })]
    : h("span", { class: "faint", title: "what it held when it was awake" }, own + model.mapped_bytes > 0 ? bytes(own + model.mapped_bytes) : "–");
  return h("tr", { class: selected ? "selected" : "", on: { click: (event) => { if (!event.target.closest("a")) location.hash = path(model.name, model.version); } } },
    h("th", { scope: "row" },
      h("a", { href: path(model.name, model.version), id: `row-${model.name}-${model.version}`, "aria-current": selected ? "true" : undefined }, model.name), " ",
      h("span", { class: "version" }, `v${model.version}`),
      (model.aliases ?? []).filter((name) => name !== "latest").map((name) => h("span", { class: "tag" }, name)),
      model.pinned && h("span", { class: "tag pin" }, "pinned")),
    h("td", { "data-label": "State" }, badge(model.shown), ["queued", "loading"].includes(model.state) && wakingBar(model, progress)),
    h("td", { "data-label": "Memory", class: "number" }, memory),
    h("td", { "data-label": "Last call", class: "number" }, model.last_call_ms_ago === undefined ? h("span", { class: "faint" }, "–") : ago(model.last_call_ms_ago)),
    h("td", { "data-label": "Calls", class: "number" }, model.calls === undefined ? h("span", { class: "faint" }, "–") : number(model.calls)),
    h("td", { class: "why" }, model.why));
}

export class ModelsView {
  /** `page`: { gateway, data, refresh }. */
  constructor(page) {
    this.page = page;
    this.chosen = null;
    this.may = null;
    this.filter = "";
    this.top = h("div");
    this.summary = h("p", { class: "summary", id: "models-summary" });
    this.search = h("input", { type: "search", placeholder: "Find a model", "aria-label": "Find a model", spellcheck: "false", on: { input: () => { this.filter = this.search.value.trim().toLowerCase(); this.update(); } } });
    this.body = h("tbody");
    this.none = h("p", { class: "empty", hidden: true });
    this.list = h("section", { class: "panel list", "aria-labelledby": "models-title" },
      h("div", { class: "panel-head" }, h("h2", { id: "models-title" }, "Models"), this.summary, this.search),
      h("table", { class: "models" },
        h("thead", {}, h("tr", {}, ["Model", "State", "Memory", "Last call", "Calls", "Why"].map((text, at) =>
          h("th", { scope: "col", class: at >= 2 && at <= 4 ? "number" : "" }, text)))), this.body), this.none);
    this.detail = h("aside", { class: "panel detail", "aria-label": "The chosen model", hidden: true });
    this.element = h("div", { class: "models-view" }, h("h1", { class: "unseen" }, "Models"), this.top, h("div", { class: "split" }, this.list, this.detail));
  }

  /** `words`: what stands behind `#/models/`. */
  async open(words) {
    const [name, version] = words;
    const isOther = this.chosen?.name !== name || this.chosen?.version !== version;
    this.chosen = name ? { name, version } : null;
    if (isOther) { this.may = null; this.act = null; this.detail.replaceChildren(); }
    this.update();
    if (!name) return;
    if (isOther) {
      this.detail.scrollIntoView({ block: "nearest" });
      this.detail.querySelector("h2")?.focus({ preventScroll: true });
    }
    try {
      const access = await this.page.gateway.ask("GET", `/sluice/v1/models/${encodeURIComponent(name)}/access`);
      if (this.chosen?.name === name) { this.may = access.may; this.update(); }
    } catch (error) {
      this.page.trouble(error);
    }
  }

  update() {
    const { data } = this.page;
    if (data.account) show(this.top, budgets(data.account));
    else show(this.top);
    const all = lines(data);
    const found = all.filter((model) => !this.filter || model.name.toLowerCase().includes(this.filter));
    const count = (state) => all.filter((model) => model.shown === state).length;
    const said = [[all.length, all.length === 1 ? "version" : "versions"], [count("awake"), "awake"], [count("loading") + count("queued"), "waking"], [count("broken") + count("quarantined"), "in trouble"]];
    say(this.summary, said.filter(([many], at) => at < 2 || many > 0).map(([many, word]) => `${many} ${word}`).join(", "));
    const budget = data.account?.fleet.anonymous_budget ?? 0;
    show(this.body, found.map((model) => row(model, this.chosen?.name === model.name && this.chosen?.version === model.version, budget, this.page.waking.get(`${model.name}/${model.version}`))));
    this.none.hidden = found.length > 0;
    say(this.none, all.length > 0 ? "No model's name has this in it." : data.index ? "This token sees no model." : "Looking…");
    this.showDetail(all);
  }

  showDetail(all) {
    this.detail.hidden = !this.chosen;
    this.element.classList.toggle("has-detail", Boolean(this.chosen));
    if (!this.chosen) return;
    const model = all.find((one) => one.name === this.chosen.name && one.version === this.chosen.version);
    const close = h("a", { class: "close", href: "#/models", id: "detail-close" }, "Close");
    if (!model) {
      return show(this.detail, h("div", { class: "panel-head" }, h("h2", { tabindex: "-1", id: "detail-title" }, this.chosen.name), close),
        h("p", { class: "empty" }, this.page.data.index ? "There is no such model for this token." : "Looking…"));
    }
    const facts = [
      ["State", badge(model.shown)],
      ["Stands for", (model.aliases ?? []).join(", ")],
      ["Of its own", model.anonymous_bytes > 0 && bytes(model.anonymous_bytes)],
      ["Mapped", model.mapped_bytes > 0 && bytes(model.mapped_bytes)],
      ["Peak of a load", model.load_peak_bytes > 0 && bytes(model.load_peak_bytes)],
      ["Last call", model.last_call_ms_ago !== undefined && ago(model.last_call_ms_ago)],
      ["Calls", model.calls !== undefined && number(model.calls)],
      ["Loads", model.loads !== undefined && `${number(model.loads)}, evicted ${number(model.evictions)}`],
      ["Demand", model.demand > 0 && number(model.demand)],
    ].filter(([, value]) => value);
    show(this.detail,
      h("div", { class: "panel-head" }, h("h2", { tabindex: "-1", id: "detail-title" }, model.name, " ", h("span", { class: "version" }, `v${model.version}`)), close),
      h("p", { class: "why-full" }, model.why),
      h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      h("div", { class: "actions" },
        this.may?.infer !== false && h("a", { class: "button primary", id: "detail-try", href: `#/try/${encodeURIComponent(model.name)}` }, "Try a call"),
        this.may?.administer && this.actions(model)),
      h("p", { class: `outcome ${this.act?.failed ? "bad" : ""}`, role: "status" }, this.act?.text ?? ""));
  }

  /** What may be done now, by somebody who may. */
  actions(model) {
    const control = (action) => ["POST", `/sluice/v1/models/${encodeURIComponent(model.name)}/control`, { action, version: model.version }];
    const repository = (word) => ["POST", `/v2/repository/models/${encodeURIComponent(model.name)}/${word}`, {}];
    const found = [];
    if (model.shown === "out") found.push(["wake", "Put into service", repository("load"), `${model.name} is in service`]);
    else if (["asleep", "broken"].includes(model.shown)) found.push(["wake", "Wake", repository("load"), `${model.name} is awake`]);
    if (model.shown === "awake") found.push(["sleep", "Put to sleep", control("sleep"), `${model.name} is asleep; its memory is free`]);
    if (model.shown === "quarantined") found.push(["forgive", "Serve it again", control("unquarantine"), `${model.name} is served again`]);
    else if (model.pinned) found.push(["pin", "Unpin", control("unpin"), `${model.name} is not pinned`]);
    else found.push(["pin", "Pin", control("pin"), `${model.name} is pinned: it stays in memory once it is awake`]);
    if (!["out", "quarantined"].includes(model.shown)) found.push(["unload", "Take out of service", repository("unload"), `${model.name} is out of service`, "Take it out? Calls will be refused"]);
    return found.map(([id, label, request, done, question]) => {
      const made = button(this.asked === id ? question : label, () => {
        if (question && this.asked !== id) { this.asked = id; return this.update(); }
        this.asked = null;
        return this.carryOut(request, label, done);
      }, { id: `act-${id}`, class: this.asked === id ? "danger" : "", disabled: this.act?.busy });
      return made;
    });
  }

  async carryOut([method, where, body], label, done) {
    const name = this.chosen?.name;
    this.act = { text: `${label}…`, busy: true };
    this.update();
    try {
      await this.page.gateway.ask(method, where, body);
      this.act = { text: done };
    } catch (error) {
      this.act = { text: error.message, failed: true };
    }
    announce(this.act.text);
    await this.page.refresh();
    if (this.chosen?.name === name) this.update();
  }
}
