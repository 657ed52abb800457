// Clients: what each has used of its plan, for administrators.

import { bar, h, say, show } from "./dom.js";
import { bytes, number, time } from "./words.js";

const seconds = (value) => (value === 0 ? "0" : time(value * 1000));
const columns = [
  ["In progress", "concurrency", number], ["Rate", "rate", number], ["Bytes", "bytes_in_flight", bytes],
  ["Calls today", "day.calls", number], ["Compute", "day.compute", seconds, "Compute today"],
  ["GB·s", "day.gigabyte_seconds", number, "GB·s today"],
  ["Calls this month", "month.calls", number], ["Compute", "month.compute", seconds, "Compute this month"],
  ["GB·s", "month.gigabyte_seconds", number, "GB·s this month"],
];

function cell(measure, label, format) {
  if (!measure) return h("td", { "data-label": label, class: "number faint" }, "–");
  const { used, limit } = measure;
  const part = limit > 0 ? used / limit : 0;
  const left = limit === undefined ? "no limit" : `${format(Math.max(0, limit - used))} left`;
  const reset = measure.reset_s ? `, anew in ${time(measure.reset_s * 1000)}` : "";
  return h("td", { "data-label": label, class: "number", title: left + reset },
    h("span", {}, format(used), limit !== undefined && h("span", { class: "faint" }, ` / ${format(limit)}`)),
    limit !== undefined && bar([{ share: part, kind: part >= 1 ? "part bad" : part > 0.8 ? "part warn" : "part p0" }], { role: "meter", "aria-label": `${label}: ${left}`, "aria-valuemin": "0", "aria-valuemax": String(limit), "aria-valuenow": String(used) }));
}

const cells = (measures) => columns.map(([label, key, format, whole]) => cell(measures[key], whole ?? label, format));

export class ClientsView {
  constructor(page) {
    this.page = page;
    this.summary = h("p", { class: "summary" });
    this.body = h("tbody");
    this.none = h("p", { class: "empty" });
    this.element = h("div", { class: "clients-view" }, h("h1", { class: "unseen" }, "Clients"),
      h("section", { class: "panel list", "aria-labelledby": "clients-title" },
        h("div", { class: "panel-head" }, h("h2", { id: "clients-title" }, "Clients and their plans"), this.summary),
        h("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "clients-title" },
          h("table", { class: "clients" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Client"), h("th", { scope: "col" }, "Plan"), columns.map(([label]) => h("th", { scope: "col", class: "number" }, label)))), this.body)), this.none));
  }

  open() { this.page.refresh(); }

  update() {
    const standings = this.page.data.clients;
    if (!standings) return say(this.none, "Looking…");
    const { clients, total } = standings;
    say(this.summary, total > clients.length ? `the ${clients.length} busiest of ${total}` : `${total} since the start`);
    say(this.none, clients.length === 0 ? "Nobody has called yet." : "");
    show(this.body, clients.flatMap((client) => [
      h("tr", {}, h("th", { scope: "row" }, client.client || "(no name)", " ", h("span", { class: "version" }, client.issuer)),
        h("td", { "data-label": "Plan" }, client.plan || h("span", { class: "faint" }, "none")), cells(client.measures)),
      ...client.models.map((model) => h("tr", { class: "sub" }, h("th", { scope: "row" }, model.model || "no model"), h("td", { "data-label": "Plan" }, h("span", { class: "faint" }, "for this model")), cells(model.measures))),
    ]));
  }
}
