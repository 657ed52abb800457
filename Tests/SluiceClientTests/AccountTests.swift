// Giving memory back, keeping it and asking where it went: what goes out, what comes in, and the words for people.

import SluiceClient
import SluiceMessages
import SluiceWire
import SwiftProtobuf
import Synchronization
import Testing

@Suite struct AccountTests {
    /// Runs `body` with a client of a gateway that answers as `answer` says; gives back the calls that came.
    private func calls(
        _ answer: @escaping @Sendable (Sluice_CallHeader) -> any Message,
        _ body: @escaping @Sendable (SluiceClient) async throws -> Void
    ) async throws -> [(header: Sluice_CallHeader, payload: [UInt8])] {
        let frames = Recorder()
        let gateway = try await FakeGateway.start { frame in
            do {
                if frame.type == .hello { return [try Messages.hello()] }
                guard frame.type == .call else { return nil }
                let header = try Sluice_CallHeader(serializedBytes: frame.header.array)
                frames.add(header, frame.payload.array)
                return [
                    try Messages.reply(
                        frame.call, payload: try HelloCoding.encoded(answer(header)))
                ]
            } catch {
                Issue.record(error)
                return []
            }
        }
        let client = try gateway.client()
        try await within("the whole test", seconds: 30) { try await body(client) }
        await client.shutdown()
        try await gateway.stop()
        return frames.calls
    }

