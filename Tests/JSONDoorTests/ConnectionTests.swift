// One HTTP connection in memory: routes, bodies, keep-alive, time and the end.

import Contract
import JSONDoor
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@Suite struct ConnectionTests {
    func get(_ path: String, _ fields: String = "", method: String = "GET") -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: gw\r\n\(fields)\r\n"
    }

    func post(_ path: String, _ body: String, _ fields: String = "") -> String {
        "POST \(path) HTTP/1.1\r\nHost: gw\r\nContent-Length: \(body.utf8.count)\r\n\(fields)\r\n\(body)"
    }

    func bench(
        limits: HTTPLimits = HTTPLimits(), serverName: String = "", hidesUnknown: Bool = false,
        _ body: (ConnectionBench) throws -> Void
    ) throws {
        let bench = try ConnectionBench(
            limits: limits, serverName: serverName, hidesUnknown: hidesUnknown)
        defer { bench.end() }
        try body(bench)
    }

    @Test func anAnswerHasItsFieldsAndTheConnectionStays() throws {
        try bench { (bench) throws in
            let answer = try bench.send(get("/hello"))
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            for field in [
                "content-length: 5", "x-content-type-options: nosniff", "cache-control: no-store",
                "x-request-id: c-1", "content-type: text/plain; charset=utf-8",
            ] { #expect(answer.contains("\r\n\(field)\r\n"), "\(field)") }
            #expect(answer.contains(#/\r\ndate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n/#))
            #expect(answer.hasSuffix("\r\n\r\nhello"))
            #expect(!answer.contains("connection:"))
            #expect(try bench.send(get("/hello")).contains("x-request-id: c-2"))
            #expect(bench.isOpen)
        }
    }

    @Test func headHasTheFieldsAndNoBody() throws {
        try bench { (bench) throws in
            let answer = try bench.send(get("/hello", method: "HEAD"))
            #expect(answer.contains("content-length: 5") && answer.hasSuffix("\r\n\r\n"))
            let wrong = try bench.send(get("/echo", method: "HEAD"))
            #expect(wrong.hasPrefix("HTTP/1.1 405") && wrong.hasSuffix("\r\n\r\n"))
            #expect(try bench.send(get("/hello")).hasSuffix("hello"))
        }
    }

    @Test func methodsAndPaths() throws {
        try bench { (bench) throws in
            let answer = try bench.send(get("/hello", method: "DELETE"))
            #expect(answer.hasPrefix("HTTP/1.1 405") && answer.contains("allow: GET, HEAD\r\n"))
            #expect(
                try bench.send(get("/slow", method: "PUT")).contains("allow: GET, HEAD, POST\r\n"))
            for path in ["/", "/hello/", "//hello", "/Hello", "/%68ello", "/models//ready", "*"] {
                #expect(
                    try bench.send(get(path, method: path == "*" ? "OPTIONS" : "GET"))
                        .hasPrefix("HTTP/1.1 404"), "\(path)")
            }
            #expect(try bench.send(get("/models/iris/ready")).hasSuffix("\r\n\r\niris"))
            // Captures are not decoded: whoever looks a name up sees what was sent.
            #expect(try bench.send(get("/models/..%2f/ready?x")).hasSuffix("\r\n\r\n..%2f"))
            #expect(try bench.send(get("https://gw/hello")).hasSuffix("hello"))
            #expect(bench.isOpen)
        }
    }

    @Test func anUnknownPathAsksForATokenFirst() throws {
        try bench(hidesUnknown: true) { (bench) throws in
            let none = try bench.send(get("/nothing"))
            #expect(none.hasPrefix("HTTP/1.1 401"))
            #expect(none.contains("\r\nwww-authenticate: Bearer realm=\"sluice\"\r\n"))
            let bad = try bench.send(get("/nothing", "Authorization: Bearer bad\r\n"))
            #expect(bad.hasPrefix("HTTP/1.1 401") && bad.contains("error=\"invalid_token\""))
            let basic = try bench.send(get("/nothing", "Authorization: Basic Z29vZA==\r\n"))
            #expect(basic.hasPrefix("HTTP/1.1 401"))
            let known = try bench.send(get("/nothing", "Authorization: Bearer good\r\n"))
            #expect(known.hasPrefix("HTTP/1.1 404"))
        }
    }

    @Test func aTokenIsJudgedBeforeTheNextRequestIsLookedAt() throws {
        try bench { (bench) throws in
            bench.desk.waits = true
            let sent = get("/secret", "Authorization: bearer good\r\n") + get("/hello")
            #expect(try bench.send(sent) == "")
            bench.desk.waiting.removeFirst()()
            let answers = try bench.received()
            #expect(answers.contains("known") && answers.hasSuffix("hello"))
            #expect(try bench.send(get("/secret")).hasPrefix("HTTP/1.1 401"))
        }
    }

    @Test func bodies() throws {
        try bench { (bench) throws in
            #expect(try bench.send(post("/echo", "{}")).hasSuffix("\r\n\r\n{}"))
            #expect(try bench.send(post("/echo", "")).hasSuffix("\r\n\r\n"))
            let chunked =
                "POST /echo HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n"
            #expect(try bench.send(chunked).hasSuffix("\r\n\r\nabc"))
            let most = String(repeating: "x", count: 100)
            #expect(try bench.send(post("/echo", most)).hasSuffix(most))
            #expect(
                try bench.send(post("/echo", "a", "Content-Type: text/plain\r\n"))
                    .hasPrefix("HTTP/1.1 415"))
        }
        for (request, status) in [
            // On its head alone: not one byte of the body has been sent.
            ("POST /echo HTTP/1.1\r\nHost: gw\r\nContent-Length: 101\r\n\r\n", "413"),
            (
                "POST /echo HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n"
                    + String(repeating: "x", count: 101), "413"
            ),
            (get("/hello", "Content-Length: 1\r\n"), "413"),
            (post("/echo", "a", "Content-Encoding: gzip\r\n"), "415"),
            (get("/hello", "Expect: something\r\n"), "417"),
            (get("/hello?a=b&access_token=x", "Connection: close\r\n"), "400"),
        ] {
            try bench { (bench) throws in
                let answer = try bench.send(request)
                #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(request) \(answer)")
                #expect(answer.contains("connection: close") && !bench.isOpen, "\(request)")
            }
        }
    }

    @Test func anExpectationIsMetOnlyWhenTheBodyIsWanted() throws {
        try bench { (bench) throws in
            let head = "POST /echo HTTP/1.1\r\nHost: gw\r\nExpect: 100-continue\r\nContent-Length: "
            #expect(try bench.send(head + "2\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
            #expect(try bench.send("{}").hasSuffix("{}"))
            #expect(try bench.send(head + "101\r\n\r\n").hasPrefix("HTTP/1.1 413"))
        }
    }

    @Test func connectionCloseAndOldHTTP() throws {
        try bench { (bench) throws in
            #expect(
                try bench.send(get("/hello", "Connection: close\r\n")).contains("connection: close")
            )
            #expect(!bench.isOpen)
        }
        try bench { (bench) throws in
            #expect(try bench.send("GET /hello HTTP/1.0\r\n\r\n").contains("connection: close"))
            #expect(!bench.isOpen)
        }
        try bench { (bench) throws in
            let answer = try bench.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            #expect(answer.contains("connection: keep-alive") && bench.isOpen)
        }
        // The parser stops behind these: nothing can follow.
        for fields in ["Upgrade: h2c\r\nConnection: upgrade\r\n", "Upgrade: websocket\r\n"] {
            try bench { (bench) throws in
                #expect(try bench.send(get("/hello", fields)).contains("connection: close"))
                #expect(!bench.isOpen)
            }
        }
    }

    // MARK: Who gets what: smuggling

    static let smuggled: [(what: String, request: String, status: String)] = [
        (
            "a length and a coding",
            "POST /echo HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400"
        ),
        (
            "a coding and a length",
            "POST /echo HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "400"
        ),
        (
            "two lengths",
            "POST /echo HTTP/1.1\r\nHost: gw\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "400"
        ),
        (
            "the same length twice",
            "POST /echo HTTP/1.1\r\nHost: gw\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "400"
        ),
        (
            "a list of lengths", "POST /echo HTTP/1.1\r\nHost: gw\r\nContent-Length: 1, 1\r\n\r\na",
            "400"
        ),
        (
            "a signed length", "POST /echo HTTP/1.1\r\nHost: gw\r\nContent-Length: +1\r\n\r\na",
            "400"
        ),
        (
            "an endless length",
            "POST /echo HTTP/1.1\r\nHost: gw\r\nContent-Length: 99999999999999999999999\r\n\r\na",
            "400"
        ),
        ("a folded field", "GET /hello HTTP/1.1\r\nHost: gw\r\nX: a\r\n b\r\n\r\n", "400"),
        ("a bare line feed", "GET /hello HTTP/1.1\nHost: gw\n\n", "505"),
        ("a bare line feed in the head", "GET /hello HTTP/1.1\r\nHost: gw\nX: a\r\n\r\n", "400"),
        ("a bare carriage return", "GET /hello HTTP/1.1\r\nHost: gw\r\nX: a\rb\r\n\r\n", "400"),
        ("a NUL", "GET /hello HTTP/1.1\r\nHost: gw\r\nX: a\u{0}b\r\n\r\n", "400"),
        ("a space before the colon", "GET /hello HTTP/1.1\r\nHost : gw\r\n\r\n", "400"),
        ("a field without a name", "GET /hello HTTP/1.1\r\nHost: gw\r\n: a\r\n\r\n", "400"),
        (
            "an unknown coding",
            "POST /echo HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "501"
        ),
        (
            "a coding before chunked",
            "POST /echo HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "501"
        ),
        (
            "two codings",
            "POST /echo HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400"
        ),
        (
            "identity", "POST /echo HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: identity\r\n\r\n",
            "501"
        ),
        (
            "a coding in HTTP/1.0",
            "POST /echo HTTP/1.0\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "4"
        ),
        (
            "an odd chunk size",
            "POST /echo HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n",
            "400"
        ),
        (
            "a chunk that is longer than its size",
            "POST /echo HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
            "400"
        ),
        ("no Host", "GET /hello HTTP/1.1\r\n\r\n", "400"),
        ("two Hosts", "GET /hello HTTP/1.1\r\nHost: gw\r\nHost: gw\r\n\r\n", "400"),
        ("a Host with a path", "GET /hello HTTP/1.1\r\nHost: gw/x\r\n\r\n", "400"),
        ("a Host with a user", "GET /hello HTTP/1.1\r\nHost: a@gw\r\n\r\n", "400"),
        ("another authority", "GET https://other/hello HTTP/1.1\r\nHost: gw\r\n\r\n", "400"),
        ("HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        ("HTTP/3.0", "GET /hello HTTP/3.0\r\nHost: gw\r\n\r\n", "50"),
        ("HTTP/0.9", "GET /hello\r\n\r\n", ""),
        ("an unknown method", "BREW /hello HTTP/1.1\r\nHost: gw\r\n\r\n", "501"),
        ("CONNECT", "CONNECT gw:443 HTTP/1.1\r\nHost: gw\r\n\r\n", "4"),
        ("no HTTP at all", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}", ""),
        (
            "a large head",
            "GET /hello HTTP/1.1\r\nHost: gw\r\nX: " + String(repeating: "a", count: 17_000)
                + "\r\n\r\n", "431"
        ),
        (
            "a long target",
            "GET /" + String(repeating: "a", count: 17_000) + " HTTP/1.1\r\nHost: gw\r\n\r\n", "431"
        ),
        (
            "many fields",
            "GET /hello HTTP/1.1\r\nHost: gw\r\n" + String(repeating: "X: a\r\n", count: 101)
                + "\r\n", "431"
        ),
    ]

    /// Each is refused, and a request that hides behind it is never answered.
    @Test(arguments: smuggled.indices) func smuggling(_ index: Int) throws {
        let (what, request, status) = ConnectionTests.smuggled[index]
        for whole in [true, false] {
            try bench { (bench) throws in
                let sent = request + get("/models/hidden/ready")
                var answer = ""
                if whole {
                    answer = try bench.send(sent)
                } else {
                    for byte in sent.utf8.map({ String(UnicodeScalar($0)) }) {
                        answer += try bench.send(byte)
                    }
                }
                #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(what): \(answer)")
                #expect(
                    !answer.contains("200 OK") && !answer.contains("hidden"), "\(what): \(answer)")
                #expect(!bench.isOpen, "\(what)")
            }
        }
    }

    @Test func theNameOfTLSAndHostMustAgree() throws {
        try bench(serverName: "a.example") { (bench) throws in
            func ask(_ host: String) throws -> String {
                String(
                    try bench.send("GET /hello HTTP/1.1\r\nHost: \(host)\r\n\r\n").dropFirst(9)
                        .prefix(3))
            }
            for host in ["a.example", "A.EXAMPLE:8443", "a.example."] {
                #expect(try ask(host) == "200", "\(host)")
            }
            for host in ["b.example", "a.example.evil", "127.0.0.1", "xa.example:1"] {
                #expect(try ask(host) == "421", "\(host)")
            }
        }
    }

    @Test func nothingOfARequestStandsInAFieldOfItsAnswer() throws {
        try bench { (bench) throws in
            let answer = try bench.send(
                get("/canary", "X-Request-Id: canary;\r\nOrigin: canary\r\nReferer: canary\r\n"))
            #expect(!answer.contains("canary"))
        }
    }

    // MARK: Time

    @Test func silenceEndsTheConnectionWithoutAWord() throws {
        try bench { (bench) throws in
            #expect(try bench.advance(.seconds(76)) == "")
            #expect(!bench.isOpen)
        }
        try bench { (bench) throws in
            _ = try bench.advance(.seconds(70))
            try bench.send(get("/hello"))
            _ = try bench.advance(.seconds(70))
            #expect(bench.isOpen)
            #expect(try bench.advance(.seconds(6)) == "")
            #expect(!bench.isOpen)
        }
    }

    @Test func aSlowHeadAndASlowBodyAreTimedOut() throws {
        try bench { (bench) throws in
            try bench.send("GET /hel")
            for _ in 0..<9 {
                _ = try bench.advance(.seconds(1))
                try bench.send("l")
            }
            #expect(try bench.advance(.seconds(2)).hasPrefix("HTTP/1.1 408"))
            #expect(!bench.isOpen)
        }
        try bench { (bench) throws in
            try bench.send("POST /echo HTTP/1.1\r\nHost: gw\r\nContent-Length: 99\r\n\r\n")
            for _ in 0..<59 {
                _ = try bench.advance(.seconds(1))
                try bench.send("x")
            }
            #expect(try bench.advance(.seconds(2)).hasPrefix("HTTP/1.1 408"))
            #expect(!bench.isOpen)
        }
        // A resource has deadlines of its own.
        try bench { (bench) throws in
            try bench.send(get("/slow"))
            #expect(try bench.advance(.seconds(1_000)) == "")
            #expect(bench.isOpen)
        }
    }

    // MARK: The end

    @Test func aCallerThatLeavesCancelsWhatItAskedFor() throws {
        try bench { (bench) throws in
            try bench.send(get("/slow"))
            #expect(bench.slow.handles.map(\.isCancelled) == [false])
            bench.channel.pipeline.fireChannelInactive()
            #expect(bench.slow.handles.map(\.isCancelled) == [true])
            bench.slow.answer("nobody")
            #expect(try bench.received() == "")
        }
        try bench { (bench) throws in
            try bench.send(get("/slow"))
            bench.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            #expect(bench.slow.handles.map(\.isCancelled) == [true] && !bench.isOpen)
        }
    }

    @Test func rubbishBehindARequestEndsTheConnectionAfterItsAnswer() throws {
        try bench { (bench) throws in
            try bench.send(get("/slow") + "rubbish\r\n\r\n")
            #expect(bench.isOpen)
            bench.slow.answer("first")
            let answer = try bench.received()
            #expect(answer.hasSuffix("first") && answer.contains("connection: close"))
            #expect(!bench.isOpen)
        }
    }

    @Test func drainingFinishesWhatIsUnderWay() throws {
        try bench { (bench) throws in
            bench.tell(.drain(within: .seconds(1)))
            #expect(!bench.isOpen)
        }
        try bench { (bench) throws in
            try bench.send(get("/slow") + get("/hello"))
            bench.tell(.drain(within: .seconds(1)))
            #expect(bench.isOpen)
            bench.slow.answer("last")
            let answer = try bench.received()
            #expect(answer.contains("connection: close") && answer.hasSuffix("last"))
            #expect(!bench.isOpen)
        }
        try bench { (bench) throws in
            try bench.send(get("/slow"))
            bench.tell(.stop)
            #expect(try bench.received().hasPrefix("HTTP/1.1 503"))
            #expect(bench.slow.handles.map(\.isCancelled) == [true] && !bench.isOpen)
        }
    }

    /// Whatever comes, in whatever pieces: the connection answers or ends, and never traps.
    @Test func fuzz() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("ConnectionTests.fuzz seed \(seed)")
        var state = seed
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
        let seeds =
            [get("/hello"), post("/echo", "{}"), get("/slow"), get("/secret")]
            + ConnectionTests.smuggled.filter { $0.request.utf8.count < 500 }.map(\.request)
        for _ in 0..<2_000 {
            try bench { (bench) throws in
                for _ in 0...random(3) {
                    var bytes = Array(seeds[random(seeds.count)].utf8)
                    for _ in 0..<random(4) where !bytes.isEmpty {
                        let place = random(bytes.count)
                        switch random(3) {
                        case 0: bytes[place] = UInt8(random(256))
                        case 1: bytes.remove(at: place)
                        default: bytes.insert(Array("\r\n :,0;".utf8)[random(7)], at: place)
                        }
                    }
                    let cut = random(bytes.count + 1)
                    for part in [bytes[..<cut], bytes[cut...]] {
                        _ = try? bench.channel.writeInbound(ByteBuffer(bytes: part))
                        bench.channel.embeddedEventLoop.run()
                        if !bench.slow.exchanges.isEmpty, random(2) == 0 { bench.slow.answer("x") }
                    }
                    let answers = try bench.received()
                    #expect(answers.isEmpty || answers.hasPrefix("HTTP/1.1 "))
                }
            }
        }
    }
}
