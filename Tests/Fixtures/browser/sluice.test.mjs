// The browser module as Node runs it, against a real gateway: `node --test`, started by BrowserModuleTests with
// SLUICE_MODULE (the file), SLUICE_URL, SLUICE_TOKEN and NODE_EXTRA_CA_CERTS.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";

const { Sluice, SluiceError } = await import(process.env.SLUICE_MODULE);
const url = process.env.SLUICE_URL;
const token = process.env.SLUICE_TOKEN;
const sluice = new Sluice({ url, token });
const flower = { X: { data: new Float32Array([5.1, 3.5, 1.4, 0.2]), shape: [1, 4] } };

test("typed arrays in and out", async () => {
  const answer = await sluice.infer("iris", flower, { id: "abc" });
  assert.equal(answer.model, "iris");
  assert.equal(answer.version, "1");
  assert.equal(answer.id, "abc");
  assert.deepEqual(answer.outputs.label, {
    name: "label", datatype: "INT64", shape: [1], data: new BigInt64Array([0n]),
  });
  const { data, shape } = answer.outputs.probabilities;
  assert.ok(data instanceof Float32Array);
  assert.deepEqual(shape, [1, 3]);
  assert.ok(data[0] > 0.9 && Math.abs(data[0] + data[1] + data[2] - 1) < 1e-5);
});

test("binary, JSON and streamed answers are the same", async () => {
  const rows = { X: [[5.1, 3.5, 1.4, 0.2], [6.2, 2.8, 4.8, 1.8]] };
  const binary = await sluice.infer("iris", rows);
  assert.deepEqual(binary.outputs.label.shape, [2]);
  assert.deepEqual((await sluice.infer("iris", rows, { binary: false })).outputs, binary.outputs);
  assert.deepEqual((await sluice.infer("iris", rows, { onProgress() {} })).outputs, binary.outputs);
});

test("a list of inputs, a version, some outputs", async () => {
  const inputs = [{ name: "X", data: [5.1, 3.5, 1.4, 0.2], shape: [1, 4], datatype: "FP32" }];
  const answer = await sluice.infer("iris", inputs, { version: 1, outputs: ["label"] });
  assert.deepEqual(Object.keys(answer.outputs), ["label"]);
  const latest = await sluice.infer("iris", inputs, { version: "latest", outputs: ["probabilities"] });
  assert.deepEqual(Object.keys(latest.outputs), ["probabilities"]);
});

test("a view into a larger buffer", async () => {
  const whole = new Float32Array([9, 9, 5.1, 3.5, 1.4, 0.2, 9]);
  const answer = await sluice.infer("iris", { X: { data: whole.subarray(2, 6), shape: [1, 4] } });
  assert.equal(answer.outputs.label.data[0], 0n);
});

test("strings and numbers of every width, both ways", async () => {
  for (const [model, data, datatype] of [
    ["bytes", ["", "ab", "ä☃", "\n"]], ["bool", new Uint8Array([1, 0, 1, 1]), "BOOL"],
    ["int64", new BigInt64Array([-(2n ** 63n), 0n, 2n ** 63n - 1n, -1n])],
    ["uint64", new BigUint64Array([0n, 1n, 2n ** 64n - 1n, 2n ** 53n + 1n])],
    ["fp64", new Float64Array([Math.PI, NaN, -Infinity, 5e-324])],
    ["int8", new Int8Array([-128, 0, 127, 1])], ["int16", new Int16Array([-32768, 0, 32767, 1])],
    ["int32", new Int32Array([-(2 ** 31), 0, 2 ** 31 - 1, 1])],
    ["uint8", new Uint8Array([0, 1, 254, 255])], ["uint16", new Uint16Array([0, 1, 65535, 2])],
    ["uint32", new Uint32Array([0, 1, 2 ** 32 - 1, 2])],
    ["fp32", new Float32Array([0.1, -0, 3e38, NaN])],
    ["fp16", new Uint16Array([0x3c00, 0x7e00, 0, 1]), "FP16"],
    ["bf16", new Uint16Array([0x3f80, 0x7fc0, 0, 1]), "BF16"],
  ]) {
    const x = { data, shape: [2, 2], ...(datatype ? { datatype } : {}) };
    const { y } = (await sluice.infer(`identity-${model}`, { x })).outputs;
    assert.deepEqual(y.data, data, model);
    assert.deepEqual(y.shape, [2, 2]);
    if (["fp16", "bf16", "fp64", "fp32"].includes(model)) continue;
    // And as JSON, in a stream.
    if (model.endsWith("64") && !JSON.parse("1", (_, v, c) => c?.source)) continue;
    const streamed = await sluice.infer(`identity-${model}`, { x }, { onProgress() {} });
    assert.deepEqual(streamed.outputs.y.data, data, model);
  }
});

