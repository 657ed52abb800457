// A model's state as server-sent events: what is told, to whom, for how long.

import Contract
import JSONDoor
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@Suite struct ModelEventsTests {
    private final class Conditions: ModelConditions, @unchecked Sendable {
        // Safe: used on the one thread of an embedded event loop.
        var now = ModelCondition(version: "1", state: .asleep)

        func condition(of model: String, version: String, now: Instant) -> ModelCondition {
            self.now
        }
    }

    private func bench(
        watchersMax: Int = 10, _ body: (ConnectionBench, Conditions) throws -> Void
    ) throws {
        let conditions = Conditions()
        let route = Route(
            .GET, "/v2/models/{model}/events", access: .token,
            resource: ModelEvents(conditions, watchersMax: watchersMax),
            produces: [EventStream.mediaType])
        let bench = try ConnectionBench(more: [route])
        defer { bench.end() }
        try body(bench, conditions)
    }

    private func ask(_ model: String = "iris", _ fields: String = "") -> String {
        "GET /v2/models/\(model)/events HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer good\r\n"
            + "\(fields)\r\n"
    }

    @Test func theStateNowAndEachChange() throws {
        try bench { (bench, conditions) throws in
            let first = try bench.send(ask())
            #expect(first.contains("content-type: text/event-stream"))
            #expect(
                first.contains("data: {\"name\":\"iris\",\"version\":\"1\",\"state\":\"asleep\"}\n")
            )
            #expect(bench.desk.calls.map(\.call.method) == [.modelMetadata])
            #expect(try bench.advance(.seconds(5)) == "")
            conditions.now.state = .loading
            conditions.now.progress = Progress(
                state: .loading, fraction: 0.25, remaining: .milliseconds(30))
            let loading = try bench.advance(.milliseconds(250))
            #expect(
                loading.contains(
                    "event: message\ndata: {\"name\":\"iris\",\"version\":\"1\",\"state\":\"loading\",\"fraction\":0.25,\"remaining_ms\":30}\n"
                ))
            conditions.now.progress = Progress(state: .loading, fraction: 0.5)
            #expect(
                try bench.advance(.milliseconds(250)).contains(
                    "event: progress\ndata: {\"state\":\"loading\",\"fraction\":0.5}\n"))
            conditions.now = ModelCondition(version: "2", state: .quarantined, why: "a \"b\"\n")
            let why = try bench.advance(.milliseconds(250))
            #expect(why.contains("\"state\":\"quarantined\",\"reason\":\"a \\\"b\\\"\\u000a\"}"))
            conditions.now = ModelCondition(version: "", state: .gone)
            let last = try bench.advance(.milliseconds(250))
            #expect(last.contains("\"state\":\"gone\"}"))
            #expect(last.hasSuffix("event: end\ndata: {\"reason\":\"gone\"}\n\n\r\n0\r\n\r\n"))
            #expect(bench.isOpen)
        }
    }

    @Test func whoMayNotKnowTheModelIsToldWhatTheWalkSays() throws {
        try bench { (bench, _) throws in
            #expect(try bench.send(ask("unknown")).hasPrefix("HTTP/1.1 404"))
            let none = "GET /v2/models/iris/events HTTP/1.1\r\nHost: gw\r\n\r\n"
            #expect(try bench.send(none).hasPrefix("HTTP/1.1 401"))
            #expect(try bench.send(ask("iris", "Accept: text/html\r\n")).hasPrefix("HTTP/1.1 406"))
            // And so is who may not any more.
            try bench.send(ask())
            bench.desk.isExpired = true
            #expect(try bench.advance(.seconds(9)) == "")
            let end = try bench.advance(.seconds(1))
            #expect(end.contains("event: error") && end.hasSuffix("0\r\n\r\n") && bench.isOpen)
        }
    }

    @Test func watchersAreCounted() throws {
        try bench(watchersMax: 1) { (bench, conditions) throws in
            for _ in 0..<3 {
                #expect(try bench.send(ask()).hasPrefix("HTTP/1.1 200"))
                conditions.now.state = .gone
                #expect(try bench.advance(.milliseconds(250)).hasSuffix("0\r\n\r\n"))
                conditions.now.state = .asleep
            }
            // A HEAD request watches nothing.
            let head = ask().replacing("GET", with: "HEAD")
            #expect(try bench.send(head).hasPrefix("HTTP/1.1 200"))
            #expect(try bench.send(ask()).hasPrefix("HTTP/1.1 200"))
        }
        try bench(watchersMax: 0) { (bench, _) throws in
            let answer = try bench.send(ask())
            #expect(answer.hasPrefix("HTTP/1.1 503") && answer.contains("retry-after: 10\r\n"))
        }
    }

    @Test func aWatchEnds() throws {
        try bench { (bench, _) throws in
            try bench.send(ask())
            bench.tell(.drain(within: .seconds(1)))
            let end = try bench.received()
            #expect(end.hasSuffix("event: end\ndata: {\"reason\":\"stopping\"}\n\n\r\n0\r\n\r\n"))
            #expect(!bench.isOpen)
        }
        try bench { (bench, _) throws in
            try bench.send(ask())
            let end = try bench.advance(.seconds(3_601))
            #expect(end.hasSuffix("event: end\ndata: {\"reason\":\"time\"}\n\n\r\n0\r\n\r\n"))
        }
        try bench { (bench, _) throws in
            bench.desk.holdsCalls = true
            #expect(try bench.send(ask()) == "")
            bench.channel.pipeline.fireChannelInactive()
            #expect(bench.desk.handle.isCancelled)
        }
    }
}
