// The bridge's routes: what each asks the walk, and how what comes back is said.

import Contract
import JSONDoor
import NIOCore
import Testing

@Suite struct BridgeTests {
    static let asked:
        [(method: String, path: String, asks: Contract.Method, model: String, version: String)] = [
            ("GET", "/v2", .serverMetadata, "", ""), ("GET", "/v2/", .serverMetadata, "", ""),
            ("GET", "/v2/health/ready", .serverReady, "", ""),
            ("GET", "/v2/models", .repositoryIndex, "", ""),
            ("GET", "/v2/models/stats", .modelStatistics, "", ""),
            ("GET", "/v2/models/iris", .modelMetadata, "iris", ""),
            ("GET", "/v2/models/iris/versions/2", .modelMetadata, "iris", "2"),
            ("GET", "/v2/models/iris/ready", .modelReady, "iris", ""),
            ("GET", "/v2/models/iris/versions/latest/ready", .modelReady, "iris", "latest"),
            ("GET", "/v2/models/iris/config", .modelMetadata, "iris", ""),
            ("GET", "/v2/models/iris/versions/2/config", .modelMetadata, "iris", "2"),
            ("GET", "/v2/models/iris/stats", .modelStatistics, "iris", ""),
            ("GET", "/v2/models/iris/versions/2/stats", .modelStatistics, "iris", "2"),
            // Compared as they come.
            ("GET", "/v2/models/%2e%2e%2f", .modelMetadata, "%2e%2e%2f", ""),
            ("GET", "/v2/models/../ready", .modelReady, "..", ""),
            ("GET", "/v2/models/stats/stats", .modelStatistics, "stats", ""),
            ("POST", "/v2/models/iris/infer", .infer, "iris", ""),
            ("POST", "/v2/models/iris/versions/9/infer", .infer, "iris", "9"),
            ("POST", "/v2/repository/index", .repositoryIndex, "", ""),
            ("POST", "/v2/repository/models/iris/load", .repositoryLoad, "iris", ""),
            ("POST", "/v2/repository/models/iris/unload", .repositoryUnload, "iris", ""),
        ]

    @Test(arguments: asked)
    func whatAPathAsks(
        method: String, path: String, asks: Contract.Method, model: String, version: String
    ) throws {
        let bench = try BridgeBench { _ in
            .failure(
                CallFailure(.unavailable, .stopping, "later", retryAfter: .milliseconds(1_500)))
        }
        let body = method == "POST" ? ByteBuffer(string: "{}") : nil
        let reply = try #require(try bench.send(method, path, body))
        let call = try #require(bench.desk.calls.first)
        #expect(call.method == asks && call.model == model && call.version == version)
        #expect(call.token == nil && !call.wantsProgress)
        #expect(reply.status == 503 && reply.field("retry-after") == "2")
        #expect(reply.text.hasPrefix("{\"error\":\"later\""))
    }

    @Test(arguments: asked) func everyPathAsksForATokenAndKnowsItsMethods(
        method: String, path: String, asks: Contract.Method, model: String, version: String
    ) throws {
        for token in [nil, "bad"] {
            let bench = try BridgeBench()
            #expect(try bench.send(method, path, token: token)?.status == 401)
            #expect(bench.desk.calls.isEmpty)
        }
        for other in ["GET", "POST", "PUT", "DELETE", "PATCH"] where other != method {
            let reply = try #require(try BridgeBench().send(other, path))
            #expect(reply.status == 405, "\(other) \(path)")
            let allow = reply.field("allow") ?? ""
            #expect(allow.contains(method) && !allow.contains(other), "\(other) \(path): \(allow)")
        }
    }

    @Test func liveAsksNobody() throws {
        let bench = try BridgeBench()
        #expect(try bench.send("GET", "/v2/health/live")?.text == "{\"live\":true}")
        #expect(bench.desk.calls.isEmpty)
    }

    @Test func readiness() throws {
        for (isReady, status) in [(true, 200), (false, 503)] {
            let bench = try BridgeBench { _ in .success(.serverReady(isReady)) }
            let reply = try #require(try bench.send("GET", "/v2/health/ready"))
            #expect(reply.status == status && (isReady || reply.text.contains("\"error\"")))
            if isReady { #expect(reply.text.contains("\"ready\":true")) }
        }
        for (isReady, status) in [(true, 200), (false, 404)] {
            let bench = try BridgeBench { _ in .success(.modelReady(isReady)) }
            let reply = try #require(try bench.send("GET", "/v2/models/iris/ready"))
            #expect(reply.status == status)
            #expect(reply.text == "{\"name\":\"iris\",\"ready\":true}" || !isReady)
        }
    }

    @Test func theServerSaysWhatIsThere() throws {
        let bench = try BridgeBench { _ in
            .success(
                .serverMetadata(
                    ServerMetadata(name: "sluice", version: "1", extensions: ["statistics"])))
        }
        let text = try #require(try bench.send("GET", "/v2")).text
        for word in ["\"name\":\"sluice\"", "\"statistics\"", "\"binary_tensor_data\""] {
            #expect(text.contains(word), "\(text)")
        }
        #expect(!text.contains("shared_memory") && !text.contains("sequence"))
    }

    @Test func theListNamesEachModelOnce() throws {
        let bench = try BridgeBench { _ in
            .success(
                .index(
                    [("a", "1"), ("a", "2"), ("b", "1")].map {
                        IndexEntry(name: $0.0, version: $0.1, state: "READY", reason: "")
                    }))
        }
        #expect(try bench.send("GET", "/v2/models")?.text == "{\"models\":[\"a\",\"b\"]}")
    }

    @Test func whatThePlanHasLeftAndWhereTheTimeWent() throws {
        let bench = try BridgeBench { call in
            call.method == .infer
                ? .failure(CallFailure(.deadlineExceeded, .deadlinePast, "late"))
                : .failure(CallFailure(.resourceExhausted, .rateLimit, "slower"))
        }
        bench.desk.allowance = Allowance(
            name: "calls", limit: 100, windowSeconds: 60, remaining: 50, resetSeconds: 30)
        bench.desk.timing.queue = .microseconds(1_234)
        bench.desk.timing.load = .seconds(2)
        bench.desk.timing.run = .microseconds(7)
        bench.desk.timing.batch = 1
        bench.desk.timing.cold = true
        let slow = try #require(try bench.send("GET", "/v2/models/iris"))
        #expect(slow.status == 429 && slow.field("ratelimit") == "\"calls\";r=50;t=30")
        #expect(slow.field("ratelimit-policy") == "\"calls\";q=100;w=60")
        #expect(slow.field("server-timing") == nil)
        let late = try #require(try bench.post("/v2/models/iris/infer"))
        #expect(late.status == 504)
        #expect(
            late.field("server-timing")
                == "admission;dur=0.000, queue;dur=1.234, load;dur=2000.000, run;dur=0.007, batch;desc=1, cold"
        )
    }

