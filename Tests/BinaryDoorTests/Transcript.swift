// Readable transcripts of the machine: what comes in and what happens, one line each.

import BinaryDoor
import Contract
import NIOCore
import SluiceWire

/// Runs a transcript. Lines that begin with `->`, `finish`, `ended`, `time`, `drain`, `stop` or `blocked` are
/// events; all others are what the machine must answer to the event before them.
///
///     -> CALL 7 MORE 10 of 30      a CALL of ten bytes, message_length 30
///     begin 7 (30)                 the walk gets call 7 with 30 bytes
///     finish 7 working             the walk answers, its work goes on
///     <- REPLY 7 END OK
struct Transcript {
    var machine: ConnectionMachine
    private var decoder = FrameDecoder(.server)
    private var now = Instant(nanoseconds: 1_000_000_000_000)
    private var lines: [String] = []
    private var slots: [UInt32: Int] = [:]

    init(limits: Limits = Limits()) {
        machine = ConnectionMachine(limits: limits, at: now)
    }

    /// The transcript as it really goes; equal to `script` when the machine does what it says.
    static func run(_ script: String, limits: Limits = Limits()) throws -> String {
        var transcript = Transcript(limits: limits)
        for line in script.split(separator: "\n").map(String.init) {
            guard isEvent(line) else { continue }
            transcript.lines.append(line)
            try transcript.play(line)
        }
        return transcript.lines.joined(separator: "\n")
    }

    private static func isEvent(_ line: String) -> Bool {
        ["->", "finish", "ended", "time", "drain", "stop", "blocked", "refuse"].contains {
            line.hasPrefix($0)
        }
    }

    private mutating func play(_ line: String) throws {
        let words = line.split(separator: " ").map(String.init)
        switch words[0] {
        case "->": receive(frame(words))
        case "finish":
            let call = UInt32(words[1]) ?? 0
            guard let slot = slots[call] else { return }
            machine.finish(slot, workContinues: words.last == "working")
            lines.append("<- REPLY \(call) END OK")
            closeIfSpent()
        case "ended":
            let call = UInt32(words[1]) ?? 0
            guard let slot = slots[call] else { return }
            machine.workEnded(slot)
        case "refuse":
            let call = UInt32(words[1]) ?? 0
            guard let slot = slots[call] else { return }
            machine.refuse(slot)
        case "time":
            now = now + .milliseconds(UInt64(words[1]) ?? 0)
            while true {
                let step = machine.tick(at: now)
                if case .nothing = step { break }
                act(step)
            }
        case "drain": act(machine.drain(within: .milliseconds(UInt64(words[1]) ?? 0), at: now))
        case "stop": act(machine.stop())
        case "blocked": machine.writability(false, at: now)
        default: preconditionFailure("no event: \(line)")
        }
    }

    /// `CALL 1 END 10`, `CALL 1 MORE 10 of 30`, `PING 1`, `DATA 1 END 5`, `HELLO`, ...
    private func frame(_ words: [String]) -> Frame {
        var flags: FrameFlags = []
        if words.contains("END") { flags.insert(.end) }
        if words.contains("MORE") { flags.insert(.more) }
        if words.contains("ACK") { flags.insert(.ack) }
        let numbers = words.dropFirst(2).compactMap { Int($0) }
        let call = UInt32(numbers.first ?? 0)
        let payload = ByteBuffer(repeating: 0, count: numbers.dropFirst().first ?? 0)
        switch words[1] {
        case "HELLO": return Frame(.hello, header: ByteBuffer(integer: numbers.first ?? 0))
        case "CALL":
            let total = UInt64(numbers.dropFirst(2).first ?? 0)
            return Frame(
                .call, flags, call: call, header: ByteBuffer(integer: total), payload: payload)
        case "DATA": return Frame(.data, flags, call: call, payload: payload)
        case "CANCEL": return Frame(.cancel, call: call)
        case "PING": return Frame(.ping, flags, payload: ByteBuffer(integer: UInt64(call)))
        case "PROBE": return Frame(.ping, [.ack], payload: ConnectionMachine.drainProbe)
        case "AUTH": return Frame(.auth)
        case "GOAWAY": return Frame(.goAway)
        default: return Frame(.extension(0x40))
        }
    }

    private mutating func receive(_ frame: Frame) {
        var bytes = ByteBuffer()
        bytes.writeFrame(frame)
        decoder.append(bytes)
        do throws(WireFault) {
            while let frame = try decoder.next() { act(machine.receive(frame, at: now)) }
        } catch {
            act(machine.end(error))
        }
        machine.readEnded(insideFrame: decoder.isInsideFrame, sawFrames: true, at: now)
        closeIfSpent()
    }

    private mutating func act(_ step: Step) {
        switch step {
        case .nothing: break
        case .greet(let header):
            let minor = header.getInteger(at: 0, as: Int.self) ?? 0
            let next = machine.greet(
                minorMin: UInt32(minor), minorMax: UInt32(minor), frameWish: 0, idleWish: .zero)
            act(next)
            guard case .nothing = next else { return }
            machine.greeted()
            lines.append("<- HELLO")
        case .open(let slot, let call, let header, let payload, let more):
            slots[call] = slot
            guard more else {
                machine.begin(slot, bytes: payload.readableBytes)
                lines.append("begin \(call) (\(payload.readableBytes))")
                return
            }
            do throws(CallFailure) {
                try machine.assemble(
                    slot, length: header.getInteger(at: 0, as: UInt64.self) ?? 0, first: payload,
                    deadline: now + .seconds(60), at: now)
            } catch {
                machine.refuse(slot)
                reply(call, error)
            }
        case .begin(let slot, let message):
            lines.append("begin \(machine.calls[slot].call) (\(message.readableBytes))")
        case .refuse(let call, let failure): reply(call, failure)
        case .fail(_, let call, let failure): reply(call, failure)
        case .cancel(let slot): lines.append("cancel \(machine.calls[slot].call)")
        case .overrule(let slot, let failure):
            lines.append("overrule \(machine.calls[slot].call) \(failure.code.name)")
        case .cancelAnswer(let call): lines.append("drop \(call)")
        case .authenticate:
            lines.append("authenticate")
        case .acknowledge: lines.append("<- PING ACK")
        case .announceDrain:
            lines.append("<- GOAWAY open no more")
            lines.append("<- PING")
        case .nameLastCall(let call, _): lines.append("<- GOAWAY last \(call)")
        case .end(let ending):
            lines.append("<- GOAWAY \(ending.code): \(ending.reason)")
            lines.append("close")
        case .stop:
            for entry in machine.calls.entries where entry.phase != .free {
                if entry.phase != .windingDown { reply(entry.call, .stoppingForTests) }
            }
            lines.append("close")
        }
    }

    private mutating func reply(_ call: UInt32, _ failure: CallFailure) {
        lines.append("<- REPLY \(call) END \(failure.code.name) \(failure.reason.rawValue)")
    }

    private mutating func closeIfSpent() {
        guard machine.isSpent, machine.phase != .ended else { return }
        machine.close()
        lines.append("close")
    }
}

extension CallFailure {
    static let stoppingForTests = CallFailure(.unavailable, .stopping, "stopping")
}
