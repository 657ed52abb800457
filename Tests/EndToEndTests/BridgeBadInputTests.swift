// What bad input gets from the bridge: a clear answer, and nobody else notices.

import Foundation
import Testing

@Suite struct BridgeBadInputTests {
    private static func body(
        _ data: String, shape: String = "[1,2]", datatype: String = "FP32", more: String = ""
    ) -> String {
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"\(datatype)\",\"shape\":\(shape),\"data\":\(data)}]\(more)}"
    }

    /// Within an object it is one level more than is allowed.
    private static let deep =
        String(repeating: "[", count: 32) + "1,2" + String(repeating: "]", count: 32)

    /// Datatype of the identity model that is called, the body, and what the error must say.
    static let refused: [(what: String, model: String, body: String, says: String)] = [
        ("an empty body", "fp32", "", ""), ("null", "fp32", "null", ""),
        ("an array", "fp32", "[]", "object"),
        ("depth 33 of data", "fp32", body(deep), "nested"),
        ("depth 33", "fp32", body("[1,2]", more: ",\"x\":" + deep), "32"),
        ("duplicate keys", "fp32", body("[1,2]", more: ",\"inputs\":[]"), "twice"),
        ("a trailing comma", "fp32", body("[1,2,]"), ""),
        ("a trailing comma behind a member", "fp32", body("[1,2]", more: ","), ""),
        ("something behind the end", "fp32", body("[1,2]") + "{}", ""),
        ("1e999", "fp32", body("[1,1e999]"), ""), ("1e39 as float32", "fp32", body("[1,1e39]"), ""),
        ("NaN", "fp32", body("[1,NaN]"), "binary"),
        ("-Infinity", "fp32", body("[1,-Infinity]"), "binary"),
        ("a quoted number", "int32", body("[1,\"1.0\"]", datatype: "INT32"), ""),
        ("1.0 for an integer", "int32", body("[1,1.5]", datatype: "INT32"), ""),
        ("2^31 as INT32", "int32", body("[1,2147483648]", datatype: "INT32"), ""),
        ("2^63 as INT64", "int64", body("[1,9223372036854775808]", datatype: "INT64"), ""),
        ("-1 as UINT8", "uint8", body("[1,-1]", datatype: "UINT8"), ""),
        ("1 as BOOL", "bool", body("[true,1]", datatype: "BOOL"), ""),
        ("a leading zero", "fp32", body("[1,02]"), ""), ("a plus", "fp32", body("[1,+2]"), ""),
        ("half a float", "fp16", body("[1,2]", datatype: "FP16"), "binary"),
        ("shape [-1]", "fp32", body("[1,2]", shape: "[-1]"), "shape"),
        ("shape [2^40, 2^40]", "fp32", body("[1]", shape: "[1099511627776,1099511627776]"), ""),
        ("shape [0] with data", "fp32", body("[1,2]", shape: "[0,2]"), ""),
        ("a shape of text", "fp32", body("[1,2]", shape: "[\"1\",2]"), "shape"),
        ("nine dimensions", "fp32", body("[1]", shape: "[1,1,1,1,1,1,1,1,1]"), ""),
        ("too few elements", "fp32", body("[1]"), ""),
        ("too many elements", "fp32", body("[1,2,3]"), ""),
        ("nested data of another shape", "fp32", body("[[1],[2]]"), ""),
        ("ragged data", "fp32", body("[[1,2],[3]]", shape: "[2,2]"), ""),
        ("another shape than the model's", "fp32", body("[1,2,3]", shape: "[1,3]"), "must be 2"),
        ("another datatype", "fp32", body("[1,2]", datatype: "FP64"), "FP64"),
        ("an unknown datatype", "fp32", body("[1,2]", datatype: "FLOAT"), "FLOAT"),
        ("an unknown input", "fp32", body("[1,2]").replacing("\"x\"", with: "\"z\""), "z"),
        ("an id that is a number", "fp32", body("[1,2]", more: ",\"id\":7"), "id"),
        ("an unknown output", "fp32", body("[1,2]", more: ",\"outputs\":[{\"name\":\"q\"}]"), "q"),
        ("a lone surrogate", "bytes", body("[\"\\ud800\",\"\"]", datatype: "BYTES"), ""),
        ("a raw line feed in a string", "bytes", body("[\"a\nb\",\"\"]", datatype: "BYTES"), ""),
    ]

