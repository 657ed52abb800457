// Traces at a real collector: whose child a call's spans are, what they hold, and what a collector that misbehaves can do.

import Foundation
import SluiceClient
import Testing

@Suite struct TraceTests {
    private static let caller = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let callersSpan = "00f067aa0ba902b7"
    private static func parent(sampled: Bool = true) -> String {
        "00-\(caller)-\(callersSpan)-0\(sampled ? 1 : 0)"
    }

    private static func options(_ traceparent: String) -> CallOptions {
        var options = CallOptions()
        options.traceparent = traceparent
        return options
    }

    /// Every span has one parent of its own trace, which is there, and lies within it.
    private static func check(_ spans: [TraceCollector.Span], root: TraceCollector.Span) {
        for span in spans {
            #expect(span.start <= span.end && span.scope == "sluice", "\(span.name)")
            #expect(span.resource["service.name"] == "sluice")
            #expect(span.span.count == 16 && span.trace.count == 32)
            guard span.span != root.span else { continue }
            let parent = spans.first { $0.span == span.parent }
            #expect(parent != nil && span.kind == 1, "\(span.name) has no parent")
            guard let parent else { continue }
            #expect(span.start >= parent.start && span.end <= parent.end, "\(span.name)")
        }
        #expect(Set(spans.map(\.span)).count == spans.count)
    }

