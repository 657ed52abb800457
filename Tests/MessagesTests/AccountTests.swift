// MODEL_CONTROL and MODEL_ACCOUNT: what is said, what is refused, and against SwiftProtobuf field by field.

import Contract
import Messages
import NIOCore
import SluiceMessages
import SwiftProtobuf
import Testing

@Suite struct AccountTests {
    private let limits = Limits()

    private func question(_ message: ByteBuffer, _ method: Contract.Method) throws -> Question {
        try InferenceBody(method: method, message: message, limits: limits).question()
    }

    private func refusal(_ message: ByteBuffer, _ method: Contract.Method) -> CallFailure? {
        do {
            _ = try InferenceBody(method: method, message: message, limits: limits).question()
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        (ModelControl.sleep, Sluice_ModelControlRequest.Action.sleep), (.pin, .pin),
        (.unpin, .unpin), (.refresh, .refresh), (.unquarantine, .unquarantine),
    ])
    func actionsHaveTheirNumbers(
        control: ModelControl, action: Sluice_ModelControlRequest.Action
    ) throws {
        var request = Sluice_ModelControlRequest()
        request.action = action
        let bytes: [UInt8] = try request.serializedBytes()
        #expect(try question(embedded(bytes), .modelControl) == Question(control: control))
        let ours = encoded { Question(control: control).encode(for: .modelControl, into: &$0) }
        #expect(array(ours) == bytes)
    }

