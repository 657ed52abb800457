// What a call costs in the door, printed; the test itself only checks that all were answered.

import BinaryDoor
import Contract
import NIOCore
import NIOEmbedded
import SluiceWire
import Testing

@Suite(.serialized) struct MeasureTests {
    private func reads(of calls: UInt32, depth: UInt32, header: Int, payload: Int) -> [ByteBuffer] {
        stride(from: UInt32(1), through: calls, by: Int(depth)).map { first in
            var bytes = ByteBuffer()
            for call in first..<(first + depth) {
                bytes.writeFrame(
                    Frame(
                        .call, [.end], call: call, header: ByteBuffer(repeating: 1, count: header),
                        payload: ByteBuffer(repeating: 2, count: payload)))
            }
            return bytes
        }
    }

    @Test("Frames in, machine, frames out, without protobuf, at depth 32")
    func framesAndMachine() throws {
        let calls: UInt32 = 320_000
        var decoder = FrameDecoder(.server)
        let start = Instant(nanoseconds: 1)
        var machine = ConnectionMachine(limits: Limits(), at: start)
        var hello = ByteBuffer()
        hello.writeFrame(Frame(.hello))
        decoder.append(hello)
        while let frame = try decoder.next() { _ = machine.receive(frame, at: start) }
        _ = machine.greet(minorMin: 0, minorMax: 0, frameWish: 0, idleWish: .zero)
        machine.greeted()
        let reads = reads(of: calls, depth: 32, header: 12, payload: 60)
        var out = ByteBuffer()
        var answered = 0
        let clock = ContinuousClock()
        let time = try clock.measure {
            for bytes in reads {
                decoder.append(bytes)
                while let frame = try decoder.next() {
                    guard
                        case .open(let slot, let call, _, let payload, _) = machine.receive(
                            frame, at: start)
                    else { continue }
                    machine.begin(slot, bytes: payload.readableBytes)
                    machine.finish(slot, workContinues: false)
                    var reply = out.openFrame(.reply, [.end], call: call)
                    out.closeHeader(of: &reply)
                    out.writeImmutableBuffer(payload)
                    out.closeFrame(reply)
                    answered += 1
                }
                machine.readEnded(insideFrame: decoder.isInsideFrame, sawFrames: true, at: start)
                out.clear()
            }
        }
        #expect(answered == Int(calls))
        print("measured: frames and machine \(time / Int(calls)) a call")
    }

    @Test("The whole handler with protobuf headers and an inline answer, at depth 32")
    func handler() throws {
        let bench = try Bench()
        bench.walk.keeps = false
        let answer = Answer.modelReady(true)
        bench.walk.behaviour = .answer { _ in .success(answer) }
        let rounds: UInt32 = 2_000
        var header = ByteBuffer()
        header = Bench.call(1).header
        let reads = (0..<rounds).map { round in
            var bytes = ByteBuffer()
            for index in UInt32(1)...32 {
                bytes.writeFrame(
                    Frame(
                        .call, [.end], call: round * 32 + index, header: header,
                        payload: ByteBuffer(repeating: 2, count: 60)))
            }
            return bytes
        }
        var written = 0
        let clock = ContinuousClock()
        let time = try clock.measure {
            for bytes in reads {
                try bench.channel.writeInbound(bytes)
                while let out = try bench.channel.readOutbound(as: ByteBuffer.self) {
                    written += out.readableBytes
                }
            }
        }
        #expect(written == Int(rounds) * 32 * (12 + 2))
        print("measured: handler with headers \(time / Int(rounds * 32)) a call")
    }
}
