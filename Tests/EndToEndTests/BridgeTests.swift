// The Open Inference Protocol over HTTP and real TLS: every route, and what an answer says.

import Foundation
import Testing

@Suite struct BridgeTests {
    static let iris =
        "{\"id\":\"a1\",\"inputs\":[{\"name\":\"X\",\"datatype\":\"FP32\",\"shape\":[1,4],\"data\":[5.1,3.5,1.4,0.2]}]}"
    static let infer = "/v2/models/iris/infer"

    /// Method, path, body, status and what the answer must hold.
    static let routes: [(String, String, String?, Int, String)] = [
        ("GET", "/v2", nil, 200, "\"binary_tensor_data\""),
        ("GET", "/v2/", nil, 200, "\"name\":\"sluice\""),
        ("HEAD", "/v2", nil, 200, ""),
        ("GET", "/v2/health/live", nil, 200, "{\"live\":true}"),
        ("GET", "/v2/health/ready", nil, 200, "\"ready\":true"),
        ("GET", "/v2/models", nil, 200, "\"iris\""),
        ("GET", "/v2/models/iris", nil, 200, "\"platform\""),
        ("GET", "/v2/models/iris/versions/1", nil, 200, "\"shape\":[-1,4]"),
        ("GET", "/v2/models/iris/versions/latest", nil, 200, "\"versions\":[\"1\"]"),
        ("GET", "/v2/models/iris/ready", nil, 200, "{\"name\":\"iris\",\"ready\":true}"),
        ("GET", "/v2/models/iris/versions/1/ready", nil, 200, "\"ready\":true"),
        ("GET", "/v2/models/iris/config", nil, 200, "\"max_batch_size\""),
        ("GET", "/v2/models/iris/versions/1/config", nil, 200, "TYPE_FP32"),
        ("POST", "/v2/models/iris/infer", iris, 200, "\"id\":\"a1\""),
        ("POST", "/v2/models/iris/versions/1/infer", iris, 200, "\"model_version\":\"1\""),
        ("POST", "/v2/models/iris/versions/latest/infer", iris, 200, "\"model_name\":\"iris\""),
        ("GET", "/v2/models/iris/stats", nil, 200, "\"inference_count\":3"),
        ("GET", "/v2/models/iris/versions/1/stats", nil, 200, "\"model_stats\""),
        ("GET", "/v2/models/stats", nil, 200, "\"name\":\"iris\""),
        ("POST", "/v2/repository/index", "", 200, "\"state\":\"READY\""),
        ("POST", "/v2/repository/index", "{\"ready\":true}", 200, "\"name\":\"iris\""),
        ("POST", "/v2/repository/models/iris/load", "{}", 200, "\"load\":true"),
        // Nobody by that name, however it is spelt.
        ("GET", "/v2/models/nobody", nil, 404, "\"MODEL_NOT_FOUND\""),
        ("GET", "/v2/models/nobody/ready", nil, 404, "\"error\""),
        ("GET", "/v2/models/%69ris", nil, 404, "\"error\""),
        ("GET", "/v2/models/%2e%2e%2f", nil, 404, "\"error\""),
        ("GET", "/v2/models/..", nil, 404, "\"error\""),
        ("GET", "/v2/models/IRIS/config", nil, 404, "\"error\""),
        ("POST", "/v2/models/%2e%2e%2f/infer", iris, 404, "\"error\""),
        ("GET", "/v2/models/iris/versions/2", nil, 404, "\"error\""),
        ("GET", "/v2/models/iris/versions/nobody/ready", nil, 404, "\"error\""),
        ("GET", "/v2/models/", nil, 404, "\"error\""),
        ("GET", "/v2/models/iris/versions", nil, 404, "\"error\""),
        ("GET", "/v3", nil, 404, "\"error\""),
        // Not here.
        ("GET", "/v2/systemsharedmemory/status", nil, 501, "binary"),
        ("POST", "/v2/cudasharedmemory/region/r/register", "{}", 501, "\"UNIMPLEMENTED\""),
        ("GET", "/v2/trace/setting", nil, 501, "\"error\""),
        ("POST", "/v2/logging", "{}", 501, "\"error\""),
        ("POST", "/v2/models/iris/generate", "{}", 501, "\"error\""),
        ("POST", "/v2/repository/other/index", "", 501, "\"error\""),
        (
            "POST", "/v2/repository/models/iris/load", "{\"parameters\":{\"config\":\"{}\"}}", 501,
            "parameters.config"
        ),
    ]

