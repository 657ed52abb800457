// Answers that are written piece by piece: chunks, slow readers, leaving callers, the end of the house; and server-sent events.

import Contract
import Foundation
import JSONDoor
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@Suite struct StreamingTests {
    /// Streams what the test sends.
    private final class Stream: HTTPResource, @unchecked Sendable {
        // Safe: used on the one thread of an embedded event loop.
        var exchange: HTTPExchange?
        var handle = SlowResource.Handle()

        func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
            self.exchange = exchange
            handle = SlowResource.Handle()
            exchange.start(ConnectionBench.text("first"))
            return handle
        }

        @discardableResult func send(_ text: String) -> Bool {
            exchange?.send(ByteBuffer(string: text)) ?? false
        }
    }

    private func bench(
        limits: HTTPLimits = HTTPLimits(), _ body: (ConnectionBench, Stream) throws -> Void
    ) throws {
        let stream = Stream()
        let bench = try ConnectionBench(
            limits: limits, more: [Route(.GET, "/stream", resource: stream)])
        defer { bench.end() }
        try body(bench, stream)
    }

    private let get = "GET /stream HTTP/1.1\r\nHost: gw\r\n\r\n"
    private let hello = "GET /hello HTTP/1.1\r\nHost: gw\r\n\r\n"

    @Test func piecesAreChunksAndTheConnectionStays() throws {
        try bench { (bench, stream) throws in
            let head = try bench.send(get)
            #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(head.contains("transfer-encoding: chunked\r\n"))
            #expect(!head.contains("content-length"))
            #expect(head.hasSuffix("\r\n\r\n5\r\nfirst\r\n"))
            #expect(stream.send("second piece") && stream.send(""))
            #expect(try bench.received() == "c\r\nsecond piece\r\n")
            // The next request waits for the stream's end.
            #expect(try bench.send(hello) == "")
            stream.exchange?.end()
            let rest = try bench.received()
            #expect(rest.hasPrefix("0\r\n\r\nHTTP/1.1 200 OK") && rest.hasSuffix("hello"))
            #expect(bench.isOpen && !stream.send("late") && !stream.handle.isCancelled)
        }
    }

    @Test func oldHTTPEndsWithTheConnection() throws {
        try bench { (bench, stream) throws in
            let head = try bench.send(
                "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            #expect(head.contains("connection: close") && head.hasSuffix("\r\n\r\nfirst"))
            stream.send("second")
            stream.exchange?.end()
            #expect(try bench.received() == "second")
            #expect(!bench.isOpen)
        }
    }

    @Test func aHeadRequestEndsWithTheHead() throws {
        try bench { (bench, stream) throws in
            let answer = try bench.send("HEAD /stream HTTP/1.1\r\nHost: gw\r\n\r\n" + hello)
            #expect(answer.contains("transfer-encoding: chunked"))
            #expect(!answer.contains("first") && answer.hasSuffix("hello"))
            #expect(stream.exchange?.isOpen == false && bench.isOpen)
        }
    }

    @Test func whoReadsSlowlyIsNotBufferedForAndThenCut() throws {
        var limits = HTTPLimits()
        limits.streamBytes = 100
        try bench(limits: limits) { (bench, stream) throws in
            try bench.send(get)
            #expect(try bench.setWritable(false) == "")
            #expect(stream.send(String(repeating: "a", count: 90)))
            #expect(stream.send(String(repeating: "b", count: 90)))
            // Over the limit: nothing more is taken until some of it has gone.
            #expect(!stream.send("c"))
            #expect(try bench.received() == "")
            _ = try bench.advance(.seconds(20))
            #expect(try bench.setWritable(true).contains("bbb"))
            #expect(stream.send("d"))
            #expect(try bench.received() == "1\r\nd\r\n")
            // A reader who has read anything has its whole time again.
            _ = try bench.setWritable(false)
            stream.send("e")
            _ = try bench.advance(.seconds(29))
            #expect(bench.isOpen && !stream.handle.isCancelled)
            _ = try bench.advance(.seconds(2))
            #expect(!bench.isOpen && stream.handle.isCancelled)
            #expect(stream.exchange?.isOpen == false)
        }
    }

    @Test func aWholeAnswerThatNobodyReadsIsCutToo() throws {
        try bench { (bench, _) throws in
            _ = try bench.setWritable(false)
            // Pipelined requests behind it are not begun.
            #expect(try bench.send(hello + hello + hello) == "")
            _ = try bench.advance(.seconds(29))
            #expect(try bench.setWritable(true).components(separatedBy: "200 OK").count == 4)
            _ = try bench.setWritable(false)
            try bench.send(hello)
            _ = try bench.advance(.seconds(31))
            #expect(!bench.isOpen)
        }
    }

    @Test func aConnectionEndsOnlyWhenAllIsWritten() throws {
        try bench { (bench, _) throws in
            _ = try bench.setWritable(false)
            try bench.send("GET /hello HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n")
            #expect(bench.isOpen)
            #expect(try bench.setWritable(true).hasSuffix("hello"))
            #expect(!bench.isOpen)
        }
    }

    @Test func whoLeavesCancels() throws {
        try bench { (bench, stream) throws in
            try bench.send(get)
            bench.channel.pipeline.fireChannelInactive()
            #expect(stream.handle.isCancelled && !stream.send("nobody"))
        }
    }

    @Test func theHousesEnd() throws {
        try bench { (bench, stream) throws in
            try bench.send(get)
            var told: [HTTPExchange.Farewell] = []
            stream.exchange?.onFarewell = { told.append($0) }
            bench.tell(.drain(within: .seconds(1)))
            #expect(bench.isOpen && told == [.draining])
            stream.exchange?.end()
            #expect(try bench.received() == "0\r\n\r\n")
            #expect(!bench.isOpen)
        }
        try bench { (bench, stream) throws in
            try bench.send(get)
            stream.exchange?.onFarewell = { [weak stream] _ in
                stream?.send("bye")
                stream?.exchange?.end()
            }
            bench.tell(.stop)
            #expect(try bench.received() == "3\r\nbye\r\n0\r\n\r\n")
            #expect(!bench.isOpen)
        }
        // A stream that does not end itself is cut, and can be seen to be.
        try bench { (bench, stream) throws in
            try bench.send(get)
            bench.tell(.stop)
            #expect(try bench.received() == "")
            #expect(!bench.isOpen && stream.handle.isCancelled)
        }
        try bench { (bench, stream) throws in
            try bench.send(get)
            stream.exchange?.breakOff()
            #expect(try bench.received() == "")
            #expect(!bench.isOpen)
        }
    }

    // MARK: Events

    @Test func noDataCanEndAnEvent() {
        func event(_ json: String) -> String {
            String(buffer: EventStream.event("message", ByteBuffer(string: json)))
        }
        #expect(event("{}") == "event: message\ndata: {}\n\n")
        #expect(event("{}\n") == "event: message\ndata: {}\n\n")
        #expect(event("") == "event: message\ndata: \n\n")
        for line in ["\n", "\r", "\r\n"] {
            #expect(
                event("a\(line)event: end\(line)\(line)b")
                    == "event: message\ndata: a\ndata: event: end\ndata: \ndata: b\n\n")
        }
    }

    /// Opens an event stream, or a progress stream.
    private final class Events: HTTPResource, @unchecked Sendable {
        // Safe: used on the one thread of an embedded event loop.
        var events: EventStream?
        var progress: ProgressStream?
        let isProgress: Bool
        let handle = SlowResource.Handle()
        init(isProgress: Bool = false) { self.isProgress = isProgress }

        func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
            if isProgress {
                progress = ProgressStream(exchange)
            } else {
                events = EventStream(exchange)
            }
            return handle
        }
    }

    private func withEvents(
        isProgress: Bool = false, _ body: (ConnectionBench, Events) throws -> Void
    ) throws {
        let events = Events(isProgress: isProgress)
        let bench = try ConnectionBench(more: [Route(.GET, "/events", resource: events)])
        defer { bench.end() }
        try body(bench, events)
    }

    private let ask = "GET /events HTTP/1.1\r\nHost: gw\r\n\r\n"

    @Test func eventsHaveAHeadAPulseAndAnEnd() throws {
        try withEvents { (bench, resource) throws in
            let head = try bench.send(ask)
            #expect(head.contains("content-type: text/event-stream; charset=utf-8\r\n"))
            #expect(head.contains("cache-control: no-store\r\n"))
            let events = try #require(resource.events)
            events.message(ByteBuffer(string: "{\"a\":1}"))
            #expect(
                try bench.received() == "1e\r\nevent: message\ndata: {\"a\":1}\n\n\r\n")
            #expect(try bench.advance(.seconds(16)) == "3\r\n:\n\n\r\n")
            #expect(try bench.advance(.seconds(15)) == "3\r\n:\n\n\r\n")
            events.end()
            #expect(try bench.received().hasSuffix("event: end\ndata: {}\n\n\r\n0\r\n\r\n"))
            #expect(try bench.advance(.seconds(60)) == "" && bench.isOpen)
            events.message(ByteBuffer(string: "late"))
            #expect(try bench.received() == "" && !events.isOpen)
        }
    }

    @Test func progressIsLeftOutForWhoReadsSlowlyAndTheAnswerIsNot() throws {
        try withEvents { (bench, resource) throws in
            try bench.send(ask)
            _ = try bench.setWritable(false)
            let events = try #require(resource.events)
            for _ in 0..<10_000 { events.progress(ByteBuffer(string: "{\"state\":\"loading\"}")) }
            events.message(ByteBuffer(string: "{\"answer\":1}"))
            events.end()
            let all = try bench.setWritable(true)
            let count = all.components(separatedBy: "event: progress").count - 1
            #expect(count > 10 && count < 1_000)
            #expect(all.contains("answer") && all.hasSuffix("0\r\n\r\n"))
        }
    }

    @Test func aRefusalBeforeAnyProgressHasItsStatus() throws {
        let refusal = CallFailure(.notFound, .modelNotFound, "there is no model of this name")
        try withEvents(isProgress: true) { (bench, resource) throws in
            #expect(try bench.send(ask) == "")
            resource.progress?.fail(refusal)
            let answer = try bench.received()
            #expect(answer.hasPrefix("HTTP/1.1 404") && !answer.contains("event:"))
        }
        try withEvents(isProgress: true) { (bench, resource) throws in
            try bench.send(ask)
            resource.progress?.progress(
                Progress(state: .loading, fraction: 0.5, remaining: .milliseconds(120)))
            #expect(
                try bench.received().hasSuffix(
                    "event: progress\ndata: {\"state\":\"loading\",\"fraction\":0.5,\"remaining_ms\":120}\n\n\r\n"
                ))
            resource.progress?.fail(refusal)
            let rest = try bench.received()
            #expect(rest.contains("event: error\ndata: {\"error\":\"there is no model"))
            #expect(rest.contains("\"reason\":\"MODEL_NOT_FOUND\"}") && rest.hasSuffix("0\r\n\r\n"))
        }
        try withEvents(isProgress: true) { (bench, resource) throws in
            try bench.send(ask)
            resource.progress?.progress(Progress(state: .queued))
            var busy = CallFailure(.unavailable, .queueFull, "too many wait")
            busy.retryAfter = .milliseconds(2_001)
            resource.progress?.fail(busy)
            let all = try bench.received()
            // What a plain answer says by Retry-After: 3 s, and its status.
            #expect(
                all.contains(
                    "\"status\":503,\"code\":\"UNAVAILABLE\",\"reason\":\"QUEUE_FULL\",\"retry_after\":3}\n\n"
                ), "\(all)")
            let plain = HTTPAnswer.failure(busy)
            #expect(plain.fields.contains { $0 == ("retry-after", "3") })
            #expect(!String(buffer: plain.body).contains("retry_after"))
        }
        try withEvents(isProgress: true) { (bench, resource) throws in
            try bench.send(ask)
            resource.progress?.progress(Progress(state: .queued))
            bench.tell(.stop)
            let all = try bench.received()
            #expect(all.contains("event: error") && all.contains("STOPPING"))
            #expect(all.hasSuffix("0\r\n\r\n") && resource.handle.isCancelled && !bench.isOpen)
        }
    }
}
