// Several requests at once on one connection: answered in their order, in turns, and bounded.

import Foundation
import JSONDoor
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

extension ConnectionTests {
    @Test func pipelinedRequestsAreAnsweredInOrder() throws {
        try bench { (bench) throws in
            let answers = try bench.send(get("/slow") + get("/hello") + post("/echo", "{}"))
            #expect(answers == "")
            bench.slow.answer("first")
            let all = try bench.received()
            let first = try #require(all.firstRange(of: "first"))
            let second = try #require(all.firstRange(of: "hello"))
            #expect(first.upperBound < second.lowerBound && all.hasSuffix("{}"))
            #expect(bench.isOpen)
        }
    }

    /// A connection with many requests at once serves some of them a turn.
    @Test func pipelinedRequestsTakeTurns() throws {
        var limits = HTTPLimits()
        limits.requestsPerTurn = 4
        try bench(limits: limits) { (bench) throws in
            let many = (0..<10).map { _ in post("/echo", "{}") }.joined()
            func answers(_ text: String) -> Int { text.matches(of: /HTTP\/1.1 200/).count }
            #expect(answers(try bench.send(many)) == 4)
            for expected in [4, 2, 0] {
                bench.channel.embeddedEventLoop.advanceTime(by: .microseconds(50))
                #expect(answers(try bench.received()) == expected)
            }
            // What comes while it waits for its turn waits too.
            #expect(answers(try bench.send(many) + bench.send(many)) == 4)
            bench.channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
            #expect(answers(try bench.received()) == 16 && bench.isOpen)
        }
    }

    /// Refused ones wait longer: eight of them are two turns where eight that are served are one.
    @Test func refusedRequestsWeighMore() throws {
        var limits = HTTPLimits()
        limits.requestsPerTurn = 16
        limits.refusalWeight = 4
        try bench(limits: limits) { (bench) throws in
            let served = (0..<8).map { _ in post("/echo", "{}") }.joined()
            #expect(try bench.send(served).matches(of: /HTTP\/1.1 200/).count == 8)
            let refused = (0..<8).map { _ in get("/echo") }.joined()
            #expect(try bench.send(refused).matches(of: /HTTP\/1.1 405/).count == 4)
            bench.channel.embeddedEventLoop.advanceTime(by: .microseconds(50))
            #expect(try bench.received().matches(of: /HTTP\/1.1 405/).count == 4)
            #expect(bench.isOpen)
        }
    }

    @Test func aConnectionThatEndsBeforeItsTurnIsForgotten() throws {
        var limits = HTTPLimits()
        limits.requestsPerTurn = 1
        try bench(limits: limits) { (bench) throws in
            try bench.send(get("/hello") + get("/hello"))
            bench.channel.pipeline.fireChannelInactive()
            bench.channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
            #expect(try bench.received() == "")
        }
    }

    /// The answers of a turn go out together, also when all that is said is that a token is not known.
    @Test func refusalsOfATurnAreWrittenAtOnce() throws {
        try bench { (bench) throws in
            let refused = get("/secret", "Authorization: Bearer unknown\r\n")
            _ = try bench.send(String(repeating: refused, count: 12))
            for _ in 0..<2 {
                bench.channel.embeddedEventLoop.advanceTime(by: .microseconds(50))
                let bytes = try #require(try bench.channel.readOutbound(as: ByteBuffer.self))
                #expect(String(buffer: bytes).matches(of: /HTTP\/1.1 401/).count == 4)
                #expect(try bench.received() == "")
            }
        }
    }

    /// What comes at once is parsed a little before its turn, however much it is: whole, in its order, bodies and all.
    @Test func thousandsOfPipelinedRequestsAreParsedInTurns() throws {
        var limits = HTTPLimits()
        limits.requestsPerTurn = 4
        limits.partsWaiting = 200
        try bench(limits: limits) { (bench) throws in
            let count = 2_000
            var many = ""
            for number in 0..<count {
                many +=
                    number % 3 == 0
                    ? get("/models/\(number)/ready") : post("/echo", "{\"n\":\(number)}")
            }
            var answers = try bench.send(many)
            #expect(answers.matches(of: /HTTP\/1.1 200/).count == 4)
            for _ in 0..<count / 4 {
                bench.channel.embeddedEventLoop.advanceTime(by: .microseconds(50))
                answers += try bench.received()
            }
            #expect(bench.isOpen)
            let bodies = answers.components(separatedBy: "HTTP/1.1 200 OK\r\n").dropFirst().map {
                $0.components(separatedBy: "\r\n\r\n").last ?? ""
            }
            #expect(
                bodies == (0..<count).map { $0 % 3 == 0 ? "\($0)" : "{\"n\":\($0)}" })
            // And the connection goes on as before.
            #expect(try bench.send(get("/hello")).hasSuffix("hello"))
        }
    }

    /// A body is taken in whole, whatever came before and comes behind it in the same bytes.
    @Test func aLongBodyBetweenPipelinedRequestsIsWhole() throws {
        let body = String(repeating: "x", count: 100_000)
        let route = Route(
            .POST, "/long", bodyBytesMax: 1 << 20,
            resource: ReadyAnswer { ConnectionBench.text(String($0.body.readableBytes)) })
        let bench = try ConnectionBench(more: [route])
        defer { bench.end() }
        let answers = try bench.send(get("/hello") + post("/long", body) + get("/hello"))
        #expect(answers.contains("\r\n\r\n100000HTTP/1.1 200") && answers.hasSuffix("hello"))
    }

    @Test func tooManyPipelinedRequestsEndTheConnection() throws {
        var limits = HTTPLimits()
        limits.partsWaiting = 4
        try bench(limits: limits) { (bench) throws in
            var many = get("/slow")
            for _ in 0..<10 { many += get("/hello") }
            try bench.send(many)
            bench.slow.answer("first")
            #expect(try bench.received().contains("connection: close"))
            #expect(!bench.isOpen)
        }
    }

    /// A connection remembers where its last head went: whatever differs is read anew, and what was wrong is not believed next.
    @Test func aFamiliarHeadLetsNothingPassThatIsNew() throws {
        try bench(serverName: "gw") { (bench) throws in
            func status(_ request: String) throws -> String {
                String(try bench.send(request).dropFirst("HTTP/1.1 ".count).prefix(3))
            }
            for _ in 0..<3 {
                #expect(try status(get("/hello")) == "200")
                #expect(try status(get("/hello", method: "HEAD")) == "200")
                #expect(try status(post("/hello", "")) == "405")
                #expect(try status(get("/hello?a=b")) == "200")
                #expect(try status(get("/hello?access_token=t")) == "400")
                #expect(try status(get("/hello?access_token=t")) == "400")
                #expect(try status(get("/models/iris/ready")) == "200")
                #expect(try status(get("/models/other/ready")) == "200")
                #expect(try status("GET /hello HTTP/1.1\r\nHost: else\r\n\r\n") == "421")
                #expect(try status("GET /hello HTTP/1.1\r\nHost: else\r\n\r\n") == "421")
                #expect(try status("GET https://gw/hello HTTP/1.1\r\nHost: gw\r\n\r\n") == "200")
                #expect(try status(get("/nothing")) == "404")
                #expect(try status(get("/nothing")) == "404")
            }
            #expect(bench.isOpen)
            #expect(try status(get("/hello", "Host: gw\r\n")) == "400")
        }
    }
}