    @Test func aColdCallIsInItsCallersTrace() async throws {
        try await withCollector { collector in
            try await withGateway(settings: collector.settings("sample: 0")) { gateway in
                try await gateway.withClient { client in
                    _ = try await client.infer(
                        "iris", inputs: TokenTests.iris(), options: Self.options(Self.parent()))
                }
                let spans = try await collector.trace(
                    Self.caller,
                    with: [
                        "sluice/infer", "accept", "admission", "catalogue", "wake", "create",
                        "first_run",
                    ])
                let root = try #require(spans.first { $0.name == "sluice/infer" })
                #expect(root.parent == Self.callersSpan && root.kind == 2 && root.status == 0)
                // Sampled, and its parent is known to be somebody else's.
                #expect(root.flags == 0x301)
                Self.check(spans, root: root)
                let wake = try #require(spans.first { $0.name == "wake" })
                #expect(spans.first { $0.name == "create" }?.parent == wake.span)
                #expect(wake.parent == root.span)
                #expect(root.attributes["sluice.model"] == "iris")
                #expect(root.attributes["sluice.version"] == "1")
                #expect(root.attributes["sluice.cold"] == "true")
                #expect(root.attributes["sluice.client"] == "test")
                #expect(root.attributes["rpc.system"] == "sluice")
                #expect(root.attributes["rpc.method"] == "infer")
                let now = UInt64(Date().timeIntervalSince1970) * 1_000_000_000
                #expect(root.end <= now + 5_000_000_000 && root.start > now - 120_000_000_000)
                // One request at least, compressed.
                let request = try #require(try collector.requests().first)
                #expect(request.request == "/v1/traces")
                #expect(
                    request.fields.contains { $0.key.lowercased() == "content-encoding" })
            }
        }
    }

    @Test func whoIsNotToBeSampledIsNot() async throws {
        try await withCollector { collector in
            let settings = collector.settings("sample: 0\ncold: false\ngzip: false\nservice: iris")
            try await withGateway(settings: settings) { gateway in
                try await gateway.withClient { client in
                    for trace in ["", Self.parent(sampled: false)] {
                        _ = try await client.infer(
                            "iris", inputs: TokenTests.iris(), options: Self.options(trace))
                    }
                    // A failure is exported all the same, and is the last.
                    await #expect(throws: SluiceError.self) {
                        _ = try await client.infer("nobody", inputs: TokenTests.iris())
                    }
                }
                try await eventually("the failure's span") { try !collector.spans().isEmpty }
                let spans = try collector.spans()
                let roots = spans.filter { $0.kind == 2 }
                #expect(roots.count == 1 && spans.allSatisfy { $0.trace == roots[0].trace })
                #expect(roots.first?.attributes["sluice.reason"] == "MODEL_NOT_FOUND")
                // The caller's mistake is none of ours, and what it wrote stays here.
                #expect(roots.first?.status == 0 && roots.first?.parent.isEmpty == true)
                #expect(!collector.said.contains("nobody"))
                #expect(spans.first?.resource["service.name"] == "iris")
                #expect(
                    try collector.requests().allSatisfy {
                        !$0.fields.keys.contains { $0.lowercased() == "content-encoding" }
                    })
            }
        }
    }

    @Test func overHTTPTheAnswerNamesTheSpan() async throws {
        try await withCollector { collector in
            try await withGateway(settings: collector.settings("sample: 0")) { gateway in
                let caller = try HTTPCaller(gateway, token: try await gateway.token())
                defer { caller.close() }
                let reply = try await caller.post(
                    BridgeTests.infer, BridgeTests.iris, ["traceparent": Self.parent()])
                #expect(reply.status == 200)
                let told = try #require(reply.fields["traceparent"]).split(separator: "-")
                #expect(told.count == 4 && told[1] == Self.caller && told[3] == "01")
                let spans = try await collector.trace(
                    Self.caller, with: ["sluice/infer", "introspection", "create", "first_run"])
                let root = try #require(spans.first { $0.name == "sluice/infer" })
                #expect(root.span == told[2] && root.parent == Self.callersSpan)
                #expect(root.attributes["rpc.system"] == "http")
                Self.check(spans, root: root)
                // The token came with the head, before the body.
                let accept = try #require(spans.first { $0.name == "accept" })
                let asked = try #require(spans.first { $0.name == "introspection" })
                #expect(asked.parent == accept.span && accept.parent == root.span)
                // Warm now: nobody asks, nothing wakes.
                let other = String(Self.caller.reversed())
                _ = try await caller.post(
                    BridgeTests.infer, BridgeTests.iris,
                    ["traceparent": "00-\(other)-\(Self.callersSpan)-01"])
                let warm = try await collector.trace(other, with: ["sluice/infer", "run"])
                let names = Set(warm.map(\.name))
                #expect(names.isDisjoint(with: ["introspection", "wake", "create", "first_run"]))
                // A call that is not exported: the caller's trace, unsampled as it came.
                let quiet = try await caller.post(
                    BridgeTests.infer, BridgeTests.iris,
                    ["traceparent": Self.parent(sampled: false)])
                #expect(quiet.fields["traceparent"]?.hasSuffix("-00") == true)
                // Chosen by the gateway: its answer says so without being asked.
                let failed = try await caller.post("/v2/models/nobody/infer", BridgeTests.iris)
                let own = try #require(failed.fields["traceparent"]).split(separator: "-")
                let failure = try await collector.trace(String(own[1]))
                #expect(failure.contains { $0.span == own[2] && $0.parent.isEmpty })
                // What is no context is ignored.
                for wrong in [
                    "garbage", "00-\(Self.caller)-0-01", "ff" + Self.parent().dropFirst(2),
                ] {
                    let reply = try await caller.post(
                        BridgeTests.infer, BridgeTests.iris, ["traceparent": wrong])
                    #expect(reply.status == 200 && reply.fields["traceparent"] == nil)
                }
            }
        }
    }

    @Test func nothingSecretIsExported() async throws {
        try await withCollector { collector in
            let file = collector.folder.appending(path: "headers")
            try "# for the collector\nauthorization: Bearer canary-header-5d1f\nx-tenant: t\n"
                .write(
                    to: file, atomically: true, encoding: .utf8)
            let settings = collector.settings("sample: 1\nheaders_file: \(file.path)")
            try await withGateway(settings: settings) { gateway in
                let token = try await gateway.token()
                let caller = try HTTPCaller(gateway, token: token)
                defer { caller.close() }
                let fields = [
                    "traceparent": Self.parent(), "tracestate": "canary=state-77aa",
                    "x-request-id": "canary-request-0b",
                ]
                for path in [BridgeTests.infer, "/v2/models/canary-model-3c/infer"] {
                    _ = try await caller.post(path, BridgeTests.iris, fields)
                }
                _ = try await caller.post(BridgeTests.infer, "{\"id\":\"canary-body-9e\"}", fields)
                try await gateway.withClient(token: token) { client in
                    _ = try await client.infer("iris", inputs: TokenTests.iris())
                }
                try await gateway.stop()
                // What was left went with the end.
                let roots = try collector.spans().filter { $0.kind == 2 }
                // A collector that is slow to answer may be sent the same spans again.
                let own = Set(roots.map { $0.span })
                #expect(own.count == 4, "\(roots.map { $0.attributes })")
                let exported = collector.said.split(separator: "\n")
                    .filter { $0.hasPrefix("{\"name\"") }.joined()
                #expect(!exported.contains("canary") && !exported.contains(token))
                #expect(!exported.contains("127.0.0.1"))
                #expect(!gateway.log.contains("canary-header"))
                let sent = try #require(try collector.requests().first).fields
                #expect(
                    sent.first { $0.key.lowercased() == "authorization" }?.value
                        == "Bearer canary-header-5d1f")
            }
        }
    }

    /// Nobody's call waits or fails for it, and what nobody will see is counted.
    @Test(arguments: ["500", "redirect", "slow", "429", "down"])
    func aCollectorThatMisbehavesCostsItsSpansAlone(_ mode: String) async throws {
        try await withCollector(mode) { collector in
            var settings = collector.settings(
                "sample: 1\nqueue: 4\nbatch: 2\ntimeout: 500ms\nfollow: false")
            if mode == "down" {
                settings.replace(":\(collector.port)", with: ":1")
            }
            try await withGateway(settings: settings) { gateway in
                try await gateway.withClient { client in
                    for _ in 0..<40 {
                        let answer = try await client.infer(
                            "iris", inputs: TokenTests.iris(), timeout: .seconds(5))
                        #expect(try answer.output("label").values(as: Int64.self) == [0])
                    }
                }
                try await eventually("a warning") {
                    gateway.log.contains("traces cannot be exported")
                }
                let began = ContinuousClock.now
                #expect(try await gateway.stop() == 0)
                #expect(began.duration(to: .now) < .seconds(10))
                let log = gateway.log
                let told = try #require(
                    log.split(separator: "\n").last {
                        $0.contains("some traces were not exported")
                    }, "\(log)")
                func count(_ name: String) -> Int {
                    told.split(whereSeparator: { " ,[]".contains($0) })
                        .first { $0.hasPrefix(name + "=") }
                        .flatMap { Int($0.dropFirst(name.count + 1)) } ?? -1
                }
                let dropped = ["queue", "unreachable", "refused"].map { count("dropped.\($0)") }
                #expect(dropped.reduce(0, +) == 40 && count("exported") == 0, "\(told)")
                #expect(dropped[["500", "redirect"].contains(mode) ? 2 : 1] > 0, "\(told)")
                #expect(try collector.spans().isEmpty)
                #expect(try collector.requests().allSatisfy { $0.request == "/v1/traces" })
                #expect(try collector.requests().isEmpty == (mode == "down"))
            }
        }
    }

    @Test func aCollectorThatComesBackGetsWhatWaited() async throws {
        try await withCollector("503") { collector in
            try await withGateway(settings: collector.settings("sample: 0")) { gateway in
                try await gateway.withClient { client in
                    _ = try await client.infer(
                        "iris", inputs: TokenTests.iris(), options: Self.options(Self.parent()))
                }
                try await eventually("a try") { try !collector.requests().isEmpty }
                try collector.answer("ok")
                _ = try await collector.trace(Self.caller)
                try await eventually("the notice") {
                    gateway.log.contains("traces are exported again")
                }
            }
        }
    }

    @Test func whatACollectorTakesInPartIsTold() async throws {
        try await withCollector("partial") { collector in
            try await withGateway(settings: collector.settings("sample: 1")) { gateway in
                try await gateway.withClient { client in
                    _ = try await client.infer("iris", inputs: TokenTests.iris())
                }
                try await eventually("the warning") {
                    gateway.log.contains("the collector did not take some spans")
                }
                #expect(try collector.requests().count >= 1)
            }
        }
    }

    @Test func overTLSOnlyToACollectorThatIsKnown() async throws {
        try await withAuthority { authority in
            try await withCollector(tls: authority) { collector in
                for knows in [false, true] {
                    let settings = collector.settings(
                        "sample: 1" + (knows ? "\nca: \(authority.ca)" : ""))
                    try await withGateway(settings: settings) { gateway in
                        try await gateway.withClient { client in
                            _ = try await client.infer("iris", inputs: TokenTests.iris())
                        }
                        if knows {
                            try await eventually("a span") { try !collector.spans().isEmpty }
                        } else {
                            try await eventually("a warning") {
                                gateway.log.contains("traces cannot be exported")
                            }
                            #expect(try collector.requests().isEmpty)
                        }
                    }
                }
            }
        }
    }
}
