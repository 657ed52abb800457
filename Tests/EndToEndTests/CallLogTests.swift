// The access log and the slow-call log of a real gateway: both doors, refusals, rotation, a full disk, and no token anywhere.

import Foundation
import SluiceClient
import Testing

@Suite struct CallLogTests {
    private struct Line: Decodable {
        var time: String
        var kind: String
        var door: String
        var method: String?
        var route: String?
        var status: Int?
        var model: String?
        var version: String?
        var asked_model: String?
        var code: String?
        var reason: String?
        var issuer: String?
        var client: String?
        var peer: String?
        var connection: String?
        var request: String?
        var trace: String?
        var bytes_in: Int
        var bytes_out: Int
        var run_us: Int?
        var batch: Int?
        var total_us: Int
        var cold: Bool?
    }

    /// Every line, the last one included, is whole.
    private func lines(_ path: String) throws -> [Line] {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.isEmpty || text.hasSuffix("\n"))
        return try text.split(separator: "\n").map {
            try JSONDecoder().decode(Line.self, from: Data($0.utf8))
        }
    }

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    @Test func callsOverBothDoorsAndWhatEndsBeforeItIsOne() async throws {
        try await withTemporaryFolder { folder in
            let path = folder.appending(path: "access.log").path
            var secrets = ["canary-in-the-path", "canary-in-the-token"]
            try await withGateway(settings: "access_log: { path: '\(path)' }\n") { gateway in
                let token = try await gateway.token(name: "app")
                secrets.append(token)
                try await gateway.withClient(token: token) { client in
                    _ = try await client.infer("iris", inputs: TokenTests.iris())
                    _ = try await client.infer("iris", inputs: TokenTests.iris())
                    await #expect(throws: SluiceError.self) {
                        _ = try await client.infer("nobody", inputs: TokenTests.iris())
                    }
                }
                let caller = try HTTPCaller(gateway, token: token)
                let stranger = try HTTPCaller(gateway, token: "canary-in-the-token")
                let nobody = try HTTPCaller(gateway, token: nil)
                defer { for one in [caller, stranger, nobody] { one.close() } }
                let traced = [
                    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
                ]
                #expect(try await caller.get("/v2/models/iris", traced).status == 200)
                #expect(try await nobody.get("/v2/models/iris").status == 401)
                #expect(try await stranger.get("/v2/models/iris").status == 401)
                #expect(try await caller.get("/canary-in-the-path").status == 404)
                #expect(try await caller.send("DELETE", "/v2", nil).status == 405)
                #expect(try await nobody.get("/").status == 200)
            }
            let lines = try lines(path)
            for secret in secrets {
                #expect(
                    try !String(contentsOfFile: path, encoding: .utf8).contains(secret), "\(secret)"
                )
            }
            // A connection's lines are in their order, those of two event loops need not be.
            let calls = ["binary", "http"].flatMap { door in
                lines.filter { $0.kind == "call" && $0.door == door }
            }
            try #require(calls.count == 4)
            #expect(calls.map(\.door) == ["binary", "binary", "binary", "http"])
            #expect(calls.map(\.code) == ["OK", "OK", "NOT_FOUND", "OK"])
            #expect(calls[0].cold == true && calls[1].cold == false)
            #expect(calls[1].model == "iris" && calls[1].version == "1")
            #expect(calls[1].issuer == "local" && calls[1].peer == "127.0.0.1")
            #expect(calls[1].bytes_in > 0 && calls[1].bytes_out > 0)
            // One by a shard, one on the spot; an unknown model and metadata run nothing.
            #expect(calls.map(\.batch) == [1, 1, 0, 0])
            #expect((calls[1].run_us ?? .max) <= calls[1].total_us)
            #expect(calls[0].connection == calls[1].connection && calls[0].connection != nil)
            #expect(calls[2].asked_model == "nobody" && calls[2].reason == "MODEL_NOT_FOUND")
            #expect(calls[3].trace == "4bf92f3577b34da6a3ce929d0e0e4736")
            let requests = lines.filter { $0.kind == "request" }
            #expect(requests.map(\.status) == [401, 401, 404, 405, 200])
            #expect(requests.prefix(2).allSatisfy { $0.route == "/v2/models/{model}" })
            #expect(requests[0].reason == "TOKEN_MISSING" && requests[1].reason == "TOKEN_INACTIVE")
            #expect(requests[2].route == nil && requests[3].method == "DELETE")
            #expect(requests[4].route == "/" && requests[4].bytes_out > 0)
            let second = #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/#
            #expect(lines.allSatisfy { $0.time.wholeMatch(of: second) != nil })
        }
    }

    @Test func standardOutputInTheCommonFormat() async throws {
        try await withGateway(settings: "access_log: { path: stdout, format: common }\n") {
            gateway in
            try await gateway.withClient { client in
                _ = try await client.infer("iris", inputs: TokenTests.iris())
            }
            let out = gateway.folder.appending(path: "out")
            try await eventually("the line") {
                let text = try String(contentsOf: out, encoding: .utf8)
                return text.split(separator: "\n").contains {
                    $0.contains("] \"infer /iris/1 sluice/1\" 200 ")
                        && $0.hasPrefix("127.0.0.1 - ") && $0.contains(" cold=true ")
                }
            }
        }
    }

    @Test func filesAreSetAsideAndOpenedAnewBySIGHUP() async throws {
        try await withTemporaryFolder { folder in
            let path = folder.appending(path: "access.log").path
            let settings = "access_log: { path: '\(path)', bytes: 1KiB, files: 2 }\n"
            try await withGateway(settings: settings) { gateway in
                try await withCaller(gateway) { caller in
                    func call() async throws {
                        #expect(try await caller.get("/v2/models/iris").status == 200)
                    }
                    try await eventually(within: 30, "two files are set aside") {
                        try await call()
                        return exists(path + ".2")
                    }
                    // As logrotate does it: another name first, the signal then.
                    try await eventually("a file that is written") {
                        try await call()
                        return exists(path)
                    }
                    try FileManager.default.moveItem(atPath: path, toPath: path + ".moved")
                    gateway.signal(SIGHUP)
                    try await eventually("the settings were read again") {
                        gateway.log.contains("settings were read again")
                    }
                    try await eventually("a new file") {
                        try await call()
                        return exists(path)
                    }
                }
            }
            #expect(!exists(path + ".3"))
            for file in [path, path + ".1", path + ".2"] where exists(file) {
                #expect(try lines(file).allSatisfy { $0.kind == "call" })
            }
        }
    }

    /// No file may be larger than 512 KiB: for one that writes, as good as a disk that is full.
    @Test func aFullDiskCostsLinesAndNoCalls() async throws {
        try await withTemporaryFolder { folder in
            let path = folder.appending(path: "access.log").path
            let before = String(repeating: String(repeating: "x", count: 1_023) + "\n", count: 512)
            try before.write(toFile: path, atomically: true, encoding: .utf8)
            let gateway = try await TestGateway.start(
                in: folder, models: Paths.models,
                settings: "access_log: { path: '\(path)', bytes: 1GiB }\n", environment: [:],
                prefix: ["/bin/bash", "-c", "trap '' XFSZ; ulimit -f 512; exec \"$@\"", "bash"])
            do {
                try await gateway.withClient { client in
                    for _ in 0..<50 {
                        _ = try await client.infer("iris", inputs: TokenTests.iris())
                    }
                    try await eventually("the lines are counted") {
                        try await DebugStateTests.state(gateway).access_log.refused >= 50
                    }
                    #expect(gateway.log.contains("lines of the access log were dropped"))
                    #expect(gateway.log.contains("access_log.path"))
                    // There is room again.
                    try FileManager.default.moveItem(atPath: path, toPath: path + ".full")
                    gateway.signal(SIGHUP)
                    try await eventually("lines are written again") {
                        _ = try await client.infer("iris", inputs: TokenTests.iris())
                        return try exists(path) && !lines(path).isEmpty
                    }
                }
                let status = try await gateway.stop()
                #expect(status == 0, "\(gateway.log)")
                #expect(try lines(path).allSatisfy { $0.code == "OK" })
                let full = try String(contentsOfFile: path + ".full", encoding: .utf8)
                #expect(full == before)
            } catch {
                gateway.signal(SIGKILL)
                _ = try? await gateway.ended()
                Issue.record("the gateway's log: \(gateway.log.suffix(4_000))")
                throw error
            }
        }
    }

    @Test func aReloadBeginsAndEndsTheLog() async throws {
        try await withTemporaryFolder { folder in
            let path = folder.appending(path: "access.log").path
            try await withGateway(settings: "log: { level: info }\n") { gateway in
                func put(_ lines: String) throws {
                    try ("log: { level: info }\n" + lines).write(
                        to: gateway.folder.appending(path: "sluice.yaml"), atomically: true,
                        encoding: .utf8)
                }
                let admin = try await gateway.token(scope: "admin")
                try await gateway.withClient(token: admin) { client in
                    _ = try await client.infer("iris", inputs: TokenTests.iris())
                    try put("access_log: { path: '\(path)' }\n")
                    let changes = try await client.reloadSettings()
                    #expect(changes.count == 1)
                    _ = try await client.infer("iris", inputs: TokenTests.iris())
                    try await eventually("a line") {
                        try exists(path) && lines(path).contains { $0.method == "infer" }
                    }
                    // What cannot be opened is refused, and the log goes on.
                    try put("access_log: { path: /nowhere/at/all }\n")
                    await #expect(throws: SluiceError.self) { try await client.reloadSettings() }
                    try put("")
                    _ = try await client.reloadSettings()
                    _ = try await client.infer("iris", inputs: TokenTests.iris())
                    try await eventually("nothing waits") {
                        try await DebugStateTests.state(gateway).access_log.waiting == 0
                    }
                    #expect(try lines(path).filter { $0.method == "infer" }.count == 1)
                }
            }
        }
    }

    @Test func aSlowCallIsInTheLogWithItsPhases() async throws {
        try await withTemporaryFolder { folder in
            try FixtureModels.put(["endless"], into: folder)
            try await withGateway(
                models: folder.path, settings: "slow_log: { over: 200ms }\n"
            ) { gateway in
                try await gateway.withClient { client in
                    let error = try await #require(throws: SluiceError.self) {
                        _ = try await client.infer(
                            "endless",
                            inputs: [
                                try Tensor("x", shape: [1], [1 as Float]),
                                try Tensor("always", shape: [], [true]),
                            ], timeout: .milliseconds(700))
                    }
                    #expect(error.code == .deadlineExceeded)
                }
                try await eventually("the warning") {
                    gateway.log.split(separator: "\n").contains {
                        $0.contains("a call was slow") && $0.contains("endless")
                            && $0.contains("phases=auth ") && $0.contains("load ")
                            && $0.contains("unfinished ")
                            // Whichever came first: its deadline, or its caller's cancel at the deadline.
                            && $0.contains(#/DEADLINE_EXCEEDED|CANCELLED/#)
                    }
                }
            }
        }
    }
}