    @Test func everyRoute() async throws {
        try await withGateway { gateway in
            try await withCaller(gateway, scope: "infer:* models:admin") { caller in
                for (method, path, body, status, holds) in Self.routes {
                    let reply = try await caller.send(method, path, body.map { Array($0.utf8) })
                    #expect(reply.status == status, "\(method) \(path): \(reply.text)")
                    #expect(holds.isEmpty || reply.text.contains(holds), "\(path): \(reply.text)")
                    #expect(reply.fields["x-request-id"] != nil, "\(path)")
                    guard method != "HEAD" else { continue }
                    #expect(reply.fields["content-type"] == "application/json", "\(path)")
                    let isJSON = JSONSerialization.isValid(reply.body)
                    #expect(isJSON, "\(path): \(reply.text)")
                }
            }
        }
    }

    @Test func everyRouteAsksForATokenAndKnowsItsMethods() async throws {
        try await withGateway { gateway in
            try await withCaller(gateway) { caller in
                let token = caller.token
                for (method, path, body, status, _) in Self.routes where method != "HEAD" {
                    let sent = body.map { Array($0.utf8) }
                    for shown in [nil, "scs_nobody"] {
                        caller.token = shown
                        let reply = try await caller.send(method, path, sent)
                        #expect(reply.status == 401, "\(method) \(path)")
                        #expect(reply.fields["www-authenticate"]?.hasPrefix("Bearer") == true)
                    }
                    caller.token = token
                    for other in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
                    where other != method {
                        let reply = try await caller.send(other, path, nil)
                        if path.hasSuffix("setting") || path == "/v2/logging",
                            ["GET", "POST"].contains(other)
                        {
                            #expect(reply.status == 501)
                        } else if status == 404, reply.status == 404 {
                            #expect(reply.text.contains("nothing at this path"))
                        } else {
                            #expect(reply.status == 405, "\(other) \(path): \(reply.status)")
                            #expect(reply.fields["allow"]?.contains(method) == true, "\(path)")
                        }
                    }
                }
            }
        }
    }

    @Test func whatATokenMayNotSeeIsNotThere() async throws {
        try await withGateway { gateway in
            try await withCaller(gateway, scope: "infer:digits-*") { caller in
                for path in ["/v2/models/iris", "/v2/models/nobody"] {
                    #expect(try await caller.get(path + "/config").status == 404)
                    #expect(try await caller.post(path + "/infer", Self.iris).status == 404)
                    #expect(try await caller.get(path + "/ready").status == 404)
                }
                let list = try await caller.get("/v2/models").text
                #expect(list.contains("digits-mlp") && !list.contains("iris"), "\(list)")
                let load = try await caller.post("/v2/repository/models/digits-mlp/load")
                #expect(load.status == 403 && load.text.contains("SCOPE_MISSING"))
            }
        }
    }

    /// Long text is read and written beside the event loop: the numbers are the same, and what is wrong is named the same.
    @Test func longJSONBothWays() async throws {
        try await withGateway { gateway in
            try await withCaller(gateway) { caller in
                let rows = 30_000
                let data = [String](repeating: "5.1,3.5,1.4,0.2,6.7,3.0,5.2,2.3", count: rows / 2)
                    .joined(separator: ",")
                func body(_ data: String) -> String {
                    "{\"inputs\":[{\"name\":\"X\",\"datatype\":\"FP32\",\"shape\":[\(rows),4],\"data\":[\(data)]}]}"
                }
                let reply = try await caller.post(Self.infer, body(data))
                let outputs = try #require(try reply.json()["outputs"] as? [[String: Any]])
                let labels = try #require(outputs[0]["data"] as? [Int])
                #expect(labels.count == rows)
                #expect((0..<rows).allSatisfy { labels[$0] == ($0 % 2 == 0 ? 0 : 2) })
                let shares = try #require(outputs[1]["data"] as? [Double])
                #expect(shares.count == 3 * rows && shares[0] == shares[3 * rows - 6])
                let wrong = try await caller.post(Self.infer, body(data + ",1"))
                #expect(wrong.status == 400 && wrong.text.contains("inputs[0]"), "\(wrong.text)")
            }
        }
    }