    @Test(arguments: [
        ("GET", "/v2/systemsharedmemory/status"), ("GET", "/v2/cudasharedmemory/status"),
        ("GET", "/v2/systemsharedmemory/region/r/status"),
        ("POST", "/v2/cudasharedmemory/region/r/register"),
        ("POST", "/v2/systemsharedmemory/region/r/unregister"),
        ("POST", "/v2/systemsharedmemory/unregister"), ("GET", "/v2/trace/setting"),
        ("POST", "/v2/trace/setting"), ("GET", "/v2/models/m/trace/setting"),
        ("POST", "/v2/models/m/trace/setting"), ("GET", "/v2/logging"), ("POST", "/v2/logging"),
        ("POST", "/v2/models/m/generate"), ("POST", "/v2/models/m/generate_stream"),
        ("POST", "/v2/models/m/versions/1/generate"), ("POST", "/v2/repository/r/index"),
        ("POST", "/v2/repository/r/models/m/load"), ("POST", "/v2/repository/r/models/m/unload"),
    ]) func whatIsNotThere(method: String, path: String) throws {
        let bench = try BridgeBench()
        let body = method == "POST" ? ByteBuffer(string: "{}") : nil
        let reply = try #require(try bench.send(method, path, body))
        #expect(reply.status == 501 && reply.text.contains("\"code\":\"UNIMPLEMENTED\""))
        #expect(bench.desk.calls.isEmpty)
        #expect(try BridgeBench().send(method, path, token: nil)?.status == 401)
    }

    @Test(arguments: [
        ("/v2/repository/index", "", 200), ("/v2/repository/index", "{}", 200),
        ("/v2/repository/index", "{\"ready\":true,\"other\":[1]}", 200),
        ("/v2/repository/index", "{\"ready\":1}", 400), ("/v2/repository/index", "[]", 400),
        ("/v2/repository/index", "{\"ready\":true,}", 400),
        ("/v2/repository/index", "{\"ready\":true,\"ready\":true}", 400),
        ("/v2/repository/models/m/load", "", 200), ("/v2/repository/models/m/load", "{}", 200),
        ("/v2/repository/models/m/load", "{\"parameters\":{}}", 200),
        ("/v2/repository/models/m/load", "{\"parameters\":null}", 200),
        ("/v2/repository/models/m/load", "{\"parameters\":{\"config\":null}}", 200),
        ("/v2/repository/models/m/load", "{\"parameters\":{\"x\":{\"y\":1}}}", 200),
        ("/v2/repository/models/m/load", "{\"parameters\":{\"config\":\"{}\"}}", 501),
        ("/v2/repository/models/m/load", "{\"parameters\":{\"file:1/model.onnx\":\"AA==\"}}", 501),
        ("/v2/repository/models/m/load", "{\"parameters\":{\"config\":1}}", 400),
        ("/v2/repository/models/m/load", "{\"parameters\":[]}", 400),
        ("/v2/repository/models/m/load", "{} {}", 400),
        ("/v2/repository/models/m/unload", "", 200),
        (
            "/v2/repository/models/m/unload",
            "{\"parameters\":{\"unload_dependents\":false}}", 200
        ),
        ("/v2/repository/models/m/unload", "{\"parameters\":{\"unload_dependents\":true}}", 200),
        ("/v2/repository/models/m/unload", "{\"parameters\":{\"unload_dependents\":0}}", 400),
    ]) func bodiesOfTheRepository(path: String, body: String, status: Int) throws {
        let bench = try BridgeBench { .success($0.method == .repositoryIndex ? .index([]) : .done) }
        let reply = try #require(try bench.post(path, body))
        #expect(reply.status == status, "\(path) \(body): \(reply.text)")
        #expect(bench.desk.calls.count == (status == 200 ? 1 : 0))
        guard status == 200, let call = bench.desk.calls.first else { return }
        let question = try call.body.question()
        #expect(question.readyOnly == body.contains("\"ready\":true"))
        if path.hasSuffix("unload") { #expect(reply.text == "{\"name\":\"m\",\"unload\":true}") }
    }
}
