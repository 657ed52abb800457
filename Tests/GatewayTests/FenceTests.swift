// The crash fence with a state folder: what a start finds, what it makes of it, what a note costs. A process that ends
// without goodbye is played by a fence that is dropped without `end`.

import Catalogue
import Contract
import Foundation
import Gateway
import Logging
import Shards
import Testing

@Suite struct FenceTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func withState(_ body: (String) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "sluice-fence-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private func entry(_ name: String, _ version: Int64 = 1, token: UInt64 = 1) throws -> ModelEntry
    {
        ModelEntry(
            index: name.utf8.count + Int(token) * 100,
            ScannedModel(
                name: try #require(ModelName(name)),
                version: try #require(ModelVersion(number: version)),
                directory: "/nowhere", signature: Signature(inputs: [], outputs: []),
                token: ChangeToken([token])))
    }

    private func open(_ state: String, threads: Int = 2, now: Int64 = 1_000) throws -> Fence {
        try Fence.open(state: state, threads: threads, now: now, logger: logger)
    }

    private func names(_ fence: Fence) -> [String] { fence.quarantined.map(\.model) }

    @Test func whoIsInsideAtTheEndIsASuspect() throws {
        try withState { state in
            let (bad, good) = (try entry("bad"), try entry("good"))
            for round in 1...2 {
                let fence = try open(state)
                #expect(names(fence).isEmpty)
                #expect(fence.strikes(against: bad) == round - 1)
                let (first, second) = (fence.pen(), fence.pen())
                second.enter(good, .run)
                second.leave()
                first.enter(bad, round == 1 ? .load : .run)
                // As a crash leaves them: nobody leaves, nobody ends. The pens live until the next has started.
                let next = try open(state)
                withExtendedLifetime((first, second)) {}
                #expect(next.strikes(against: bad) == round)
                #expect(next.strikes(against: good) == 0)
                next.end()
            }
            let third = try open(state)
            #expect(names(third) == ["bad"])
            #expect(third.quarantined.first?.strikes == 2)
            #expect(third.quarantined.first?.activity == .run)
            #expect(try third.forgive("bad", version: 1))
            #expect(try !third.forgive("bad", version: 1))
            #expect(names(try open(state)).isEmpty)
        }
    }

    @Test func aGoodEndIsNoCrash() throws {
        try withState { state in
            let fence = try open(state)
            let pen = fence.pen()
            pen.enter(try entry("busy"), .run)
            // A run that could not be stopped goes on while the process ends.
            fence.end()
            let next = try open(state)
            #expect(next.strikes(against: try entry("busy")) == 0)
            pen.leave()
        }
    }

    @Test func changedFilesAreForgiven() throws {
        try withState { state in
            let old = try entry("model")
            for _ in 0..<2 {
                let fence = try open(state)
                let pen = fence.pen()
                pen.enter(old, .load)
                _ = try open(state)
                withExtendedLifetime(pen) {}
            }
            let fence = try open(state)
            #expect(names(fence) == ["model"])
            #expect(try !fence.forget(changed: [old]))
            #expect(try fence.forget(changed: [try entry("model", token: 2)]))
            #expect(names(fence).isEmpty)
            fence.end()
            #expect(names(try open(state)).isEmpty)
        }
    }

    @Test func pensAreBoundedAndComeBack() throws {
        try withState { state in
            let fence = try open(state, threads: 3)
            let all = 3 + Fence.spareSlots
            #expect(fence.freeSlots == all)
            var pens = (0..<(all + 5)).map { _ in fence.pen() }
            #expect(fence.freeSlots == 0)
            // Those beyond write nowhere, and hurt nobody.
            pens[all + 1].enter(try entry("m"), .run)
            pens[all + 1].leave()
            pens.removeAll()
            #expect(fence.freeSlots == all)
        }
    }

    @Test func aFileThatCannotBeBelievedEndsTheStart() throws {
        try withState { state in
            try "{".write(toFile: state + "/fence.json", atomically: false, encoding: .utf8)
            do {
                _ = try open(state)
                Issue.record("it was believed")
            } catch let error as GatewayError {
                #expect(error.kind == .configuration)
                #expect(error.message.contains("fence.json"))
                #expect(error.mend.contains("move it away"))
            }
        }
    }

    /// At 120,000 calls a second, 20 ns for entering and 20 for leaving are half a hundredth of one core.
    @Test func aNoteCostsNanoseconds() throws {
        try withState { state in
            let fence = try open(state)
            let pen = fence.pen()
            let (one, two) = (try entry("one"), try entry("a-model-with-a-longer-name"))
            func cost(_ body: (Int) -> Void) -> Double {
                let began = ContinuousClock.now
                for index in 0..<1_000_000 { body(index) }
                return (ContinuousClock.now - began) / .nanoseconds(1) / 1_000_000
            }
            let same = cost { _ in
                pen.enter(one, .run)
                pen.leave()
            }
            let other = cost { index in
                pen.enter(index & 1 == 0 ? one : two, .run)
                pen.leave()
            }
            print("a note: \(same) ns for the same model, \(other) ns for another")
            // Ten times what is wanted: this machine may be busy.
            #expect(same < 200 && other < 400)
        }
    }
}
