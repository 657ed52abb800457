// What a plan has left, on the wire: metadata of replies and failures, and nothing where there is no plan.

import BinaryDoor
import Contract
import Messages
import NIOCore
import SluiceWire
import Testing

@Suite struct RateLimitTests {
    private static let allowance = Allowance(
        name: "calls", limit: 100, windowSeconds: 60, remaining: 50, resetSeconds: 30)
    private static let told = [
        MetadataEntry(key: "ratelimit", value: "\"calls\";r=50;t=30"),
        MetadataEntry(key: "ratelimit-policy", value: "\"calls\";q=100;w=60"),
    ]

    @Test("Answers and failures say what is left")
    func told() throws {
        let bench = try Bench()
        try bench.send(Bench.call(1), Bench.call(2), Bench.call(3))
        for call in bench.walk.calls.prefix(2) { call.exchange.allow(Self.allowance) }
        bench.walk.calls[0].finish()
        bench.walk.calls[1].finish(
            .failure(
                CallFailure(
                    .resourceExhausted, .rateLimit, "no", notStarted: true,
                    retryAfter: .milliseconds(30_000))))
        bench.walk.calls[2].finish()
        let frames = try bench.answers()
        let headers = try frames.map { try ReplyHeader(decoding: $0.header, limits: Limits()) }
        #expect(headers[0].metadata == Self.told && headers[0].status == nil)
        #expect(headers[1].metadata == Self.told)
        #expect(headers[1].status?.reason == "RATE_LIMIT")
        #expect(headers[1].status?.retryAfterMilliseconds == 30_000)
        #expect(headers[2].metadata.isEmpty)
        #expect(frames[2].header.readableBytes == 0)
    }

    @Test("The last header of a stream says it too")
    func stream() throws {
        let bench = try Bench()
        try bench.send(Bench.call(1))
        let call = bench.walk.calls[0]
        call.exchange.allow(Self.allowance)
        call.exchange.send(.modelReady(true))
        call.finish(.success(.done))
        let last = try #require(try bench.answers().last)
        let header = try ReplyHeader(decoding: last.header, limits: Limits())
        #expect(header.metadata == Self.told)
    }
}
