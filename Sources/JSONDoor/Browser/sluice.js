// Sluice for browsers (and Node 20 or later): one ES module without dependencies, served by the gateway at /sluice.js.
//
//     import { Sluice } from "https://gateway.example:8443/sluice.js";
//     const sluice = new Sluice({ url: "https://gateway.example:8443", token });
//     const answer = await sluice.infer("iris", { X: { data: new Float32Array([5.1, 3.5, 1.4, 0.2]), shape: [1, 4] } });
//     answer.outputs.label.data[0]; // 0n
//
// Tensors travel in the binary form of the Open Inference Protocol: typed arrays in, typed arrays out. The gateway has to
// name the page's origin in its setting cors.origins, unless the page comes from the gateway itself.

/** Why a request failed. */
export class SluiceError extends Error {
  /**
   * @param {string} message what was wrong, for a person
   * @param {{status?: number, code?: string, reason?: string, retryAfter?: number}} [more]
   */
  constructor(message, { status = 0, code = "", reason = "", retryAfter } = {}) {
    super(message);
    this.name = "SluiceError";
    /** The HTTP status; 0 when there was none (an event stream broke, an answer made no sense). */
    this.status = status;
    /** For example `INVALID_ARGUMENT`. */
    this.code = code;
    /** For example `MODEL_NOT_FOUND`; a program can switch on it. */
    this.reason = reason;
    /** Seconds after which trying again makes sense; undefined when nobody said. */
    this.retryAfter = retryAfter;
  }
}

/** The element types: how wide they are and which array holds them. */
const types = {
  BOOL: { array: Uint8Array, bytes: 1 },
  UINT8: { array: Uint8Array, bytes: 1 },
  UINT16: { array: Uint16Array, bytes: 2 },
  UINT32: { array: Uint32Array, bytes: 4 },
  UINT64: { array: BigUint64Array, bytes: 8 },
  INT8: { array: Int8Array, bytes: 1 },
  INT16: { array: Int16Array, bytes: 2 },
  INT32: { array: Int32Array, bytes: 4 },
  INT64: { array: BigInt64Array, bytes: 8 },
  // As bits: JavaScript has no such numbers everywhere.
  FP16: { array: Uint16Array, bytes: 2 },
  BF16: { array: Uint16Array, bytes: 2 },
  FP32: { array: Float32Array, bytes: 4 },
  FP64: { array: Float64Array, bytes: 8 },
};

/** A gateway, and who asks it. */
export class Sluice {
  #base;
  #token;

  /**
   * @param {{url?: string | URL, token: string | (() => string | Promise<string>)}} options
   *   url: the gateway's address; without it, where this module came from.
   *   token: a bearer token, or what gets one: it is asked before each request.
   */
  constructor({ url = new URL(import.meta.url).origin, token }) {
    this.#base = new URL(url);
    this.#token = token;
  }

