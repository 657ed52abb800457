// The gateway as the page asks it. The token lives in a private field and nowhere else: no storage, no address, no markup.

export class GatewayError extends Error {
  constructor(status, body, retryAfter) {
    super(body?.error ?? body?.message ?? `the gateway answered ${status}`);
    this.status = status;
    this.code = body?.code ?? "";
    this.reason = body?.reason ?? "";
    this.retryAfter = retryAfter;
  }
}

/** Whole numbers that a double cannot hold stay text. */
function exact(key, value, context) {
  return typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)
    && /^-?\d+$/.test(context?.source ?? "") ? context.source : value;
}

export const parse = (text) => JSON.parse(text, exact);

export class Gateway {
  #token;

  constructor(token) { this.#token = token; }

  async #send(method, path, { body, accept, signal } = {}) {
    const headers = { authorization: `Bearer ${this.#token}`, accept: accept ?? "application/json" };
    if (body !== undefined) headers["content-type"] = "application/json";
    const answer = await fetch(path, {
      method, headers, body, signal, cache: "no-store", credentials: "omit", redirect: "error",
      referrerPolicy: "no-referrer",
    });
    if (answer.ok) return answer;
    let said = null;
    try {
      said = parse(await answer.text());
    } catch {
      said = null; // Not ours: something between answered.
    }
    throw new GatewayError(answer.status, said, Number(answer.headers.get("retry-after")) || undefined);
  }

  /** Asks and reads JSON. */
  async ask(method, path, body, signal) {
    const answer = await this.#send(method, path, { body: body === undefined ? undefined : JSON.stringify(body), signal });
    const text = await answer.text();
    return text ? parse(text) : null;
  }

  /**
   * Calls a model. `body` is the JSON text of an infer request; `progress` hears how far its waking has come.
   * Brings `{ reply, timing }`, timing in milliseconds.
   */
  async infer(path, body, { signal, progress }) {
    const answer = await this.#send("POST", path, { body, signal, accept: "text/event-stream, application/json;q=0.5" });
    if (!(answer.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
      return { reply: parse(await answer.text()), timing: serverTiming(answer.headers.get("server-timing")) };
    }
    let reply = null;
    let timing = null;
    for await (const { event, data } of events(answer.body)) {
      const value = data ? parse(data) : {};
      if (event === "progress") progress(value);
      else if (event === "error") throw new GatewayError(value.status ?? 0, value, value.retry_after);
      else if (event === "end") { timing = endTiming(value.timing); break; }
      else reply = value;
    }
    if (!reply) throw new GatewayError(0, { error: "the connection ended before the answer was there" });
    return { reply, timing };
  }

  /** Follows a model until `heard`, who is told every event's value, brings false. */
  async watch(path, signal, heard) {
    const answer = await this.#send("GET", path, { signal, accept: "text/event-stream" });
    for await (const { data } of events(answer.body)) if (data && !heard(parse(data))) return;
  }
}

/** Server-sent events (HTML Living Standard, 9.2.6), as far as the gateway sends them. */
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value.replace(/\r\n?/g, "\n");
      let end;
      while ((end = rest.indexOf("\n\n")) >= 0) {
        const lines = rest.slice(0, end).split("\n");
        rest = rest.slice(end + 2);
        const field = (name) => lines.filter((line) => line.startsWith(`${name}:`))
          .map((line) => line.slice(name.length + 1).replace(/^ /, "")).join("\n");
        const found = { event: field("event") || "message", data: field("data") };
        if (found.data || field("event")) yield found;
      }
    }
  } finally {
    await reader.cancel();
  }
}

/** `queue;dur=0.1, run;dur=2` (W3C Server-Timing), in milliseconds. */
export function serverTiming(text) {
  if (!text) return null;
  const timing = {};
  for (const part of text.split(",")) {
    const [name, ...rest] = part.trim().split(";");
    const length = rest.map((word) => word.trim().match(/^dur=([\d.]+)$/)).find(Boolean);
    timing[name] = length ? Number(length[1]) : true;
  }
  return timing;
}

function endTiming(timing) {
  if (!timing) return null;
  const result = { cold: Boolean(timing.cold) };
  for (const name of ["admission", "queue", "load", "run"]) {
    if (typeof timing[`${name}_us`] === "number") result[name] = timing[`${name}_us`] / 1000;
  }
  return result;
}
