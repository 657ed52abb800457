// Tensors as people type and read them: JSON arrays, nested or flat, and answers as tables and bars.

import { h } from "./dom.js";

export const limits = { rows: 50, columns: 16, classes: 12 };

/** The shape of nested arrays; null when rows differ in length. */
function nestedShape(data) {
  if (!Array.isArray(data)) return [];
  const inner = data.map(nestedShape);
  if (inner.some((shape) => shape === null)) return null;
  const first = inner[0] ?? [];
  if (inner.some((shape) => shape.length !== first.length || shape.some((size, at) => size !== first[at]))) return null;
  return [data.length, ...first];
}

const product = (shape) => shape.reduce((count, size) => count * size, 1);

/**
 * What was typed for an input, against its signature. Brings `{ shape, text, values }`, or throws an Error that says what is
 * wrong in words. The text is sent as it was typed, so that no digit is lost.
 */
export function readInput(text, signature) {
  const trimmed = text.trim();
  if (!trimmed) throw new Error("needs a JSON array, for example [[1, 2]]");
  let data;
  try {
    data = JSON.parse(trimmed);
  } catch (error) {
    throw new Error(`is not JSON: ${error.message}`);
  }
  const wanted = signature.shape;
  if (!Array.isArray(data)) throw new Error("must be a JSON array");
  const nested = nestedShape(data);
  if (nested === null) throw new Error("has rows of different lengths");
  const values = data.flat(Infinity);
  if (nested.length === wanted.length || nested.length > 1) return { shape: nested, text: trimmed, values };
  // Flat: the one open size is what remains.
  const open = wanted.filter((size) => size < 0).length;
  const known = product(wanted.filter((size) => size >= 0));
  if (open === 0) return { shape: [...wanted], text: trimmed, values };
  let rest = known > 0 ? values.length / known : 0;
  if (!Number.isInteger(rest)) throw new Error(`has ${values.length} values, which do not fill the shape [${wanted.join(", ")}]`);
  const shape = wanted.map((size) => { if (size >= 0) return size; const given = rest; rest = 1; return given; });
  return { shape, text: trimmed, values };
}

/** Flat data of a shape as nested JSON, one innermost row a line. */
export function nestedText(data, shape) {
  const flat = Array.isArray(data) ? data.flat(Infinity) : [data];
  if (flat.length > 20_000 || shape.length < 2 || product(shape) !== flat.length) return JSON.stringify(data);
  let at = 0;
  const write = (depth, indent) => {
    if (depth === shape.length - 1) {
      const row = flat.slice(at, at + shape[depth]);
      at += shape[depth];
      return `[${row.map((value) => JSON.stringify(value)).join(", ")}]`;
    }
    const rows = Array.from({ length: shape[depth] }, () => write(depth + 1, `${indent}  `));
    return rows.length === 1 ? `[${rows[0]}]` : `[\n${indent}  ${rows.join(`,\n${indent}  `)}\n${indent}]`;
  };
  return write(0, "");
}

const isFloat = (datatype) => /^(FP|BF)/.test(datatype);

/** Rows of shares that sum to one. */
export function areProbabilities(output) {
  const width = output.shape.at(-1) ?? 0;
  if (!isFloat(output.datatype) || width < 2 || width > 4096 || output.data.length === 0) return false;
  for (let from = 0; from < output.data.length; from += width) {
    let sum = 0;
    for (let at = from; at < from + width; at++) {
      const value = output.data[at];
      if (!(value >= -1e-6 && value <= 1 + 1e-6)) return false;
      sum += value;
    }
    if (Math.abs(sum - 1) > 1e-3) return false;
  }
  return true;
}

function text(value, datatype) {
  if (typeof value === "number" && isFloat(datatype) && !Number.isInteger(value)) {
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-4 || size >= 1e7) ? value.toExponential(3) : String(Number(value.toPrecision(6)));
  }
  return typeof value === "string" ? value : String(value);
}

function percent(value) {
  const share = value * 100;
  return share >= 10 ? `${share.toFixed(1)} %` : share >= 0.01 ? `${share.toFixed(2)} %` : share > 0 ? "< 0.01 %" : "0 %";
}

function bars(row, caption) {
  const ranked = row.map((value, index) => ({ value, index })).sort((left, right) => right.value - left.value);
  const top = ranked[0]?.index;
  const shown = (row.length <= limits.classes ? ranked.toSorted((left, right) => left.index - right.index) : ranked.slice(0, limits.classes));
  return h("table", { class: "chances" },
    h("caption", { class: caption ? "" : "unseen" }, caption ?? "Probability of each class"),
    h("thead", { class: "unseen" }, h("tr", {}, h("th", { scope: "col" }, "Class"), h("th", { scope: "col" }, "Share"), h("th", { scope: "col" }, "Probability"))),
    h("tbody", {}, shown.map(({ value, index }) => h("tr", { class: index === top ? "top" : "" },
      h("th", { scope: "row" }, index),
      h("td", { class: "track", "aria-hidden": "true" }, h("span", { css: { width: `${Math.max(0.2, value * 100)}%` } })),
      h("td", { class: "number" }, percent(value))))),
    row.length > shown.length && h("tfoot", {}, h("tr", {}, h("td", { colspan: "3" }, `the ${shown.length} likeliest of ${row.length}`))));
}

function grid(output) {
  const { shape, data, datatype } = output;
  const width = shape.length > 1 ? shape.at(-1) : 1;
  const rows = width > 0 ? Math.ceil(data.length / width) : 0;
  const columns = Math.min(width, limits.columns);
  const lines = [];
  for (let row = 0; row < Math.min(rows, limits.rows); row++) {
    lines.push(h("tr", {}, h("th", { scope: "row" }, row),
      Array.from({ length: columns }, (_, at) => h("td", { class: "number" }, text(data[row * width + at], datatype)))));
  }
  const cut = [rows > limits.rows && `the first ${limits.rows} of ${rows} rows`, width > columns && `${columns} of ${width} columns`].filter(Boolean).join(", ");
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Values of ${output.name}` },
    h("table", { class: "values" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "row"), Array.from({ length: columns }, (_, at) => h("th", { scope: "col", class: "number" }, width > 1 ? at : "value")))),
      h("tbody", {}, lines)), cut && h("p", { class: "note" }, cut));
}

/** One output of an answer. */
export function outputView(output) {
  const data = Array.isArray(output.data) ? output.data.flat(Infinity) : [];
  const flat = { ...output, data };
  const head = h("h4", {}, output.name, h("span", { class: "type" }, `${output.datatype} [${output.shape.join(", ")}]`));
  let body;
  if (data.length === 0) body = h("p", { class: "note" }, "no values");
  else if (areProbabilities(flat)) {
    const width = output.shape.at(-1);
    const rows = Math.min(data.length / width, 8);
    body = Array.from({ length: rows }, (_, row) => bars(data.slice(row * width, (row + 1) * width), data.length > width ? `row ${row}` : undefined));
    if (data.length / width > rows) body.push(h("p", { class: "note" }, `the first ${rows} of ${data.length / width} rows`));
  } else if (data.length === 1) body = h("p", { class: "single" }, text(data[0], output.datatype));
  else body = grid(flat);
  return h("section", { class: "output" }, head, body);
}
