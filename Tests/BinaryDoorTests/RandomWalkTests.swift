// The machine against a model of it that is too simple to be wrong, over long seeded walks.

import BinaryDoor
import Contract
import NIOCore
import SluiceWire
import Testing

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Chance: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<max(bound, 1), using: &self) }
}

/// A call as the model sees it.
private struct ModelCall {
    enum State { case assembling, running, windingDown, gone }
    var slot = -1
    var state = State.gone
    var halfOpen = false
    var cancelled = false
    var total = 0
    var received = 0
    var answers = 0
    /// When it was answered before its END, counted in such answers.
    var early: Int?
}

private struct Walk {
    var chance: Chance
    var limits: Limits
    var machine: ConnectionMachine
    var now = Instant(nanoseconds: 1_000_000_000)
    var calls: [UInt32: ModelCall] = [:]
    var open: [UInt32] = []
    var last: UInt32 = 0
    var answeredEarly = 0

    init(seed: UInt64) {
        chance = Chance(seed: seed)
        limits = Limits()
        limits.callsPerConnection = 8
        limits.bufferedBytes = 1_000
        limits.messageBytes = 600
        limits.controlFrameBurst = 100_000_000
        machine = ConnectionMachine(limits: limits, at: now)
        act(machine.receive(Frame(.hello), at: now))
    }

    func slotsTaken() -> Int { open.count { calls[$0]?.state != .gone } }
    func bytes(_ state: ModelCall.State) -> Int {
        open.reduce(0) { $0 + (calls[$1]?.state == state ? calls[$1]?.total ?? 0 : 0) }
    }

    mutating func step() {
        now = now + .microseconds(UInt64(chance.below(1_000)))
        switch chance.below(10) {
        case 0...2: call()
        case 3...5: data()
        case 6: cancel()
        case 7...8: finish()
        default: workEnded()
        }
        while true {
            let step = machine.tick(at: now)
            if case .nothing = step { break }
            act(step)
        }
        for call in open where calls[call]?.state == .gone && calls[call]?.halfOpen == false {
            open.removeAll { $0 == call }
            calls[call] = nil
        }
        // The machine remembers the last 256 calls that were answered before their END: no client is so
        // far behind, and the model's is not either.
        for call in open where calls[call]?.state == .gone && calls[call]?.early == nil {
            calls[call]?.early = answeredEarly
            answeredEarly += 1
        }
        if let oldest = open.first(where: {
            answeredEarly - (calls[$0]?.early ?? answeredEarly) > 200
        }) {
            receive(Frame(.data, [.end], call: oldest))
            calls[oldest] = nil
            open.removeAll { $0 == oldest }
        }
    }

    mutating func receive(_ frame: Frame) { act(machine.receive(frame, at: now)) }

    private mutating func call() {
        last += UInt32(1 + chance.below(3))
        let total = chance.below(700)
        let first = chance.below(total + 1)
        let isWhole = chance.below(2) == 0
        let ends = isWhole && chance.below(2) == 0
        var call = ModelCall()
        call.total = total
        call.received = isWhole ? total : first
        call.halfOpen = !ends
        calls[last] = call
        open.append(last)
        receive(
            Frame(
                .call, isWhole ? (ends ? [.end] : []) : [.more], call: last,
                header: ByteBuffer(integer: UInt64(total)),
                payload: ByteBuffer(repeating: 0, count: isWhole ? total : first)))
    }

    private mutating func data() {
        let candidates = open.filter { calls[$0]?.halfOpen == true }
        guard !candidates.isEmpty else { return }
        let id = candidates[chance.below(candidates.count)]
        guard var call = calls[id] else { return }
        let missing = call.total - call.received
        // Mostly right, sometimes too much or too little.
        let count = chance.below(8) == 0 ? chance.below(900) : chance.below(missing + 1)
        let isLast = count >= missing ? chance.below(4) > 0 : chance.below(20) == 0
        let ends = isLast && chance.below(2) == 0
        call.received += count
        if ends { call.halfOpen = false }
        calls[id] = call
        receive(
            Frame(
                .data, isLast ? (ends ? [.end] : []) : [.more], call: id,
                payload: ByteBuffer(repeating: 0, count: count)))
    }

