// What a call costs in this room besides the engine's own time. Numbers, not assertions: run with SLUICE_MEASURE=1.

import Catalogue
import Contract
import Foundation
import Glibc
import NIOCore
import NIOEmbedded
import NIOPosix
import Shards
import Testing

/// Does as little as a delegate can.
private final class Counter: RunDelegate {
    var answers = 0
    var onAnswer: (() -> Void)?
    func runProgress(_ progress: Contract.Progress) {}
    func runFinished(
        _ result: Result<[Tensor], CallFailure>, timing: Timing, workContinues: Bool
    ) {
        answers += 1
        onAnswer?()
    }
    func runWorkEnded(timing: Timing) {}
}

/// Answers at once.
private final class NullEngine: ModelEngine {
    private final class Model: LoadedModel {
        let signature: Signature
        init(_ signature: Signature) { self.signature = signature }
        func run(_ prepared: Prepared, stopper: any RunStopper) throws(CallFailure) -> [Tensor] {
            []
        }
    }
    func load(_ entry: ModelEntry, as form: LoadForm) throws(CallFailure) -> any LoadedModel {
        Model(entry.signature)
    }
    func stopper() -> any RunStopper { ScriptedStopper() }
    func trimMemory() {}
    func memory() -> ProcessMemory? { nil }
    func resetMemoryPeak() {}
}

@Suite(
    .serialized, .enabled(if: ProcessInfo.processInfo.environment["SLUICE_MEASURE"] != nil))
struct Measurement {
    @Test(arguments: [1, 32]) func `inline overhead by calls a turn`(depth: Int) {
        var settings = ShardSettings(cores: 2)
        // A time slice lost in mid-run must not send the rest of the turn to shards that are not there.
        settings.inlineTurnBudget = .seconds(1)
        let fleet = Fleet(settings: settings, engine: NullEngine())
        let loop = EmbeddedEventLoop()
        let desk = fleet.desk(on: loop)
        let work = Samples.prepared(Samples.entry())
        let counter = Counter()
        let far = Instant(nanoseconds: .max)
        for _ in 0..<10 {
            _ = desk.submit(work, deadline: far, now: .now(), delegate: counter)
            desk.turnEnded()
            fleet.drainLoaders()
            fleet.drainShards()
            loop.run()
        }
        let calls = 2_000_000
        var best = UInt64.max
        for _ in 0..<5 {
            let before = counter.answers
            let began = Instant.now()
            let startOfUse = clock()
            for _ in 0..<(calls / depth) {
                for _ in 0..<depth {
                    _ = desk.submit(work, deadline: far, now: began, delegate: counter)
                }
                desk.turnEnded()
            }
            best = min(best, UInt64(clock() - startOfUse) * 1_000)
            #expect(counter.answers - before == calls / depth * depth)
        }
        print("inline, \(depth) a turn: \(Double(best) / Double(calls)) ns of CPU a call")
    }

    @Test(arguments: [1, 32, 256]) func `hop by calls under way`(depth: Int) async throws {
        var settings = ShardSettings(cores: 2)
        settings.inlineRunMax = .zero
        let fleet = Fleet(settings: settings, engine: NullEngine())
        fleet.start()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let turns = depth == 1 ? 20_000 : 5_000
        let time = try await loop.flatSubmit { () -> EventLoopFuture<Nanoseconds> in
            let desk = fleet.desk(on: loop)
            let work = Samples.prepared(Samples.entry())
            let counter = Counter()
            let promise = loop.makePromise(of: Nanoseconds.self)
            var left = turns
            var began = Instant.now()
            func turn() {
                for _ in 0..<depth {
                    let now = Instant.now()
                    _ = desk.submit(
                        work, deadline: now + .seconds(60), now: now, delegate: counter)
                }
                desk.turnEnded()
            }
            counter.onAnswer = {
                guard counter.answers % depth == 0 else { return }
                if left == turns { began = .now() }
                left -= 1
                if left == 0 {
                    counter.onAnswer = nil
                    promise.succeed(Instant.now().since(began))
                } else {
                    turn()
                }
            }
            turn()
            return promise.futureResult
        }.get()
        let calls = Double(turns * depth)
        let wakeUps = Double(fleet.statistics.wakeUps) / Double(turns)
        print(
            "hop, \(depth) a turn: \(Double(time.count) / calls / 1_000) us a call, "
                + "\(wakeUps) wake-ups a turn")
        #expect(await fleet.stop(by: Instant.now() + .seconds(5)))
        try await group.shutdownGracefully()
    }
}
