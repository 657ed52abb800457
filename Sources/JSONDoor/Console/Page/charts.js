// Live: calls, latency and memory of the last five minutes, drawn by hand. What is kept is numbers of this page's own polls.

import { h, s, say } from "./dom.js";
import { bytes, number, short } from "./words.js";

const span = 300_000;
const samplesMax = 400;

/** Counters as they were polled, and what they say of the time between. */
export class History {
  #samples = [];
  points = [];

  add(data, now) {
    const stats = data.statistics ?? [];
    const sum = (of) => stats.reduce((total, entry) => total + Number(of(entry.inference_stats ?? {}) ?? 0), 0);
    const sample = {
      at: now,
      calls: sum((stat) => stat.success?.count) + sum((stat) => stat.fail?.count),
      done: sum((stat) => stat.success?.count), ns: sum((stat) => stat.success?.ns),
    };
    const last = this.#samples.at(-1);
    this.#samples.push(sample);
    const fleet = data.account?.fleet;
    const point = { at: now, calls: null, latency: null, own: fleet?.anonymous_used ?? null, mapped: fleet?.mapped_used ?? null };
    // A gateway that began anew counts from nothing.
    if (last && now > last.at && sample.calls >= last.calls && sample.ns >= last.ns) {
      point.calls = (sample.calls - last.calls) / ((now - last.at) / 1000);
      if (sample.done > last.done) point.latency = (sample.ns - last.ns) / (sample.done - last.done) / 1e6;
    }
    this.points.push(point);
    while (this.points.length > samplesMax || this.points[0]?.at < now - span - 5000) this.points.shift();
    while (this.#samples.length > 2) this.#samples.shift();
  }
}

/** A round number at or above the value. */
function roundUp(value, base) {
  if (!(value > 0)) return base === 1024 ? 1024 * 1024 : 1;
  const unit = base ** Math.floor(Math.log(value) / Math.log(base));
  const steps = base === 1024 ? [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] : [1, 2, 4, 5, 10];
  return unit * steps.find((step) => step * unit >= value);
}

class Chart {
  /** `series`: [{ key, label, kind }]. */
  constructor({ id, title, series, format, base = 10 }) {
    Object.assign(this, { id, title, series, format, base });
    this.figure = h("p", { class: "figure" });
    this.when = h("span", { class: "note" });
    this.svg = s("svg", { role: "img", tabindex: "0", "aria-label": title, on: {
      pointermove: (event) => this.point((event.clientX - this.svg.getBoundingClientRect().left - this.left) / this.plot),
      pointerleave: () => this.point(null),
      blur: () => this.point(null),
      keydown: (event) => {
        const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
        if (step) { event.preventDefault(); this.point(Math.max(0, Math.min(1, (this.cursor ?? 1) + step))); }
      },
    } });
    this.element = h("section", { class: "panel chart", "aria-labelledby": `chart-${id}` },
      h("div", { class: "panel-head" }, h("h2", { id: `chart-${id}` }, title), this.when, this.figure),
      series.length > 1 && h("div", { class: "keys" }, series.map(({ label, kind }) => h("span", {}, h("i", { class: kind, "aria-hidden": "true" }), label))),
      this.svg);
    new ResizeObserver(() => this.draw(this.points ?? [], this.now ?? 0)).observe(this.svg);
    this.cursor = null;
  }

  point(share) {
    this.cursor = share !== null && share >= 0 && share <= 1 ? share : null;
    this.draw(this.points ?? [], this.now ?? 0);
  }