    @Test func anActionIsNeededAndKnown() throws {
        let none = try #require(refusal(ByteBuffer(), .modelControl))
        #expect(none.code == .invalidArgument && none.reason == .badMessage)
        #expect(
            refusal(RawMessage.make { $0.number(1, 0) }, .modelControl)?.code == .invalidArgument)
        for number: UInt64 in [6, 9, 1 << 31, .max] {
            let unknown = try #require(
                refusal(RawMessage.make { $0.number(1, number) }, .modelControl))
            #expect(unknown.code == .unimplemented, "\(number)")
        }
        #expect(refusal(embedded([0x08]), .modelControl)?.code == .invalidArgument)
        #expect(refusal(embedded([0x0A, 0x01, 0x01]), .modelControl) != nil, "not a number")
    }

    /// Later versions may put something in: it is skipped, as long as it is protobuf.
    @Test func theAccountsQuestionIsEmpty() throws {
        #expect(try question(ByteBuffer(), .modelAccount) == Question())
        #expect(try question(RawMessage.make { $0.text(1, "more") }, .modelAccount) == Question())
        #expect(refusal(embedded([0x0A, 0x7F]), .modelAccount)?.code == .invalidArgument)
        #expect(
            refusal(
                RawMessage.make { $0.delimited(1, Array(repeating: 0, count: 64 << 20)) },
                .modelAccount)?.code == .resourceExhausted)
    }

    @Test func everyStateHasItsNumber() throws {
        let states: [(ModelAccount.State, Sluice_ModelState)] = [
            (.asleep, .asleep), (.queued, .queued), (.loading, .loading), (.awake, .awake),
            (.leaving, .leaving), (.broken, .broken),
        ]
        #expect(states.map(\.0) == ModelAccount.State.allCases)
        for (ours, theirs) in states { #expect(Int(ours.rawValue) == theirs.rawValue) }
    }

    /// Every field under its own number, read by the other implementation.
    @Test func fieldsAreWhereTheyBelong() throws {
        var model = ModelAccount(name: "iris", version: "2", state: .awake)
        model.isPinned = true
        model.anonymousBytes = 1
        model.mappedBytes = 2
        model.loadPeakBytes = 3
        model.unreturnedBytes = 4
        model.loadTime = .microseconds(5)
        model.awakeFor = .milliseconds(6)
        model.sinceLastCall = .milliseconds(7)
        model.callsSinceWake = 8
        model.loads = 9
        model.evictions = 10
        model.demand = 11.5
        model.score = 12.5
        model.sinceEviction = .milliseconds(13)
        model.evictedFor = "wine"
        model.failure = "broken"
        model.isMapped = true
        model.promotedFor = .milliseconds(61)
        model.promotedBytes = 62
        model.promotionSaving = 0.63
        model.isKeptWarm = true
        model.idleMax = .milliseconds(65)
        model.promotionNote = "sent back"
        model.calls = 70
        model.failedCalls = 71
        model.coldCalls = 72
        model.waiting = 73
        model.waking = 0.74
        model.latency.first = 75
        model.latency.counts = [1, 0, 2]
        var fleet = FleetAccount()
        fleet.anonymousBudget = 21
        fleet.anonymousUsed = 22
        fleet.mappedBudget = 23
        fleet.mappedUsed = 24
        fleet.calls = 25
        fleet.coldCalls = 26
        fleet.loadsLastHour = 27
        fleet.loadsWarn = 60
        fleet.uptime = .milliseconds(70)
        fleet.queued = 71
        fleet.running = 72
        fleet.missCurve = [MissPoint(extraBytes: 28, coldShare: 0.25)]
        let message = encoded { AnswerEncoder.encode(.account(fleet, [model]), into: &$0) }
        let twin = try Sluice_ModelAccountResponse(serializedBytes: array(message))
        let read = try #require(twin.models.first)
        #expect(read.name == "iris" && read.version == "2" && read.state == .awake && read.pinned)
        #expect(
            [
                read.anonymousBytes, read.mappedBytes, read.loadPeakBytes, read.unreturnedBytes,
                read.loadUs, read.awakeMs, read.lastCallMsAgo, read.callsSinceWake, read.loads,
                read.evictions,
            ] == Array(1...10))
        #expect(read.demand == 11.5 && read.score == 12.5 && read.evictedMsAgo == 13)
        #expect(read.evictedFor == "wine" && read.failure == "broken")
        #expect(read.mapped && read.keptWarm && read.promotionNote == "sent back")
        #expect([read.promotedMs, read.promotedBytes, read.idleMs] == [61, 62, 65])
        #expect(read.promotionSaving == 0.63 && twin.fleet.loadsWarn == 60)
        #expect([read.calls, read.failedCalls, read.coldCalls] == [70, 71, 72])
        #expect(read.waiting == 73 && read.waking == 0.74)
        #expect(read.latencyFirst == 75 && read.latencyCounts == [1, 0, 2])
        let whole = twin.fleet
        #expect(whole.uptimeMs == 70 && whole.queued == 71 && whole.running == 72)
        #expect(
            [
                whole.anonymousBudget, whole.anonymousUsed, whole.mappedBudget, whole.mappedUsed,
                whole.calls, whole.coldCalls, whole.loadsLastHour,
            ] == Array(21...27))
        #expect(whole.missCurve.map(\.extraBytes) == [28])
        #expect(whole.missCurve.map(\.coldShare) == [0.25])
    }

    /// 0 is "never" on the wire, so what happened within this millisecond is 1.
    @Test(
        arguments: [
            (nil, 0), (Nanoseconds.zero, 1), (Nanoseconds(1), 1), (.milliseconds(1), 1),
            (Nanoseconds(1_000_001), 2), (Nanoseconds(.max), 18_446_744_073_710),
        ] as [(Nanoseconds?, UInt64)])
    func timesAreRoundedUp(time: Nanoseconds?, milliseconds: UInt64) throws {
        var model = ModelAccount(name: "m", version: "1", state: .awake)
        model.awakeFor = time
        model.sinceLastCall = time
        model.sinceEviction = time
        let message = encoded {
            AnswerEncoder.encode(.account(FleetAccount(), [model]), into: &$0)
        }
        let twin = try Sluice_ModelAccountResponse(serializedBytes: array(message))
        let read = try #require(twin.models.first)
        #expect(
            [read.awakeMs, read.lastCallMsAgo, read.evictedMsAgo]
                == [milliseconds, milliseconds, milliseconds])
    }

    @Test func whatIsNoNumberIsRefused() throws {
        for value in [Double.nan, .infinity, -.infinity, -0.5] {
            var twin = Sluice_ModelAccountResponse()
            var model = Sluice_ModelAccount()
            model.state = .awake
            model.demand = value
            twin.models = [model]
            let bytes: [UInt8] = try twin.serializedBytes()
            #expect(throws: MessageFault.self) {
                try AnswerDecoder.decode(embedded(bytes), for: .modelAccount, limits: limits)
            }
        }
        var twin = Sluice_ModelAccountResponse()
        var point = Sluice_MissPoint()
        point.coldShare = 1.5
        twin.fleet.missCurve = [point]
        let bytes: [UInt8] = try twin.serializedBytes()
        #expect(throws: MessageFault.self) {
            try AnswerDecoder.decode(embedded(bytes), for: .modelAccount, limits: limits)
        }
    }

    /// As many models as a gateway is meant to hold: one message, below the limit of a message.
    @Test func tenThousandModels() throws {
        var random = Seeded(29)
        let models = (0..<10_000).map { _ in random.modelAccount() }
        let answer = Answer.account(random.fleetAccount(), models)
        let message = encoded { AnswerEncoder.encode(answer, into: &$0) }
        #expect(message.readableBytes < 4 << 20)
        #expect(try AnswerDecoder.decode(message, for: .modelAccount, limits: limits) == answer)
    }
}