    @Test func controlNamesTheModelInItsHeader() async throws {
        let calls = try await calls({ _ in Sluice_ModelControlResponse() }) { client in
            try await client.sleep("iris", timeout: .seconds(3))
            try await client.pin("iris", version: "2")
            try await client.unpin("wine")
            try await client.refresh()
        }
        #expect(calls.map(\.header.method) == Array(repeating: .modelControl, count: 4))
        #expect(calls.map(\.header.model) == ["iris", "iris", "wine", ""])
        #expect(calls.map(\.header.modelVersion) == ["", "2", "", ""])
        #expect(calls.first.map { (1...3_000_000).contains($0.header.timeoutUs) } == true)
        #expect(
            try calls.map { try Sluice_ModelControlRequest(serializedBytes: $0.payload).action }
                == [.sleep, .pin, .unpin, .refresh])
    }

    @Test func aliasesGoOutAndComeBack() async throws {
        let calls = try await calls({ _ in
            var reply = Sluice_ModelAliasResponse()
            reply.alias = "prod"
            reply.was = "1"
            reply.now = "2"
            reply.proof = .golden
            reply.goldenCases = 2
            return reply
        }) { client in
            let set = try await client.setAlias("prod", of: "iris", to: "2")
            #expect(
                set
                    == AliasChange(
                        alias: "prod", was: "1", now: "2", proof: .golden, goldenCases: 2))
            #expect("\(set)" == "prod is version 2, was 1 (it passed its 2 golden cases)")
            try await client.removeAlias("prod", of: "iris")
            try await client.rollBack("iris")
        }
        #expect(calls.map(\.header.method) == [.modelAlias, .modelAlias, .modelAlias])
        #expect(calls.allSatisfy { $0.header.model == "iris" && $0.header.modelVersion.isEmpty })
        let asked = try calls.map { try Sluice_ModelAliasRequest(serializedBytes: $0.payload) }
        #expect(asked.map(\.action) == [.set, .remove, .rollback])
        #expect(asked.map(\.alias) == ["prod", "prod", "latest"])
        #expect(asked.map(\.version) == ["2", "", ""])
    }

    @Test func aliasChangesReadWell() {
        let words = [
            AliasChange(alias: "prod", was: nil, now: "1", proof: .loaded),
            AliasChange(alias: "prod", was: "2", now: nil, proof: .none),
            AliasChange(alias: "latest", was: "2", now: "1", proof: .earlier),
            AliasChange(alias: "prod", was: "1", now: "1", proof: .golden, goldenCases: 1),
        ].map { "\($0)" }
        #expect(
            words == [
                "prod is version 1 (it was loaded and its signature matched; its manifest has no "
                    + "golden case)",
                "prod is gone, was version 2",
                "latest is version 1, was 2 (it proved itself earlier)",
                "prod is version 1 (it passed its golden case)",
            ])
    }

    @Test func wordsSayWhyItIsNotLatestAndWhatIsHeldAgainstIt() {
        var model = ModelAccount(name: "iris", version: "2", state: .asleep)
        model.trial = "latest stays at version 1: its trial failed"
        model.strikes = 1
        #expect(
            "\(model)"
                == "asleep: never called since the start; latest stays at version 1: its trial "
                + "failed; the gateway ended once while it was at work")
        model.trial = ""
        model.isQuarantined = true
        model.strikes = 2
        model.state = .broken
        model.failure = "quarantined: because"
        #expect("\(model)" == "quarantined: because")
    }

    private static func book() -> Sluice_ModelAccountResponse {
        var iris = Sluice_ModelAccount()
        iris.name = "iris"
        iris.version = "2"
        iris.state = .awake
        iris.pinned = true
        iris.anonymousBytes = 1
        iris.mappedBytes = 2
        iris.loadPeakBytes = 3
        iris.unreturnedBytes = 4
        iris.loadUs = 5
        iris.awakeMs = 6
        iris.lastCallMsAgo = 7
        iris.callsSinceWake = 8
        iris.loads = 9
        iris.evictions = 10
        iris.demand = 11.5
        iris.score = 12.5
        iris.evictedMsAgo = 13
        iris.evictedFor = "wine"
        iris.failure = "broken"
        iris.mapped = true
        iris.promotedMs = 61
        iris.promotedBytes = 62
        iris.promotionSaving = 0.63
        iris.keptWarm = true
        iris.idleMs = 65
        iris.promotionNote = "sent back"
        iris.calls = 70
        iris.failedCalls = 71
        iris.coldCalls = 72
        iris.waiting = 73
        iris.waking = 0.74
        iris.latencyFirst = 75
        iris.latencyCounts = [1, 0, 2]
        var wine = Sluice_ModelAccount()
        wine.name = "wine"
        wine.state = .UNRECOGNIZED(42)
        wine.lastCallMsAgo = .max
        wine.waking = .nan
        wine.latencyFirst = .max
        wine.latencyCounts = [1]
        var book = Sluice_ModelAccountResponse()
        book.models = [iris, wine]
        book.fleet.anonymousBudget = 21
        book.fleet.anonymousUsed = 22
        book.fleet.mappedBudget = 23
        book.fleet.mappedUsed = 24
        book.fleet.calls = 25
        book.fleet.coldCalls = 26
        book.fleet.loadsLastHour = 27
        book.fleet.loadsWarn = 60
        book.fleet.uptimeMs = 70
        book.fleet.queued = 71
        book.fleet.running = 72
        var point = Sluice_MissPoint()
        point.extraBytes = 28
        point.coldShare = 0.25
        book.fleet.missCurve = [point]
        return book
    }

    @Test func everyFieldArrives() async throws {
        let calls = try await calls({ _ in Self.book() }) { client in
            let fleet = try await client.fleetAccount()
            var iris = ModelAccount(name: "iris", version: "2", state: .awake)
            iris.isPinned = true
            iris.anonymousBytes = 1
            iris.mappedBytes = 2
            iris.loadPeakBytes = 3
            iris.unreturnedBytes = 4
            iris.loadTime = .microseconds(5)
            iris.awakeFor = .milliseconds(6)
            iris.sinceLastCall = .milliseconds(7)
            iris.callsSinceWake = 8
            iris.loads = 9
            iris.evictions = 10
            iris.demand = 11.5
            iris.score = 12.5
            iris.sinceEviction = .milliseconds(13)
            iris.evictedFor = "wine"
            iris.failure = "broken"
            iris.isMapped = true
            iris.promotedFor = .milliseconds(61)
            iris.promotedBytes = 62
            iris.promotionSaving = 0.63
            iris.isKeptWarm = true
            iris.idleLimit = .milliseconds(65)
            iris.promotionNote = "sent back"
            iris.calls = 70
            iris.failedCalls = 71
            iris.coldCalls = 72
            iris.waiting = 73
            iris.waking = 0.74
            iris.latency = LatencyDigest(first: 75, counts: [1, 0, 2])
            #expect(fleet.models.first == iris)
            let wine = fleet.models.last
            #expect(wine?.state.rawValue == "state 42", "a later gateway's state is taken")
            #expect(wine?.awakeFor == nil && wine?.sinceEviction == nil && wine?.loadTime == nil)
            #expect(wine?.sinceLastCall == .milliseconds(Int64.max))
            #expect(wine?.waking == nil && wine?.latency.total == 0, "no such bucket")
            var expected = FleetAccount()
            expected.models = fleet.models
            expected.anonymousBudget = 21
            expected.anonymousUsed = 22
            expected.mappedBudget = 23
            expected.mappedUsed = 24
            expected.calls = 25
            expected.coldCalls = 26
            expected.loadsLastHour = 27
            expected.loadsWarn = 60
            expected.uptime = .milliseconds(70)
            expected.queued = 71
            expected.running = 72
            expected.missCurve = [.init(extraBytes: 28, coldShare: 0.25)]
            #expect(fleet == expected)
            // What a gateway says of absurd times and counts is put into words all the same.
            for model in fleet.models { #expect(!fleet.explanation(of: model).isEmpty) }
            let accounts = try await client.account("iris", version: "2")
            #expect(accounts == fleet.models)
        }
        #expect(calls.map(\.header.method) == [.modelAccount, .modelAccount])
        #expect(calls.map(\.header.model) == ["", "iris"])
        #expect(calls.map(\.header.modelVersion) == ["", "2"])
        #expect(calls.allSatisfy { $0.payload.isEmpty })
    }

    /// To the gateway no name is every model: that must not come from an empty variable.
    @Test func noNameIsNotEveryModel() async throws {
        let calls = try await calls({ _ in Self.book() }) { client in
            let error = try await failure { _ = try await client.account("") }
            #expect(error.code == .invalidArgument)
        }
        #expect(calls.isEmpty)
    }
}

/// The calls a fake gateway got, in their order.
private final class Recorder: Sendable {
    private let taken = Mutex<[(header: Sluice_CallHeader, payload: [UInt8])]>([])

    var calls: [(header: Sluice_CallHeader, payload: [UInt8])] { taken.withLock { $0 } }

    func add(_ header: Sluice_CallHeader, _ payload: [UInt8]) {
        taken.withLock { $0.append((header, payload)) }
    }
}