    @Test func tensorsInJSON() async throws {
        try await withTemporaryFolder { folder in
            try FixtureModels.putIdentities(into: folder)
            try await withGateway(models: folder.path) { gateway in
                try await withBystander(gateway) {
                    try await withCaller(gateway) { caller in
                        for (what, model, body, says) in Self.refused {
                            let reply = try await caller.post(
                                "/v2/models/identity-\(model)/infer", body)
                            #expect(reply.status == 400, "\(what): \(reply.status) \(reply.text)")
                            let error = try reply.json()["error"] as? String
                            #expect(
                                error?.contains(says) ?? false || says.isEmpty,
                                "\(what): \(reply.text)")
                            #expect(reply.body.count < 2_000, "\(what)")
                        }
                        // More than any message holds: known before an element is read.
                        let huge = try await caller.post(
                            "/v2/models/identity-fp32/infer",
                            Self.body("[1,2]", shape: "[1099511627776]"))
                        #expect(huge.status == 413 && huge.text.contains("limits.message"))
                    }
                }
            }
        }
    }

    /// What looks odd and is right.
    @Test func whatIsAllowed() async throws {
        try await withTemporaryFolder { folder in
            try FixtureModels.putIdentities(into: folder)
            try await withGateway(models: folder.path) { gateway in
                try await withCaller(gateway) { caller in
                    for (model, body, data) in [
                        ("fp32", Self.body("[-0,1e-46]"), "\"data\":[-0.0,0.0]"),
                        (
                            "fp32", Self.body("[[1,2]]", more: ",\"model_name\":\"other\""),
                            "1.0,2.0"
                        ),
                        ("fp32", Self.body("[]", shape: "[0,2]"), "\"data\":[]"),
                        (
                            "int64",
                            Self.body("[9007199254740993,-9223372036854775808]", datatype: "INT64"),
                            "[9007199254740993,-9223372036854775808]"
                        ),
                        (
                            "uint64", Self.body("[18446744073709551615,0]", datatype: "UINT64"),
                            "18446744073709551615"
                        ),
                        (
                            "bytes", Self.body("[\"\\u0000\u{e9}\",\"\"]", datatype: "BYTES"),
                            "\u{e9}"
                        ),
                        ("fp32", " \n" + Self.body("[1 , 2]") + "\r\n\t", "\"data\""),
                    ] {
                        let reply = try await caller.post(
                            "/v2/models/identity-\(model)/infer", body)
                        #expect(reply.status == 200, "\(body): \(reply.text)")
                        let text = reply.text.replacing(".0", with: "")
                        #expect(
                            text.contains(data.replacing(".0", with: "")), "\(body): \(reply.text)")
                    }
                }
            }
        }
    }

    @Test func bytesThatAreNoUTF8JSON() async throws {
        try await withGateway { gateway in
            try await withCaller(gateway) { caller in
                let json = Array(BridgeTests.iris.utf8)
                let wide: [UInt8] = json.flatMap { [$0, 0] }
                var bodies: [(what: String, bytes: [UInt8])] = []
                bodies.append(("a BOM", [0xEF, 0xBB, 0xBF] + json))
                bodies.append(("UTF-16", wide))
                bodies.append(("UTF-16 with a BOM", [0xFF, 0xFE] + wide))
                bodies.append(("latin-1", Array("{\"id\":\"".utf8) + [0xE9, 0x22, 0x7D]))
                bodies.append(("zeros", [UInt8](repeating: 0, count: 1 << 20)))
                for (what, body) in bodies {
                    let reply = try await caller.send("POST", BridgeTests.infer, body)
                    #expect(reply.status == 400, "\(what): \(reply.text)")
                }
                for type in [
                    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
                ] {
                    let reply = try await caller.post(
                        BridgeTests.infer, BridgeTests.iris, ["Content-Type": type])
                    #expect(reply.status == 415, "\(type)")
                }
            }
        }
    }

    private static let binary =
        "{\"inputs\":[{\"name\":\"X\",\"datatype\":\"FP32\",\"shape\":[1,4],\"parameters\":{\"binary_data_size\":16}}]}"

    @Test func binaryTensorsThatDoNotAddUp() async throws {
        try await withGateway { gateway in
            try await withCaller(gateway) { caller in
                let json = Array(Self.binary.utf8)
                let tensor = BridgeTests.floats([5.1, 3.5, 1.4, 0.2])
                func send(_ body: [UInt8], _ length: String) async throws -> HTTPReply {
                    try await caller.send(
                        "POST", BridgeTests.infer, body, ["Inference-Header-Content-Length": length]
                    )
                }
                let right = try await send(json + tensor, String(json.count))
                #expect(right.status == 200, "\(right.text)")
                let count = json.count
                let whole = json + tensor
                var bodies: [(what: String, bytes: [UInt8], length: String)] = []
                bodies.append(("one byte too few", Array(whole.dropLast()), "\(count)"))
                bodies.append(("one byte too many", whole + [0], "\(count)"))
                bodies.append(("no bytes", json, "\(count)"))
                bodies.append(("raw that does not fit", Array(tensor.dropLast()), "0"))
                for length in [
                    "-1", "twelve", "\(count + 17)", "99999999999999999999", "\(count - 1)",
                    "\(count + 1)",
                ] {
                    bodies.append(("another length", whole, length))
                }
                for (what, body, length) in bodies {
                    let reply = try await send(body, length)
                    #expect(reply.status == 400, "\(what): \(reply.status) \(reply.text)")
                }
                for size in ["-16", "1e1", "\"16\"", "17", "9223372036854775807"] {
                    let odd = Array(Self.binary.replacing(":16}", with: ":\(size)}").utf8)
                    let reply = try await send(odd + tensor, "\(odd.count)")
                    #expect(reply.status == 400, "\(size): \(reply.text)")
                }
            }
        }
    }

    /// Refused by the head alone where it says enough, else as soon as it is known.
    @Test func bodiesThatAreTooLarge() async throws {
        let settings = "limits: { message: 8MiB }\n"
        try await withTemporaryFolder { folder in
            let zeros = folder.appending(path: "zeros")
            try Data(count: 65 << 20).write(to: zeros)
            let packed = try await Command.run(program: "/bin/gzip", ["-9", zeros.path])
            #expect(packed.status == 0, "\(packed.error)")
            let bomb = try Array(Data(contentsOf: zeros.appendingPathExtension("gz")))
            #expect(bomb.count < 100_000)
            try await withGateway(settings: settings) { gateway in
                try await withBystander(gateway) {
                    try await withCaller(gateway) { caller in
                        let said = try await caller.send(
                            "POST", BridgeTests.infer, [], length: 65 << 20)
                        #expect(said.status == 413 && said.fields["connection"] == "close")
                        for _ in 0..<3 {
                            let reply = try await caller.send(
                                "POST", BridgeTests.infer, bomb, ["Content-Encoding": "gzip"])
                            #expect(reply.status == 413, "\(reply.text)")
                            #expect(reply.text.contains("limits.message"))
                        }
                        for broken in [
                            Array(bomb.dropLast(9)), bomb + [1], Array(bomb.dropFirst()),
                        ] {
                            let reply = try await caller.send(
                                "POST", BridgeTests.infer, Array(broken.prefix(2_000)),
                                ["Content-Encoding": "gzip"])
                            #expect(reply.status == 400, "\(reply.text)")
                        }
                        // Small again: the next request is served.
                        #expect(
                            try await caller.post(BridgeTests.infer, BridgeTests.iris).status == 200
                        )
                    }
                }
            }
        }
    }
}