    @Test func anAnswerInEveryForm() async throws {
        try await withGateway { gateway in
            try await withCaller(gateway) { caller in
                let reply = try await caller.post(Self.infer, Self.iris)
                let outputs = try #require(try reply.json()["outputs"] as? [[String: Any]])
                #expect(outputs.map { $0["name"] as? String } == ["label", "probabilities"])
                #expect(outputs[0]["data"] as? [Int] == [0])
                let shares = try #require(outputs[1]["data"] as? [Double])
                #expect(shares.count == 3 && abs(shares[0] - 0.98) < 0.01)
                let timing = try #require(reply.fields["server-timing"])
                #expect(
                    timing.wholeMatch(
                        of:
                            #/admission;dur=[\d.]+, queue;dur=[\d.]+, load;dur=[\d.]+, run;dur=[\d.]+, batch;desc=1(, cold)?/#
                    ) != nil, "\(timing)")

                // Some outputs, nested data, binary back.
                let nested = try await caller.post(
                    Self.infer,
                    "{\"inputs\":[{\"name\":\"X\",\"datatype\":\"FP32\",\"shape\":[2,4],"
                        + "\"data\":[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3]]}],\"outputs\":["
                        + "{\"name\":\"label\",\"parameters\":{\"binary_data\":true}}]}",
                    ["Content-Type": "application/json; charset=utf-8"])
                let (json, tensors) = try nested.split()
                #expect(nested.fields["content-type"] == "application/octet-stream")
                #expect(tensors == [0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0])
                #expect(json["id"] == nil && json["model_version"] as? String == "1")

                // The highest classes by their places and names.
                let classes = try await caller.post(
                    Self.infer,
                    Self.iris.replacing(
                        "\"id\"",
                        with: "\"outputs\":[{\"name\":\"probabilities\",\"parameters\":"
                            + "{\"classification\":2}}],\"id\""))
                let best = try #require(try classes.json()["outputs"] as? [[String: Any]])
                #expect(best[0]["datatype"] as? String == "BYTES", "\(classes.text)")
                let first = (best[0]["data"] as? [String])?.first
                #expect(first?.hasSuffix(":0:setosa") == true, "\(classes.text)")

                // Raw: nothing but floats; everything comes back binary.
                let raw = try await caller.send(
                    "POST", Self.infer, Self.floats([5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3]),
                    ["Inference-Header-Content-Length": "0"])
                let back = try raw.split().tensors
                #expect(back.count == 2 * 8 + 2 * 3 * 4 && back.prefix(16) == tensors[...])
            }
        }
    }

    static func floats(_ values: [Float]) -> [UInt8] {
        values.flatMap { value in
            let bits = value.bitPattern
            return (0..<4).map { UInt8(truncatingIfNeeded: bits >> ($0 * 8)) }
        }
    }

    @Test func unloadTakesAModelOutOfServiceUntilLoad() async throws {
        try await withGateway { gateway in
            try await withCaller(gateway, scope: "infer:* models:admin") { caller in
                let model = "/v2/repository/models/iris"
                let unload = try await caller.post(
                    model + "/unload", "{\"parameters\":{\"unload_dependents\":false}}")
                #expect(unload.status == 200 && unload.text.contains("\"unload\":true"))
                #expect(try await caller.get("/v2/models/iris/ready").status == 404)
                let infer = try await caller.post(Self.infer, Self.iris)
                #expect(infer.status >= 400 && infer.text.contains("MODEL_UNLOADED"))
                let ready = try await caller.post("/v2/repository/index", "{\"ready\":true}")
                #expect(!ready.text.contains("\"iris\"") && ready.text.contains("digits-mlp"))
                let all = try await caller.post("/v2/repository/index", "{}")
                #expect(all.text.contains("\"UNAVAILABLE\""), "\(all.text)")
                #expect(try await caller.post(model + "/load", "").status == 200)
                #expect(try await caller.get("/v2/models/iris/ready").status == 200)
                #expect(try await caller.post(Self.infer, Self.iris).status == 200)
            }
        }
    }

    @Test func limitsAreTold() async throws {
        let settings = """
            plans:
              - name: default
                rate: 1/m
                burst: 2

            """
        try await withGateway(settings: settings) { gateway in
            try await withCaller(gateway) { caller in
                let first = try await caller.post(Self.infer, Self.iris)
                #expect(first.status == 200)
                #expect(first.fields["ratelimit"]?.hasPrefix("\"calls\";r=1;t=") == true)
                #expect(first.fields["ratelimit-policy"] == "\"calls\";q=1;w=60")
                #expect(try await caller.post(Self.infer, Self.iris).status == 200)
                let refused = try await caller.post(Self.infer, Self.iris)
                #expect(refused.status == 429 && refused.text.contains("\"RATE_LIMIT\""))
                let wait = try #require(refused.fields["retry-after"].flatMap { Int($0) })
                #expect((1...60).contains(wait))
                #expect(refused.fields["ratelimit"]?.hasPrefix("\"calls\";r=0") == true)
            }
        }
    }

    @Test func aRequestsOwnTimeoutEndsIt() async throws {
        try await withTemporaryFolder { folder in
            try FixtureModels.put(["endless"], into: folder)
            try await withGateway(models: folder.path) { gateway in
                try await withCaller(gateway) { caller in
                    let start = ContinuousClock.now
                    let reply = try await caller.post(
                        "/v2/models/endless/infer",
                        "{\"parameters\":{\"timeout\":300000},\"inputs\":["
                            + "{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1]},"
                            + "{\"name\":\"always\",\"datatype\":\"BOOL\",\"shape\":[],\"data\":[true]}]}"
                    )
                    #expect(reply.status == 504 && reply.text.contains("DEADLINE"), "\(reply.text)")
                    #expect(ContinuousClock.now - start < .seconds(10))
                }
            }
        }
    }

    @Test func compressedBothWays() async throws {
        try await withTemporaryFolder { folder in
            let body = folder.appending(path: "body")
            let rows = Array(repeating: "[5.1,3.5,1.4,0.2]", count: 4_000).joined(separator: ",")
            let json =
                "{\"inputs\":[{\"name\":\"X\",\"datatype\":\"FP32\",\"shape\":[4000,4],\"data\":[\(rows)]}]}"
            try json.write(to: body, atomically: true, encoding: .utf8)
            let packed = try await Command.run(program: "/bin/gzip", ["-k", "-9", body.path])
            #expect(packed.status == 0, "\(packed.error)")
            let gzipped = try Array(Data(contentsOf: body.appendingPathExtension("gz")))
            try await withGateway { gateway in
                try await withCaller(gateway) { caller in
                    let plain = try await caller.post(Self.infer, json)
                    #expect(plain.status == 200)
                    let both = try await caller.send(
                        "POST", Self.infer, gzipped,
                        ["Content-Encoding": "gzip", "Accept-Encoding": "deflate;q=0.5, gzip"])
                    #expect(both.status == 200 && both.fields["content-encoding"] == "gzip")
                    #expect(both.body.count * 5 < plain.body.count)
                    let answer = folder.appending(path: "answer.gz")
                    try Data(both.body).write(to: answer)
                    let back = try await Command.run(
                        program: "/bin/gzip", ["-dc", answer.path])
                    #expect(back.output == plain.text)
                    let other = try await caller.send(
                        "POST", Self.infer, gzipped, ["Content-Encoding": "br"])
                    #expect(other.status == 415)
                    #expect(other.fields["accept-encoding"] == "gzip, deflate, identity")
                }
            }
        }
    }
}

extension JSONSerialization {
    static func isValid(_ bytes: [UInt8]) -> Bool {
        (try? jsonObject(with: Data(bytes), options: .fragmentsAllowed)) != nil
    }
}
