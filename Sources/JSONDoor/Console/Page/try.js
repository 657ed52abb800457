// Try a call: a form made from the model's signature, its progress, its answer, and the same call for a terminal or a program.

import { announce, button, copyButton, h, say, show, tabs } from "./dom.js";
import { languages, requestBody } from "./snippets.js";
import { nestedText, outputView, readInput } from "./tensors.js";
import { short, time } from "./words.js";

const phases = { queued: "waiting for a loader", fetching: "being fetched", loading: "being loaded", warming: "being warmed up" };

/** Where a call's time went, as a bar and in numbers. `total` and all parts in milliseconds. */
function timingView(total, timing) {
  const parts = timing ? [["queue", "queue"], ["load", "load"], ["run", "run"]].filter(([name]) => timing[name] > 0) : [];
  const known = parts.reduce((sum, [name]) => sum + timing[name], 0);
  const all = [...parts.map(([name, label]) => [label, timing[name], name]), ["network, browser", Math.max(0, total - known), "rest"]];
  const isCold = timing?.cold === true || timing?.load > 0;
  return h("div", { class: "timing" },
    h("p", { class: "figure" }, h("b", {}, short(total)), " in all", timing && h("span", { class: `tag ${isCold ? "cold" : ""}` }, isCold ? "cold start" : "warm")),
    h("div", { class: "meter tall", "aria-hidden": "true" }, all.map(([, length, kind]) => h("span", { class: `t-${kind}`, css: { width: `${total > 0 ? Math.min(100, (length / total) * 100) : 0}%` } }))),
    h("dl", { class: "legend" }, all.map(([label, length, kind]) => h("div", {}, h("dt", {}, h("i", { class: `t-${kind}`, "aria-hidden": "true" }), label), h("dd", {}, short(length))))));
}

/** One input of the signature. */
class Field {
  constructor(signature, changed) {
    this.signature = signature;
    const id = `input-${signature.name}`;
    this.error = h("p", { class: "error", id: `${id}-error` });
    this.text = h("textarea", { id, rows: "4", spellcheck: "false", autocapitalize: "off", autocomplete: "off", "aria-describedby": `${id}-type ${id}-error`, on: { input: () => { this.complain(""); this.size(); changed(); } } });
    this.element = h("div", { class: "field" },
      h("label", { for: id }, signature.name), h("span", { class: "type", id: `${id}-type` }, `${signature.datatype} [${signature.shape.join(", ")}]`),
      this.text, this.error);
  }

  fill(text) {
    this.text.value = text;
    this.size();
  }

  size() { this.text.rows = Math.min(12, Math.max(3, this.text.value.split("\n").length)); }

  complain(text) {
    say(this.error, text);
    if (text) this.text.setAttribute("aria-invalid", "true");
    else this.text.removeAttribute("aria-invalid");
  }

  read() {
    try {
      return { ...this.signature, ...readInput(this.text.value, this.signature) };
    } catch (error) {
      this.complain(`${this.signature.name} ${error.message}`);
      return null;
    }
  }
}

export class TryView {
  constructor(page) {
    this.page = page;
    this.fields = [];
    this.select = h("select", { id: "try-model", on: { change: () => { location.hash = `#/try/${encodeURIComponent(this.select.value)}`; } } });
    this.inputs = h("div", { class: "inputs" });
    this.golden = button("Fill in the golden input", () => this.fillExample(), { class: "small", id: "try-golden", hidden: true });
    this.call = h("button", { type: "submit", class: "primary", id: "try-call" }, "Call");
    this.cancel = button("Cancel", () => this.abort?.abort(), { id: "try-cancel", hidden: true });
    this.error = h("p", { class: "error", role: "alert", id: "try-error" });
    this.form = h("form", { class: "panel form", "aria-labelledby": "try-title", on: { submit: (event) => { event.preventDefault(); this.run(); } } },
      h("div", { class: "panel-head" }, h("h2", { id: "try-title" }, "Input"), this.golden),
      h("div", { class: "field" }, h("label", { for: "try-model" }, "Model"), this.select),
      this.inputs, this.error, h("div", { class: "actions" }, this.call, this.cancel));
    this.progress = h("div", { class: "progress", hidden: true });
    this.answer = h("div", { class: "answer" }, h("p", { class: "empty" }, "The answer appears here."));
    this.result = h("section", { class: "panel result", "aria-labelledby": "answer-title" },
      h("div", { class: "panel-head" }, h("h2", { id: "answer-title", tabindex: "-1" }, "Answer")), this.progress, this.answer);
    this.code = tabs("same-call", languages.map(([id, label, write]) => [id, label, () => this.snippet(write)]));
    this.element = h("div", { class: "try-view" }, h("h1", { class: "unseen" }, "Try a call"), h("div", { class: "columns" }, this.form, this.result),
      h("section", { class: "panel code", "aria-labelledby": "code-title" }, h("div", { class: "panel-head" }, h("h2", { id: "code-title" }, "The same call")), this.code.element));
  }

