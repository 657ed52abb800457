// Requests as bytes, the queue, and what follows from an answer.

import Contract
import Testing
import Traces

@Suite struct ExportRequestTests {
    private let resource = TraceResource(service: "s", version: "1", instance: "i")

    /// Written by hand from trace.proto.
    @Test func theBytesOfOneSpan() {
        var span = TraceSpan(
            trace: [UInt8](repeating: 0xAA, count: 16), identifier: [1, 2, 3, 4, 5, 6, 7, 8],
            name: "run", start: 1, end: 0x0102_0304_0506_0708)
        span.parent = [8, 7, 6, 5, 4, 3, 2, 1]
        span.isRemote = true
        span.kind = .server
        span.attributes = [("k", .number(-1)), ("e", .text("")), ("f", .flag(false))]
        span.status = .error("W")
        var message: [UInt8] = [0x0A, 16] + [UInt8](repeating: 0xAA, count: 16)
        message += [0x12, 8, 1, 2, 3, 4, 5, 6, 7, 8]
        message += [0x22, 8, 8, 7, 6, 5, 4, 3, 2, 1]
        message += [0x2A, 3] + Array("run".utf8)
        message += [0x30, 2]
        message += [0x39, 1, 0, 0, 0, 0, 0, 0, 0]
        message += [0x41, 8, 7, 6, 5, 4, 3, 2, 1]
        message += [0x4A, 16, 0x0A, 1, 0x6B, 0x12, 11, 0x18]
        message += [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]
        message += [0x4A, 7, 0x0A, 1, 0x65, 0x12, 2, 0x0A, 0]
        message += [0x4A, 7, 0x0A, 1, 0x66, 0x12, 2, 0x10, 0]
        message += [0x7A, 5, 0x12, 1, 0x57, 0x18, 2]
        message += [0x85, 0x01, 0x01, 0x03, 0, 0]
        let bytes = ExportRequest.bytes([span], of: resource)
        // The last thing in the last message.
        #expect(Array(bytes.suffix(message.count)) == message)
        #expect(Array(bytes.dropLast(message.count).suffix(2)) == [0x12, UInt8(message.count)])
        #expect(bytes.first == 0x0A && bytes.count < 0x7F + 200)
    }

    @Test func anAnswerSaysHowManyWereNotTaken() {
        #expect(ExportResponse([])?.rejected == 0)
        #expect(ExportResponse([0x0A, 2, 0x08, 7])?.rejected == 7)
        #expect(ExportResponse([0x0A, 5, 0x08, 7, 0x12, 1, 0x78])?.rejected == 7)
        #expect(ExportResponse([0x0A, 3, 0x12, 1, 0x78])?.rejected == 0)
        #expect(
            ExportResponse([0x10, 1, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4])?.rejected
                == 0)
        // Less than none.
        let negative: [UInt8] = [0x0A, 11, 0x08] + [UInt8](repeating: 0xFF, count: 9) + [1]
        #expect(ExportResponse(negative)?.rejected == 0)
    }

    @Test(
        arguments: [
            [0x0A], [0x0A, 5, 1], [0x08], [0x08, 0x80], [0x0B], [0x00, 1], Array("<html>".utf8),
            [0x0A, 2, 0x0A, 9], [UInt8](repeating: 0xFF, count: 40),
        ] as [[UInt8]])
    func whatIsNoAnswerIsNone(_ bytes: [UInt8]) { #expect(ExportResponse(bytes) == nil) }

    @Test func anyBytesAreReadOrNot() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Seeded(seed)
        var read = 0
        for _ in 0..<5_000 {
            let bytes = (0..<Int(random.next() % 24)).map { _ in
                UInt8(truncatingIfNeeded: random.next() >> (random.next() % 8))
            }
            if ExportResponse(bytes) != nil { read += 1 }
        }
        #expect(read > 0, "seed \(seed)")
    }
}

@Suite struct TraceQueueTests {
    @Test func itHoldsSoMuchAndCountsTheRest() {
        let queue = TraceQueue(callsMax: 5, batch: 2)
        let full = (0..<7).map { _ in queue.add(record()) }
        #expect(full == [false, true, false, true, false, false, false])
        #expect(queue.hasBatch)
        #expect(queue.counts.droppedQueue == 2 && queue.counts.waiting == 5)
        let taken = queue.take()
        #expect(taken.count == 5 && !queue.hasBatch && queue.take().isEmpty)
        // What is being sent takes room too.
        #expect(!queue.add(record()))
        #expect(queue.counts.droppedQueue == 3)
        queue.settled(4) { $0.exportedCalls += 4 }
        #expect(!queue.add(record()) && queue.add(record()))
        #expect(queue.counts.exportedCalls == 4 && queue.counts.waiting == 3)
    }

    @Test func whatTheCallerWroteIsNotKept() {
        let queue = TraceQueue(callsMax: 5, batch: 2)
        _ = queue.add(record())
        #expect(queue.take().allSatisfy { $0.asked == ("", "") })
    }
}

@Suite struct ExportPlanTests {
    private func steps(_ outcomes: [ExportOutcome], chance: Double = 0) -> [ExportPlan.Step] {
        var plan = ExportPlan()
        return outcomes.map { plan.ended($0, chance: chance) }
    }

    @Test func whatIsTakenIsDone() {
        #expect(steps([.taken(rejected: 0)]) == [.done(rejected: 0)])
        #expect(steps([.unreachable, .taken(rejected: 3)]).last == .done(rejected: 3))
    }

    @Test(arguments: [429, 502, 503, 504] as [UInt]) func someStatusesAreTriedAgain(_ code: UInt) {
        #expect(
            steps([.status(code, retryAfter: nil)]) == [.wait(.milliseconds(500))])
        #expect(steps([.status(code, retryAfter: .seconds(7))]) == [.wait(.seconds(7))])
        // Not sooner than we would ourselves.
        #expect(steps([.status(code, retryAfter: .zero)]) == [.wait(.milliseconds(500))])
    }

    @Test(
        arguments: [300, 301, 302, 307, 308, 400, 401, 403, 404, 413, 415, 500, 501, 204] as [UInt])
    func othersAreTheLastWord(_ code: UInt) {
        #expect(steps([.status(code, retryAfter: .seconds(1))]) == [.drop(.refused(code))])
    }

    @Test func waitsDoubleAndEnd() {
        let lost = steps(Array(repeating: .unreachable, count: 6))
        #expect(
            lost == [
                .wait(.milliseconds(500)), .wait(.seconds(1)), .wait(.seconds(2)),
                .wait(.seconds(4)), .wait(.seconds(8)), .drop(.unreachable),
            ])
        let late = steps(Array(repeating: .unreachable, count: 6), chance: 0.999_999)
        for (early, late) in zip(lost, late) {
            guard case .wait(let early) = early, case .wait(let late) = late else { continue }
            #expect(late > early && late.count <= early.count * 2)
        }
    }

    @Test func aCollectorThatWantsTooMuchPatienceLoses() {
        #expect(steps([.status(503, retryAfter: .seconds(61))]) == [.drop(.unreachable)])
        #expect(
            steps(Array(repeating: .status(429, retryAfter: .seconds(40)), count: 2))
                == [.wait(.seconds(40)), .drop(.unreachable)])
    }
}