    private mutating func cancel() {
        guard last > 0 else { return }
        let id = UInt32(1 + chance.below(Int(last)))
        calls[id]?.halfOpen = false
        receive(Frame(.cancel, call: id))
    }

    private mutating func finish() {
        let running = open.filter { calls[$0]?.state == .running }
        guard !running.isEmpty else { return }
        let id = running[chance.below(running.count)]
        let continues = chance.below(3) == 0
        guard let slot = calls[id]?.slot else { return }
        machine.finish(slot, workContinues: continues)
        calls[id]?.state = continues ? .windingDown : .gone
        calls[id]?.answers += 1
    }

    private mutating func workEnded() {
        let winding = open.filter { calls[$0]?.state == .windingDown }
        guard !winding.isEmpty else { return }
        let id = winding[chance.below(winding.count)]
        guard let slot = calls[id]?.slot else { return }
        machine.workEnded(slot)
        calls[id]?.state = .gone
    }

    private mutating func act(_ step: Step) {
        switch step {
        case .nothing, .acknowledge, .authenticate, .announceDrain, .nameLastCall: break
        case .greet:
            _ = machine.greet(minorMin: 0, minorMax: 0, frameWish: 0, idleWish: .zero)
            machine.greeted()
        case .open(let slot, let call, let header, let payload, let more):
            #expect(slotsTaken() < limits.callsPerConnection)
            #expect(calls.values.allSatisfy { $0.state == .gone || $0.slot != slot })
            calls[call]?.slot = slot
            let total = header.getInteger(at: 0, as: UInt64.self) ?? 0
            guard more else {
                machine.begin(slot, bytes: payload.readableBytes)
                calls[call]?.state = .running
                return
            }
            do throws(CallFailure) {
                try machine.assemble(
                    slot, length: total, first: payload, deadline: now + .seconds(1), at: now)
                calls[call]?.state = .assembling
            } catch {
                machine.refuse(slot)
                calls[call]?.answers += 1
            }
        case .begin(let slot, let message):
            let id = machine.calls[slot].call
            #expect(calls[id]?.state == .assembling)
            #expect(calls[id]?.total == message.readableBytes)
            calls[id]?.state = .running
        case .refuse(let call, let failure):
            #expect(failure.notStarted)
            #expect(slotsTaken() == limits.callsPerConnection)
            calls[call]?.answers += 1
        case .fail(let slot, let call, _):
            #expect(calls[call]?.state == .assembling)
            #expect(calls[call]?.slot == slot)
            calls[call]?.state = .gone
            calls[call]?.answers += 1
        case .cancel(let slot):
            let id = machine.calls[slot].call
            #expect(calls[id]?.state == .running)
            #expect(calls[id]?.cancelled == false)
            calls[id]?.cancelled = true
        case .overrule(let slot, _):
            let id = machine.calls[slot].call
            #expect(calls[id]?.state == .running)
            calls[id]?.cancelled = true
        case .cancelAnswer(let call):
            #expect(calls[call]?.state != .assembling && calls[call]?.state != .running)
        case .end(let ending): Issue.record("ended: \(ending.reason)")
        case .stop: Issue.record("nobody asked to stop")
        }
    }
}

@Suite struct RandomWalkTests {
    @Test(
        "Slots and bytes never leak; a call is answered at most once",
        arguments: [
            UInt64(1), 22, 333, 4_444,
        ])
    func walks(seed: UInt64) {
        var walk = Walk(seed: seed)
        for step in 0..<25_000 {
            walk.step()
            guard walk.machine.phase == .open else { break }
            #expect(walk.machine.calls.count == walk.slotsTaken(), "seed \(seed), step \(step)")
            #expect(walk.machine.reservedBytes == walk.bytes(.assembling), "seed \(seed) \(step)")
            #expect(
                walk.machine.heldBytes == walk.bytes(.running) + walk.bytes(.windingDown),
                "seed \(seed), step \(step)")
            #expect(
                walk.machine.unanswered
                    == walk.open.count {
                        walk.calls[$0]?.state == .running || walk.calls[$0]?.state == .assembling
                    }, "seed \(seed), step \(step)")
            #expect(walk.calls.values.allSatisfy { $0.answers <= 1 })
            #expect(walk.machine.reservedBytes <= walk.limits.bufferedBytes)
        }
        #expect(walk.machine.phase == .open)
        #expect(walk.last > 1_000)
    }
}