  /**
   * Runs a model.
   *
   * @param {string} model its name
   * @param {object | object[]} inputs by name: `{data, shape, datatype}`; or a list of these with `name`. `data` is a typed
   *   array, or a (nested) array of numbers, bigints, booleans or strings. shape: where it is left out, that of nested
   *   arrays, else one dimension. datatype: where it is left out, that of the typed array; BYTES for strings, BOOL for
   *   booleans, INT64 for bigints, FP32 for numbers.
   * @param {object} [options]
   * @param {string | number} [options.version] a version or an alias; the latest without
   * @param {string[]} [options.outputs] those wanted; all without
   * @param {(progress: {state: string, fraction?: number, remaining_ms?: number}) => void} [options.onProgress] told how
   *   the waking of a sleeping model goes. The answer then comes as JSON in an event stream.
   * @param {AbortSignal} [options.signal] cancels the call, here and in the gateway
   * @param {number} [options.timeout] milliseconds
   * @param {boolean} [options.binary] false: JSON both ways, to be read in the browser's tools
   * @param {string} [options.id] told back in the answer
   * @returns {Promise<{model: string, version: string, id?: string, outputs: Object<string, {name: string,
   *   datatype: string, shape: number[], data: any}>}>} data: a typed array; strings for BYTES (bytes for what is no UTF-8)
   */
  async infer(model, inputs, options = {}) {
    const { version, outputs, onProgress, signal, timeout, binary = true, id } = options;
    const list = Array.isArray(inputs)
      ? inputs
      : Object.entries(inputs).map(([name, input]) => ({ ...asInput(input), name }));
    const wantsBinary = binary && !onProgress;
    const document = { id, inputs: [], parameters: {} };
    const parts = [];
    for (const input of list) {
      const tensor = readTensor(asInput(input), input.name);
      if (binary) {
        const bytes = tensorBytes(tensor);
        tensor.parameters = { binary_data_size: bytes.byteLength };
        parts.push(bytes);
        delete tensor.data;
      } else {
        tensor.data = jsonData(tensor);
      }
      document.inputs.push(tensor);
    }
    if (wantsBinary) document.parameters.binary_data_output = true;
    if (timeout !== undefined) document.parameters.timeout = Math.max(1, Math.round(timeout * 1000));
    if (outputs) {
      document.outputs = outputs.map((name) => ({ name, parameters: { binary_data: wantsBinary } }));
    }
    const text = new TextEncoder().encode(JSON.stringify(document));
    const fields = { "content-type": binary ? "application/octet-stream" : "application/json" };
    if (binary) fields["inference-header-content-length"] = String(text.byteLength);
    fields.accept = onProgress
      ? "text/event-stream"
      : wantsBinary ? "application/octet-stream, application/json" : "application/json";
    const watch = new Watch(signal, timeout);
    try {
      const response = await this.#fetch(modelPath(model, version) + "/infer", {
        method: "POST", fields, body: joined([text, ...parts]), signal: watch.signal,
      });
      if (isEvents(response)) return await streamedAnswer(response, onProgress);
      const length = response.headers.get("inference-header-content-length");
      return readAnswer(await response.arrayBuffer(), length);
    } catch (error) {
      throw watch.explain(error);
    } finally {
      watch.end();
    }
  }

  /** What a model takes and gives; without a name, what the gateway is. */
  async metadata(model, { version, signal } = {}) {
    return await this.#json(model === undefined ? "v2" : modelPath(model, version), { signal });
  }

  /** Whether a model can be called (asleep or awake); without a name, whether the gateway serves. */
  async ready(model, { version, signal } = {}) {
    const path = model === undefined ? "v2/health" : modelPath(model, version);
    try {
      return (await this.#json(path + "/ready", { signal })).ready === true;
    } catch (error) {
      if (error instanceof SluiceError && [400, 404, 409, 503].includes(error.status)) return false;
      throw error;
    }
  }

  /** The models this token may see: `[{name, version, state, reason}]`. */
  async models({ signal } = {}) {
    return await this.#json("v2/repository/index", {
      method: "POST", body: "{}", fields: { "content-type": "application/json" }, signal,
    });
  }

  /**
   * How a model's state changes: the state now, then each change, as `{event, data}` (event: `message` or `progress`; data:
   * `{name, version, state, fraction, remaining_ms, reason}`). Leaving the loop ends the watching.
   */
  async *events(model, { version, signal } = {}) {
    const watch = new Watch(signal);
    try {
      const response = await this.#fetch(modelPath(model, version) + "/events", {
        fields: { accept: "text/event-stream" }, signal: watch.signal,
      });
      for await (const { event, data } of readEvents(response)) {
        if (event === "end") return;
        yield { event, data: JSON.parse(data) };
      }
    } catch (error) {
      throw watch.explain(error);
    } finally {
      watch.abort();
      watch.end();
    }
  }

  async #json(path, request) {
    return await (await this.#fetch(path, { ...request, fields: { accept: "application/json", ...request.fields } })).json();
  }

  async #fetch(path, { method = "GET", fields = {}, body, signal }) {
    const token = typeof this.#token === "function" ? await this.#token() : this.#token;
    const response = await fetch(new URL(path, this.#base), {
      method, body, signal, headers: { ...fields, authorization: `Bearer ${token}` },
      credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer",
    });
    if (!response.ok) throw failure(response.status, await response.text(), response.headers);
    return response;
  }
}