test("what is wrong before anything is sent", async () => {
  await assert.rejects(sluice.infer("iris", { X: { data: new Float32Array(4), shape: [2, 4] } }), RangeError);
  await assert.rejects(sluice.infer("iris", { X: { data: new Float64Array(4), datatype: "FP32" } }), TypeError);
  await assert.rejects(sluice.infer("iris", { X: { data: "abc" } }), TypeError);
  await assert.rejects(sluice.infer("iris", { X: { data: [2n ** 60n + 1n], datatype: "INT64" } }, { binary: false }), RangeError);
});

test("errors say what the gateway says", async () => {
  const failed = async (promise) => {
    const error = await promise.then(() => assert.fail("this should fail"), (error) => error);
    assert.ok(error instanceof SluiceError && error instanceof Error, String(error));
    assert.ok(error.message.length > 0);
    return error;
  };
  const unknown = await failed(sluice.infer("nothing", flower));
  assert.equal(unknown.status, 404);
  assert.equal(unknown.code, "NOT_FOUND");
  assert.equal(unknown.reason, "MODEL_NOT_FOUND");
  assert.equal(unknown.retryAfter, undefined);
  // Refused before any progress was told: the status is the same.
  assert.equal((await failed(sluice.infer("nothing", flower, { onProgress() {} }))).status, 404);
  assert.equal((await failed(sluice.infer("iris", { Y: [[1, 2, 3, 4]] }))).status, 400);
  const stranger = await failed(new Sluice({ url, token: "wrong" }).infer("iris", flower));
  assert.equal(stranger.status, 401);
  assert.equal(stranger.code, "UNAUTHENTICATED");
  const path = await failed(sluice.metadata("../iris"));
  assert.equal(path.status, 404);
});

test("an error in a stream says when to come again", async () => {
  // What a gateway says whose queue fills up while a model wakes.
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    response.end('event: progress\ndata: {"state":"queued"}\n\nevent: error\n'
      + 'data: {"error":"too many wait","status":503,"code":"UNAVAILABLE","reason":"QUEUE_FULL","retry_after":3}\n\n');
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const heard = [];
  const busy = new Sluice({ url: `http://127.0.0.1:${server.address().port}`, token });
  const error = await busy.infer("iris", flower, { onProgress: (progress) => heard.push(progress.state) })
    .then(() => assert.fail("this should fail"), (error) => error);
  server.closeAllConnections();
  server.close();
  assert.deepEqual(heard, ["queued"]);
  assert.equal(error.retryAfter, 3);
  assert.equal(error.status, 503);
  assert.equal(error.reason, "QUEUE_FULL");
});

test("the token may come from a function", async () => {
  let asked = 0;
  const other = new Sluice({ url: new URL(url), token: async () => { asked += 1; return token; } });
  assert.equal(await other.ready(), true);
  assert.equal(await other.ready("iris"), true);
  assert.equal(asked, 2);
});

test("metadata, readiness, models", async () => {
  const metadata = await sluice.metadata("iris");
  assert.deepEqual(metadata.inputs, [{ name: "X", datatype: "FP32", shape: [-1, 4] }]);
  assert.equal((await sluice.metadata()).name, "sluice");
  assert.equal((await sluice.metadata("iris", { version: 1 })).name, "iris");
  assert.equal(await sluice.ready("nothing"), false);
  const models = await sluice.models();
  assert.ok(models.some((model) => model.name === "iris" && model.state === "READY"));
});

test("an abort cancels, before and while", async () => {
  const aborted = AbortSignal.abort();
  await assert.rejects(sluice.infer("iris", flower, { signal: aborted }), { name: "AbortError" });
  const controller = new AbortController();
  const call = sluice.infer("iris", flower, { signal: controller.signal, onProgress() {} });
  controller.abort(new Error("enough"));
  await assert.rejects(call, /enough/);
});

test("a model's events: now, each change, and no more after leaving", async () => {
  const controller = new AbortController();
  const seen = [];
  for await (const { event, data } of sluice.events("digits-mlp", { signal: controller.signal })) {
    if (event === "message") seen.push(data.state);
    assert.equal(event === "message" ? data.name : "digits-mlp", "digits-mlp");
    if (seen.length === 1) {
      assert.equal(data.state, "asleep");
      const { inputs: [{ name, shape }] } = await sluice.metadata("digits-mlp");
      const full = shape.map((dimension) => Math.max(1, dimension));
      const count = full.reduce((product, dimension) => product * dimension, 1);
      await sluice.infer("digits-mlp", { [name]: { data: new Float32Array(count), shape: full } });
    }
    if (data.state === "awake") break;
  }
  assert.equal(seen[0], "asleep");
  assert.equal(seen.at(-1), "awake");
  await assert.rejects(async () => { for await (const _ of sluice.events("nothing")) assert.fail("an event"); }, { status: 404 });
});
