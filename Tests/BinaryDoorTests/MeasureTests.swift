// What a call costs in the door, printed; the test itself only checks that all were answered.

import BinaryDoor
import Contract
import Glibc
import NIOCore
import NIOEmbedded
import SluiceWire
import Testing

@Suite(.serialized) struct MeasureTests {
    /// 32 calls that lie in one read; `renumber` makes the next read of them.
    private func read(header: ByteBuffer, payload: Int) -> ByteBuffer {
        var bytes = ByteBuffer()
        for call in UInt32(1)...32 {
            bytes.writeFrame(
                Frame(
                    .call, .end, call: call, header: header,
                    payload: ByteBuffer(repeating: 2, count: payload)))
        }
        return bytes
    }

    /// Processor time of this process, which is the test's when nothing else was asked for.
    private func cost(since begun: clock_t, calls: Int) -> String {
        "\((clock() - begun) * 1_000 / calls) ns of processor time a call"
    }

    private func renumber(_ template: ByteBuffer, from first: UInt32) -> ByteBuffer {
        var bytes = template
        let frame = template.readableBytes / 32
        for index in 0..<32 {
            bytes.setInteger(first + UInt32(index), at: index * frame + 8)
        }
        return bytes
    }

    @Test("Frames in, machine, frames out, without protobuf, at depth 32")
    func framesAndMachine() throws {
        let calls: UInt32 = 640_000
        var decoder = FrameDecoder(.server)
        let start = Instant(nanoseconds: 1)
        var machine = ConnectionMachine(limits: Limits(), at: start)
        var hello = ByteBuffer()
        hello.writeFrame(Frame(.hello))
        decoder.append(hello)
        while let frame = try decoder.next() { _ = machine.receive(frame, at: start) }
        _ = machine.greet(minorMin: 0, minorMax: 0, frameWish: 0, idleWish: .zero)
        machine.greeted()
        let template = read(header: ByteBuffer(repeating: 1, count: 12), payload: 60)
        var out = ByteBuffer()
        var answered = 0
        let begun = clock()
        do {
            for first in stride(from: UInt32(1), through: calls, by: 32) {
                decoder.append(renumber(template, from: first))
                while let frame = try decoder.next() {
                    guard
                        case .open(let slot, let call, _, let payload, _) = machine.receive(
                            frame, at: start)
                    else { continue }
                    machine.begin(slot, bytes: payload.readableBytes)
                    machine.finish(slot, workContinues: false)
                    var reply = out.openFrame(.reply, .end, call: call)
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
        print("measured: frames and machine, \(cost(since: begun, calls: Int(calls)))")
    }

    @Test("The whole handler with protobuf headers and an inline answer, at depth 32")
    func handler() throws {
        let bench = try Bench()
        bench.walk.keeps = false
        let answer = Answer.modelReady(true)
        bench.walk.behaviour = .answer { _ in .success(answer) }
        let rounds: UInt32 = 10_000
        let template = read(header: Bench.call(1).header, payload: 60)
        var written = 0
        let begun = clock()
        do {
            for round in 0..<rounds {
                try bench.channel.writeInbound(renumber(template, from: round * 32 + 1))
                while let out = try bench.channel.readOutbound(as: ByteBuffer.self) {
                    written += out.readableBytes
                }
            }
        }
        #expect(written == Int(rounds) * 32 * (12 + 2))
        print("measured: handler with headers, \(cost(since: begun, calls: Int(rounds) * 32))")
    }
}