/** The caller's signal and a time limit as one signal. */
class Watch {
  #controller = new AbortController();
  #signal;
  #timer;
  #forward = () => this.#controller.abort(this.#signal.reason);

  constructor(signal, timeout) {
    this.#signal = signal;
    if (signal?.aborted) this.#forward();
    signal?.addEventListener("abort", this.#forward);
    if (timeout !== undefined) {
      // The gateway answers first, in its own words, when it can.
      this.#timer = setTimeout(() => {
        this.#controller.abort(new SluiceError(`no answer within ${timeout} ms`, { code: "DEADLINE_EXCEEDED", reason: "DEADLINE_PAST" }));
      }, timeout + 250);
    }
  }

  get signal() { return this.#controller.signal; }

  abort() { this.#controller.abort(); }

  /** The reason of the abort, when that is why something failed. */
  explain(error) {
    return this.#controller.signal.aborted ? this.#controller.signal.reason : error;
  }

  end() {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#forward);
  }
}

// Tensors

function asInput(input) {
  return ArrayBuffer.isView(input) || Array.isArray(input) ? { data: input } : input;
}

function modelPath(model, version) {
  const path = `v2/models/${encodeURIComponent(model)}`;
  return version === undefined ? path : `${path}/versions/${encodeURIComponent(version)}`;
}

/** The tensor as the protocol has it, with its data flat. */
function readTensor({ data, shape, datatype }, name) {
  if (typeof name !== "string") throw new TypeError("an input needs a name");
  let found;
  if (ArrayBuffer.isView(data)) {
    found = [data.length];
    const kind = data.constructor.name.replace("Clamped", "");
    datatype ??= kind === "Float16Array" ? "FP16" : Object.keys(types).find((type) => type !== "BOOL" && types[type].array.name === kind);
  } else if (Array.isArray(data)) {
    found = [];
    for (let level = data; Array.isArray(level); level = level[0]) found.push(level.length);
    data = data.flat(Infinity);
    datatype ??= { string: "BYTES", boolean: "BOOL", bigint: "INT64" }[typeof data[0]] ?? "FP32";
  }
  if (datatype !== "BYTES" && !types[datatype]) throw new TypeError(`${name}: an input's data is a typed array or an array, with a datatype of the protocol`);
  shape = Array.from(shape ?? found);
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  if (count !== data.length) throw new RangeError(`${name}: the shape [${shape}] has ${count} elements, the data has ${data.length}`);
  return { name, shape, datatype, data };
}

/** Little-endian and row-major, as every machine that runs browsers keeps them. */
function tensorBytes({ name, datatype, data }) {
  if (datatype === "BYTES") return stringBytes(data);
  const { array, bytes } = types[datatype];
  if (ArrayBuffer.isView(data)) {
    if (data.BYTES_PER_ELEMENT !== bytes) throw new TypeError(`${name}: ${data.constructor.name} does not hold ${datatype}`);
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  const typed = bytes === 8 && datatype !== "FP64" ? array.from(data, BigInt) : array.from(data);
  return new Uint8Array(typed.buffer);
}

/** Each element: its length in four bytes, then its bytes. */
function stringBytes(elements) {
  const encoder = new TextEncoder();
  const parts = [];
  for (const element of elements) {
    const bytes = element instanceof Uint8Array ? element : encoder.encode(String(element));
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, bytes.byteLength, true);
    parts.push(length, bytes);
  }
  return joined(parts);
}

/** For JSON: bigints as long as JSON's numbers hold them exactly. */
function jsonData({ name, datatype, data }) {
  return Array.from(data, (value) => {
    if (datatype === "BOOL") return Boolean(value);
    if (typeof value !== "bigint") return value;
    if (BigInt(Number(value)) !== value) throw new RangeError(`${name}: ${value} needs the binary form`);
    return Number(value);
  });
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.byteLength;
  }
  return whole;
}

