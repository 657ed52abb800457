// Who watches requests is told of each that was answered without being a call, once, and never of its path.

import Contract
import JSONDoor
import Synchronization
import Testing

private final class Watcher: HTTPObserver {
    let wantsRequests: Bool
    private let seen = Mutex<[HTTPRecord]>([])
    var records: [HTTPRecord] { seen.withLock { $0 } }

    init(wantsRequests: Bool = true) { self.wantsRequests = wantsRequests }

    func answered(_ request: HTTPRecord) { seen.withLock { $0.append(request) } }
}

@Suite struct ObserverTests {
    private func ask(_ requests: [String], of watcher: Watcher) throws {
        for request in requests {
            let bench = try ConnectionBench(observer: watcher)
            defer { bench.end() }
            try bench.send(request)
        }
    }

    private func get(_ path: String, _ method: String = "GET") -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: gw\r\n\r\n"
    }

    @Test func everyAnswerIsToldOnceWithItsRoute() throws {
        let watcher = Watcher()
        try ask(
            [
                get("/hello"), get("/models/canary/ready"), get("/canary"), get("/hello", "DELETE"),
                get("/secret"), "no HTTP at all\r\n\r\n",
                "POST /echo HTTP/1.1\r\nHost: gw\r\nContent-Length: 101\r\n\r\n",
                "POST /echo HTTP/1.1\r\nHost: gw\r\nContent-Length: 2\r\n\r\n{}",
            ], of: watcher)
        let records = watcher.records
        #expect(records.map { $0.status } == [200, 200, 404, 405, 401, 501, 413, 200])
        #expect(
            records.map { $0.route } == [
                "/hello", "/models/{m}/ready", "", "", "/secret", "", "/echo", "/echo",
            ])
        #expect(records[4].code == .unauthenticated && records[4].reason == .tokenMissing)
        #expect(records[0].method == "GET" && records[0].bytesOut == 5)
        #expect(records[7].bytesIn == 2 && records[7].request == "c-1")
        #expect(records.allSatisfy { $0.address == "10.0.0.1" && $0.connection == "c" })
        #expect(!"\(records)".contains("canary"))
    }

    @Test func nobodyIsToldWhoDoesNotWantIt() throws {
        let watcher = Watcher(wantsRequests: false)
        try ask([get("/hello"), get("/nothing")], of: watcher)
        #expect(watcher.records.isEmpty)
    }
}
