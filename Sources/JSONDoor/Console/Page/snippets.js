// The call in the form as a line for a terminal or a program. No line holds the token.

import { nestedText } from "./tensors.js";

const swiftTypes = {
  BOOL: "Bool", UINT8: "UInt8", UINT16: "UInt16", UINT32: "UInt32", UINT64: "UInt64", INT8: "Int8", INT16: "Int16",
  INT32: "Int32", INT64: "Int64", FP16: "Float16", FP32: "Float", FP64: "Double", BYTES: "String",
};

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const compact = (text) => (text.length > 4000 ? text : text.replace(/\s*\n\s*/g, " ").replace(/\[ /g, "[").replace(/ \]/g, "]"));

/** The JSON text of an infer request. `inputs`: `{ name, datatype, shape, text }`. */
export function requestBody(inputs) {
  const one = ({ name, datatype, shape, text }) =>
    `{"name":${JSON.stringify(name)},"shape":${JSON.stringify(shape)},"datatype":${JSON.stringify(datatype)},"data":${compact(text)}}`;
  return `{"inputs":[${inputs.map(one).join(",")}]}`;
}

function curl(model, inputs, origin) {
  return `curl --cacert .sluice/tls/cert.pem ${origin}/v2/models/${model}/infer \\
  -H "Authorization: Bearer $SLUICE_TOKEN" \\
  -H 'Content-Type: application/json' \\
  -d ${shell(requestBody(inputs))}`;
}

function command(model, inputs, origin) {
  // The command takes the shape from the nesting.
  const nested = ({ text, shape, values }) => (shape.length > 1 && !/^\[\s*\[/.test(text) ? nestedText(values, shape) : text);
  const each = inputs.map((input) => `--input ${shell(`${input.name}=${compact(nested(input))}`)}`).join(" \\\n  ");
  return `sluice call ${model} ${each} \\
  --endpoint ${new URL(origin).host} --ca .sluice/tls/cert.pem`;
}

function swift(model, inputs, origin) {
  const tensor = ({ name, datatype, shape, values }) => {
    const written = JSON.stringify(values).replaceAll(",", ", ");
    return `        Tensor(${JSON.stringify(name)}, shape: [${shape.join(", ")}], ${written} as [${swiftTypes[datatype] ?? "UInt8"}]),`;
  };
  return `import Foundation
import SluiceClient

let token = ProcessInfo.processInfo.environment["SLUICE_TOKEN"] ?? ""
let configuration = SluiceClient.Configuration(
    security: .tls(.init(trust: .file(".sluice/tls/cert.pem"))), token: .token(token))
try await withSluiceClient(endpoint: "${new URL(origin).host}", configuration: configuration) { client in
    let answer = try await client.infer("${model}", inputs: [
${inputs.map(tensor).join("\n")}
    ])
    print(answer.outputs)
}`;
}

function javascript(model, inputs, origin) {
  const tensor = ({ name, datatype, shape, text }) =>
    `  { name: ${JSON.stringify(name)}, datatype: "${datatype}", shape: [${shape.join(", ")}], data: ${compact(text)} },`;
  return `import { Sluice } from "${origin}/sluice.js";

const gateway = new Sluice({ url: "${origin}", token });
const answer = await gateway.infer("${model}", [
${inputs.map(tensor).join("\n")}
]);
console.log(answer.outputs);`;
}

export const languages = [
  ["curl", "curl", curl], ["sluice", "sluice call", command], ["swift", "Swift", swift], ["javascript", "JavaScript", javascript],
];