// Answers

/** @param {string | null} headerLength bytes of JSON before the tensors; null: all of it */
function readAnswer(buffer, headerLength) {
  const length = headerLength === null ? buffer.byteLength : Number(headerLength);
  const document = parseJSON(new TextDecoder().decode(new Uint8Array(buffer, 0, length)));
  let place = length;
  const outputs = {};
  for (const { name, datatype, shape, parameters, data } of document.outputs ?? []) {
    const size = parameters?.binary_data_size;
    if (size !== undefined && place + size > buffer.byteLength) throw new SluiceError("the answer is shorter than it says");
    outputs[name] = {
      name, datatype, shape,
      data: size === undefined ? fromJSON(datatype, data) : fromBytes(datatype, buffer.slice(place, place + size)),
    };
    place += size ?? 0;
  }
  return { model: document.model_name, version: document.model_version, id: document.id, outputs };
}

function fromBytes(datatype, buffer) {
  if (datatype !== "BYTES") return new types[datatype].array(buffer);
  const view = new DataView(buffer);
  const elements = [];
  for (let place = 0; place < buffer.byteLength;) {
    const length = view.getUint32(place, true);
    elements.push(textOf(new Uint8Array(buffer, place + 4, length)));
    place += 4 + length;
  }
  return elements;
}

function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return bytes;
  }
}

function fromJSON(datatype, data) {
  const flat = data.flat(Infinity);
  if (datatype === "BYTES") return flat;
  const { array, bytes } = types[datatype];
  return bytes === 8 && datatype !== "FP64" ? array.from(flat, BigInt) : array.from(flat, Number);
}

/** Whole numbers that JavaScript's cannot hold become bigints, where the engine shows their text. */
function parseJSON(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? BigInt(context.source) : value);
}

function failure(status, text, headers) {
  let said = {};
  try {
    said = JSON.parse(text);
  } catch {
    // Not the gateway: something on the way to it.
  }
  // An event has no fields of its own.
  const wait = Number(headers?.get("retry-after") ?? said.retry_after ?? NaN);
  return new SluiceError(typeof said.error === "string" ? said.error : `HTTP status ${status}`, {
    status: status || said.status || 0, code: said.code, reason: said.reason,
    retryAfter: Number.isFinite(wait) ? wait : undefined,
  });
}

// Events

function isEvents(response) {
  return (response.headers.get("content-type") ?? "").startsWith("text/event-stream");
}

async function streamedAnswer(response, onProgress) {
  let answer;
  for await (const { event, data } of readEvents(response)) {
    if (event === "progress") onProgress?.(JSON.parse(data));
    if (event === "message") answer = readAnswer(new TextEncoder().encode(data).buffer, null);
    if (event === "end" && answer) return answer;
  }
  throw new SluiceError("the stream ended without an answer");
}

/** Server-sent events, up to and with `end`. Throws what an `error` event says, and when the stream is cut. */
async function* readEvents(response) {
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let rest = "";
  let event = "message";
  let data = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new SluiceError("the stream was cut");
      rest += decoder.decode(value, { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (data.length > 0) {
            const text = data.join("\n");
            if (event === "error") throw failure(0, text);
            yield { event, data: text };
            if (event === "end") return;
          }
          event = "message";
          data = [];
        } else if (line.startsWith("event: ")) {
          event = line.slice(7);
        } else if (line.startsWith("data: ")) {
          data.push(line.slice(6));
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