  async open([name]) {
    this.list();
    const wanted = name ?? this.model ?? this.names()[0];
    if (!wanted || wanted === this.model) return;
    this.abort?.abort();
    this.model = wanted;
    this.example = null;
    this.fields = [];
    this.golden.hidden = true;
    this.list();
    say(this.error, "");
    show(this.answer, h("p", { class: "empty" }, "The answer appears here."));
    show(this.inputs, h("p", { class: "note" }, "Reading the signature…"));
    try {
      const path = `/v2/models/${encodeURIComponent(wanted)}`;
      const metadata = await this.page.gateway.ask("GET", path);
      if (this.model !== wanted) return;
      this.fields = metadata.inputs.map((signature) => new Field(signature, () => this.code.refresh()));
      show(this.inputs, this.fields.map((field) => field.element));
      this.example = await this.page.gateway.ask("GET", `${path}/example`).catch((error) => {
        if (error.status === 404) return null; // No golden case: the form stays empty.
        throw error;
      });
      if (this.model !== wanted) return;
      this.golden.hidden = !this.example;
      this.fillExample();
    } catch (error) {
      if (this.model !== wanted) return;
      show(this.inputs);
      say(this.error, error.message);
      this.page.trouble(error);
    }
  }

  names() {
    const { account, index } = this.page.data;
    return [...new Set((index ?? account?.models ?? []).map((model) => model.name))].sort();
  }

  update() {
    this.list();
    if (!this.model && this.select.value) this.open([]);
  }

  /** The names to choose from. */
  list() {
    const names = this.names();
    if (this.model && !names.includes(this.model)) names.unshift(this.model);
    const shown = [...this.select.options].map((option) => option.value);
    if (shown.join("\n") !== names.join("\n")) show(this.select, names.map((name) => h("option", { value: name }, name)));
    if (this.model) this.select.value = this.model;
  }

  fillExample() {
    for (const field of this.fields) {
      const given = this.example?.request.inputs.find((input) => input.name === field.signature.name);
      if (given) field.fill(nestedText(given.data, given.shape));
      field.complain("");
    }
    this.code.refresh();
  }

  snippet(write) {
    const inputs = this.fields.map((field) => {
      try {
        return { ...field.signature, ...readInput(field.text.value, field.signature) };
      } catch {
        return { ...field.signature, shape: field.signature.shape, text: "[]", values: [] };
      }
    });
    const text = this.model ? write(this.model, inputs, location.origin) : "";
    const cut = text.length > 6000 ? `${text.slice(0, 6000)}…` : text;
    return h("div", { class: "snippet" }, copyButton(() => text), h("pre", { tabindex: "0", "aria-label": "Code" }, h("code", {}, cut)),
      h("p", { class: "note" }, "The token is not part of it: put it into SLUICE_TOKEN, or into token."));
  }

  async run() {
    if (this.abort) return;
    say(this.error, "");
    for (const field of this.fields) field.complain("");
    const inputs = this.fields.map((field) => field.read());
    if (inputs.includes(null)) {
      this.fields[inputs.indexOf(null)].text.focus();
      return;
    }
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.busy(true);
    const began = performance.now();
    const watch = this.watch(began);
    try {
      const { reply, timing } = await this.page.gateway.infer(`/v2/models/${encodeURIComponent(this.model)}/infer`, requestBody(inputs), { signal, progress: watch.heard });
      const took = performance.now() - began;
      show(this.answer, reply.outputs.map(outputView), timingView(took, timing),
        h("p", { class: "note" }, `${reply.model_name}, version ${reply.model_version ?? "unknown"}`));
      announce(`Answered in ${short(took)}`);
    } catch (error) {
      this.failed(error, signal.aborted, performance.now() - began);
    } finally {
      watch.end();
      this.abort = null;
      this.busy(false);
    }
  }

  busy(is) {
    this.call.disabled = is;
    this.cancel.hidden = !is;
    this.result.setAttribute("aria-busy", String(is));
    this.answer.classList.toggle("old", is);
    if (is) this.cancel.focus();
    else if (document.activeElement === document.body || document.activeElement === this.cancel) this.call.focus();
  }

  /** Shows how far the call is; says a new phase aloud, not each step. */
  watch(began) {
    const word = h("b", {}, "Called");
    const clock = h("span", { class: "number" });
    const bar = h("progress", { "aria-label": "How far the model's waking is", max: "1", hidden: true });
    const left = h("span", { class: "note" });
    const tick = () => say(clock, time(performance.now() - began));
    const timer = setInterval(tick, 100);
    show(this.progress, h("p", {}, word, clock), bar, left);
    // A warm call is over before anybody could read this.
    const appear = setTimeout(() => { this.progress.hidden = false; }, 120);
    return {
      heard: (progress) => {
        this.progress.hidden = false;
        bar.hidden = false;
        const phase = phases[progress.state] ?? progress.state;
        if (phase && word.textContent !== `The model is ${phase}`) {
          say(word, `The model is ${phase}`);
          announce(word.textContent);
        }
        if (typeof progress.fraction === "number") bar.value = progress.fraction;
        else bar.removeAttribute("value");
        say(left, progress.remaining_ms > 0 ? `about ${time(progress.remaining_ms)} to go` : "");
      },
      end: () => {
        clearInterval(timer);
        clearTimeout(appear);
        this.progress.hidden = true;
      },
    };
  }

  failed(error, isCancelled, took) {
    if (isCancelled) {
      show(this.answer, h("p", { class: "empty" }, `Cancelled after ${time(took)}.`));
      return announce("Cancelled");
    }
    show(this.answer, h("p", { class: "empty" }, "No answer."));
    const at = this.fields.find((field) => [`'${field.signature.name}'`, `input ${field.signature.name}`].some((words) => error.message.includes(words)))
      ?? (error.reason === "BAD_TENSOR" && this.fields.length === 1 ? this.fields[0] : null);
    if (at && (error.status === 400 || error.reason === "BAD_TENSOR")) {
      at.complain(error.message);
      at.text.focus();
      announce(error.message);
    } else {
      say(this.error, error.message + (error.retryAfter ? ` (again in ${error.retryAfter} s)` : ""));
    }
    this.page.trouble(error);
  }
}