  draw(points, now) {
    Object.assign(this, { points, now });
    const width = this.svg.clientWidth;
    const height = this.svg.clientHeight;
    if (width === 0 || height === 0) return;
    const [left, right, top, bottom] = [62, 12, 10, 24];
    this.left = left;
    this.plot = width - left - right;
    const values = points.flatMap((point) => this.series.map(({ key }) => point[key])).filter((value) => value !== null);
    const most = roundUp(Math.max(0, ...values) * 1.05, this.base);
    const x = (at) => left + this.plot * (1 - (now - at) / span);
    const y = (value) => top + (height - top - bottom) * (1 - value / most);
    const grid = [0, 0.5, 1].map((part) => [
      s("line", { class: "grid", x1: left, x2: width - right, y1: y(most * part), y2: y(most * part) }),
      s("text", { x: left - 8, y: y(most * part) + 4, "text-anchor": "end" }, this.format(most * part)),
    ]);
    const minutes = [5, 4, 3, 2, 1, 0].map((minute) => s("text", { x: x(now - minute * 60_000), y: height - 6, "text-anchor": minute === 5 ? "start" : minute === 0 ? "end" : "middle" }, minute ? `-${minute} min` : "now"));
    const lines = this.series.map((series) => this.line(points.filter((point) => point.at >= now - span), series, x, y));
    const shown = this.cursor === null ? points.at(-1) : this.nearest(now - span * (1 - this.cursor));
    const cursor = this.cursor !== null && shown ? s("line", { class: "cursor", x1: x(shown.at), x2: x(shown.at), y1: top, y2: height - bottom }) : null;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren(...grid.flat(), ...minutes, ...lines.flat(), ...(cursor ? [cursor] : []));
    const said = shown ? this.series.map(({ key, label }) => `${this.series.length > 1 ? `${label} ` : ""}${shown[key] === null ? "–" : this.format(shown[key])}`).join(", ") : "–";
    say(this.figure, said);
    say(this.when, cursor ? new Date(Date.now() - (now - shown.at)).toLocaleTimeString("en-GB") : "");
    this.svg.setAttribute("aria-label", `${this.title} of the last five minutes; ${cursor ? "then" : "now"} ${said}`);
  }

  nearest(at) {
    return this.points.reduce((best, point) => (!best || Math.abs(point.at - at) < Math.abs(best.at - at) ? point : best), null);
  }

  /** Gaps stay gaps; a point alone is a dot. */
  line(points, { key, kind }, x, y) {
    const runs = [];
    let run = [];
    for (const point of [...points, { [key]: null }]) {
      if (point[key] !== null) run.push([x(point.at), y(point[key])]);
      else if (run.length > 0) { runs.push(run); run = []; }
    }
    return runs.flatMap((each) => {
      const [first, last] = [each[0], each.at(-1)];
      if (each.length === 1) return [s("circle", { class: `dot ${kind}`, cx: first[0], cy: first[1], r: 2.5 })];
      const path = each.map(([px, py], at) => `${at ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
      return [s("path", { class: `area ${kind}`, d: `${path}L${last[0].toFixed(1)} ${y(0)}L${first[0].toFixed(1)} ${y(0)}Z` }), s("path", { class: `line ${kind}`, d: path })];
    });
  }
}

export class LiveView {
  constructor(page) {
    this.page = page;
    this.charts = [
      new Chart({ id: "calls", title: "Calls", series: [{ key: "calls", label: "calls", kind: "c0" }], format: (value) => `${number(value)}/s` }),
      new Chart({ id: "latency", title: "Latency in the gateway, mean", series: [{ key: "latency", label: "mean", kind: "c1" }], format: (value) => (value === 0 ? "0" : short(value)) }),
      new Chart({ id: "memory", title: "Memory of models", series: [{ key: "own", label: "of their own", kind: "c0" }, { key: "mapped", label: "mapped", kind: "c2" }], format: bytes, base: 1024 }),
    ];
    this.element = h("div", { class: "live-view" }, h("h1", { class: "unseen" }, "Live"), this.charts.map((chart) => chart.element),
      h("p", { class: "note" }, "The last five minutes, asked for every two seconds while this page can be seen. Of the models this token may see."));
  }

  open() { requestAnimationFrame(() => this.update()); }

  update() {
    const { points } = this.page.history;
    for (const chart of this.charts) chart.draw(points, points.at(-1)?.at ?? performance.now());
  }
}
