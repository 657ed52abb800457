// Plans as callers meet them: limits that are told, quotas that outlive a kill, and turns between two clients.

import Foundation
import SluiceClient
import Synchronization
import Testing

@Suite struct PlanTests {
    private static func failure(_ client: SluiceClient) async throws -> SluiceError? {
        do {
            _ = try await client.infer("iris", inputs: TokenTests.iris())
            return nil
        } catch let error as SluiceError {
            return error
        }
    }

    @Test func aRateIsKeptAndTold() async throws {
        let settings = """
            plans:
              - name: default
                rate: 1/m
                burst: 3

            """
        try await withGateway(settings: settings) { gateway in
            let token = try await gateway.token(name: "caller")
            try await gateway.withClient(token: token) { client in
                for left in [2, 1] {
                    let limit = try await client.infer("iris", inputs: TokenTests.iris()).rateLimit
                    #expect(limit?.remaining == left && limit?.name == "calls")
                    #expect(limit?.limit == 1 && limit?.window == .seconds(60))
                }
            }
            let call = try await Command.run(
                "call", "iris", "--input", "X=[[5.1, 3.5, 1.4, 0.2]]", "--json", "--timeout", "5",
                "--endpoint", gateway.endpoint, "--ca", gateway.ca,
                environment: ["SLUICE_TOKEN": token])
            // The command asks for the model's inputs first, which is a call too.
            #expect(call.status != 0 && call.error.contains("RATE_LIMIT"), "\(call.error)")
            try await gateway.withClient(token: token) { client in
                let error = try #require(try await Self.failure(client))
                #expect(error.code == .resourceExhausted && error.reason == "RATE_LIMIT")
                #expect(error.message.contains("plans.rate") && error.notStarted)
                #expect(error.rateLimit?.remaining == 0)
                let wait = try #require(error.retryAfter)
                #expect(wait > .seconds(1) && wait <= .seconds(60))
            }
            // Another client has a bucket of its own.
            try await gateway.withClient(token: try await gateway.token(name: "other")) {
                let refusal = try await Self.failure($0)
                #expect(refusal == nil)
            }
        }
    }

    @Test func aQuotaOutlivesAKill() async throws {
        let settings = """
            plans:
              - name: default
                month: { calls: 30 }

            """
        try await withTemporaryFolder { folder in
            func start() async throws -> TestGateway {
                try await TestGateway.start(
                    in: folder, models: Paths.models, settings: settings, environment: [:])
            }
            let first = try await start()
            let token = try await first.token()
            do {
                try await first.withClient(token: token) { client in
                    for _ in 0..<10 {
                        let refusal = try await Self.failure(client)
                        #expect(refusal == nil)
                    }
                }
                // At most a second's counts may be lost.
                let kept = ContinuousClock.now + .milliseconds(1_500)
                try await eventually("the promised second") { ContinuousClock.now > kept }
            } catch {
                first.signal(SIGKILL)
                throw error
            }
            first.signal(SIGKILL)
            _ = try await first.ended()
            let second = try await start()
            do {
                try await second.withClient(token: token) { client in
                    var admitted = 0
                    var refusal: SluiceError?
                    while refusal == nil, admitted <= 30 {
                        refusal = try await Self.failure(client)
                        if refusal == nil { admitted += 1 }
                    }
                    #expect(admitted == 20, "10 were used before the kill, once each")
                    #expect(refusal?.reason == "QUOTA_MONTH")
                    #expect(refusal?.retryAfter.map { $0 > .zero } == true)
                    #expect(refusal?.rateLimit?.name == "month")
                }
            } catch {
                second.signal(SIGKILL)
                throw error
            }
            #expect(try await second.stop() == 0)
        }
    }

    /// How long this many calls take, one after the other: the 90th percentile.
    private static func p90(
        _ client: SluiceClient, _ input: Tensor, calls: Int
    ) async throws -> Duration {
        var times: [Duration] = []
        for _ in 0..<calls {
            let began = ContinuousClock.now
            _ = try await client.infer("digits-forest", inputs: [input])
            times.append(ContinuousClock.now - began)
        }
        times.sort()
        return times[calls * 9 / 10]
    }

    /// One client keeps 96 long calls waiting. Another, which has one at a time, must not wait behind them: in one queue it
    /// would wait as long as they do.
    @Test func aGreedyClientDoesNotHoldUpAQuietOne() async throws {
        try await withGateway { gateway in
            let rows = [[Float]](repeating: [Float](repeating: 1, count: 64), count: 2_000)
            let input = try Tensor("X", rows: rows)
            let greedyToken = try await gateway.token(name: "greedy")
            let quietToken = try await gateway.token(name: "quiet")
            try await gateway.withClient(token: quietToken) { quiet in
                _ = try await Self.p90(quiet, input, calls: 5)
                let alone = try await Self.p90(quiet, input, calls: 20)
                try await gateway.withClient(token: greedyToken) { greedy in
                    let flood = Flood()
                    let beside = try await withThrowingTaskGroup(of: Duration?.self) { group in
                        for _ in 0..<96 {
                            group.addTask {
                                while !flood.isOver {
                                    let began = ContinuousClock.now
                                    _ = try await greedy.infer("digits-forest", inputs: [input])
                                    flood.note(ContinuousClock.now - began)
                                }
                                return nil
                            }
                        }
                        group.addTask {
                            defer { flood.end() }
                            try await eventually(within: 60, "the greedy client's calls wait") {
                                flood.times.count >= 96
                            }
                            return try await Self.p90(quiet, input, calls: 20)
                        }
                        var result = Duration.zero
                        while let next = try await group.next() { result = next ?? result }
                        return result
                    }
                    let times = flood.times.sorted()
                    let median = times[times.count / 2]
                    print("quiet: \(alone) alone, \(beside) beside; greedy: \(median)")
                    #expect(beside < median / 3, "\(alone) alone, \(beside) beside, \(median)")
                }
            }
        }
    }
}

/// What the greedy client's tasks share.
private final class Flood: Sendable {
    private let over = Atomic<Bool>(false)
    private let noted = Mutex<[Duration]>([])

    var isOver: Bool { over.load(ordering: .relaxed) }
    func end() { over.store(true, ordering: .relaxed) }
    func note(_ time: Duration) { noted.withLock { $0.append(time) } }
    var times: [Duration] { noted.withLock { $0 } }
}
