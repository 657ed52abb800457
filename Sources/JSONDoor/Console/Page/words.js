// Numbers and states in words: the same sentences that `sluice models why` prints (ConsoleTests compare them).

function decimal(value) {
  const tenths = Math.round(value * 10);
  return tenths >= 100 || tenths % 10 === 0 ? String(Math.round(value)) : (tenths / 10).toFixed(1);
}

/** `0`, `512 B`, `1.2 MiB`. */
export function bytes(count) {
  if (!count) return "0";
  if (count < 1024) return `${count} B`;
  let value = count;
  let unit = "";
  for (const next of ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]) {
    if (unit && value < 1023.5) break;
    value /= 1024;
    unit = next;
  }
  return `${decimal(value)} ${unit}`;
}

/** `3 ms`, `1.4 s`, `4 min`, `3 h`, `5 days`. */
export function time(milliseconds) {
  const ms = Math.max(0, milliseconds);
  if (ms < 1) return "less than 1 ms";
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 99_500) return `${decimal(ms / 1000)} s`;
  if (ms < 99.5 * 60_000) return `${decimal(ms / 60_000)} min`;
  if (ms < 47.5 * 3_600_000) return `${decimal(ms / 3_600_000)} h`;
  return `${decimal(ms / 86_400_000)} days`;
}

/** For durations of a call: `0.08 ms`, `12 ms`, `1.4 s`. */
export function short(ms) {
  if (ms < 10) return `${ms.toFixed(ms < 1 ? 2 : 1)} ms`;
  return time(ms);
}

export const ago = (ms) => (ms < 1000 ? "just now" : `${time(ms)} ago`);

/** `12 %`, and `0.4 %` below one. */
export function share(part) {
  const percent = part * 100;
  return percent >= 0.95 || percent < 0.05 ? `${Math.round(percent)} %` : `${decimal(percent)} %`;
}

export function number(value) {
  if (value === 0) return "0";
  if (Math.abs(value) >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  return value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0 });
}

const calls = (count) => (count === 1 ? "1 call" : `${count} calls`);
const times = (count) => (count === 1 ? "once" : `${count} times`);

function awake(model) {
  const since = model.awake_ms !== undefined;
  let words = since ? `awake for ${time(model.awake_ms)}` : "awake";
  if (!(model.calls_since_wake > 0)) return `${words}, not called since`;
  words += `, ${calls(model.calls_since_wake)}${since ? " since" : ""}`;
  return model.last_call_ms_ago === undefined ? words : `${words}, the last ${ago(model.last_call_ms_ago)}`;
}

function memory(model) {
  if (!(model.anonymous_bytes > 0 || model.mapped_bytes > 0)) return "its memory has not been measured";
  return `holds ${bytes(model.anonymous_bytes)} of its own and ${bytes(model.mapped_bytes)} mapped`;
}

function lastLoad(model) {
  return model.load_ms ? [`its last load took ${time(model.load_ms)}`] : [];
}

function asleep(model) {
  const parts = [];
  if (model.evicted_ms_ago !== undefined && model.evicted_ms_ago <= (model.last_call_ms_ago ?? model.evicted_ms_ago)) {
    parts.push(`asleep: evicted ${ago(model.evicted_ms_ago)}${model.evicted_for ? ` to make room for ${model.evicted_for}` : ""}`);
    if (model.last_call_ms_ago !== undefined) parts.push(`last called ${ago(model.last_call_ms_ago)}`);
  } else if (model.last_call_ms_ago !== undefined) parts.push(`asleep: last called ${ago(model.last_call_ms_ago)}`);
  else if (model.loads > 0) parts.push("asleep: it was awake, but never called");
  else parts.push("asleep: never called since the start");
  parts.push(...lastLoad(model));
  if (model.unreturned_bytes > 0) parts.push(`${bytes(model.unreturned_bytes)} of its memory did not come back`);
  return parts;
}

function promotion(model) {
  if (model.promoted_ms === undefined) return model.promotion_note ? [model.promotion_note] : [];
  const cost = model.promoted_bytes > 0 ? ` for ${bytes(model.promoted_bytes)}` : "";
  const gain = model.promotion_saving > 0 ? `runs take ${share(model.promotion_saving)} less time${cost}` : `what it gains${cost} is being measured`;
  return [`promoted ${ago(model.promoted_ms)}: ${gain}`];
}

function turn(model, fleet, models) {
  if (model.pinned) return ["is pinned"];
  if (!fleet || !(fleet.anonymous_budget > 0 || fleet.mapped_budget > 0)) return [];
  const rivals = models.filter((other) => other.state === "awake" && !other.pinned && other.score < model.score).length;
  return [rivals === 0 ? "would be the next to go" : rivals === 1 ? "1 other would go before it" : `${rivals} others would go before it`];
}

/** Why a model is or is not in memory. */
export function why(model, fleet, models) {
  let parts;
  switch (model.state) {
    case "awake": parts = [awake(model), memory(model)]; break;
    case "asleep": parts = asleep(model); break;
    case "queued": parts = ["being woken: its load waits for a free loader", ...lastLoad(model)]; break;
    case "loading": parts = ["being woken", ...lastLoad(model)]; break;
    case "leaving": parts = ["going to sleep: it goes when the calls that use it have ended"]; break;
    case "broken": parts = [model.quarantined ? model.failure : model.failure ? `broken: ${model.failure}` : "broken"]; break;
    default: parts = [model.state];
  }
  if (model.state === "awake") parts.push(...promotion(model), ...turn(model, fleet, models));
  else if (model.pinned) parts.push("pinned, so it stays once it is awake");
  if (model.trial) parts.push(model.trial);
  if (model.strikes > 0 && !model.quarantined) parts.push(`the gateway ended ${times(model.strikes)} while it was at work`);
  if (model.kept_warm) parts.push("kept warm by a rule at this time of day");
  if (model.state === "awake" && !model.kept_warm && !model.pinned && model.idle_max_ms) {
    parts.push(`goes to sleep when it was not called for ${time(model.idle_max_ms)}`);
  }
  return parts.join("; ");
}

/** More loads in the last hour than the gateway's setting; null when there are not. */
export function warning(fleet) {
  if (!(fleet.loads_warn > 0) || fleet.loads_last_hour <= fleet.loads_warn) return null;
  return `${fleet.loads_last_hour} loads in the last hour, more than ${fleet.loads_warn} (memory.loads_warn)`;
}

/** What more memory would be worth; null when little, or not known. */
export function advice(fleet) {
  const curve = (fleet.miss_curve ?? []).filter((point) => point.cold_share >= 0 && point.cold_share <= 1);
  const points = curve.filter((point) => point.extra_bytes > 0);
  if (!(fleet.calls > 0) || points.length === 0) return null;
  const best = Math.min(...points.map((point) => point.cold_share));
  const now = curve.find((point) => point.extra_bytes === 0)?.cold_share ?? Math.min(1, fleet.cold_calls / fleet.calls);
  const wanted = now - 0.8 * (now - best);
  const point = points.find((one) => one.cold_share <= wanted);
  if (now - best < 0.01 || !point) return null;
  return `with ${bytes(point.extra_bytes)} more, cold calls would fall from ${share(now)} to ${share(point.cold_share)}`;
}
