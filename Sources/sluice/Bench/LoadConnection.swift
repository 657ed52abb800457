// One connection of the load generator: frames out, answers in, the time between. Nothing else is done per
// call, so that the generator is not what is measured.

import NIOCore
import SluiceMessages
import SluiceWire
import SwiftProtobuf

/// Handler behind the client's TLS. Greets, waits to be started, keeps calls in flight, and delivers its
/// result once.
final class LoadConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case greeting
        case waiting
        case running
        /// Sends no more, waits for the last answers.
        case finishing
        case over
    }

    /// More slots than calls can be open, a power of two.
    private static let slots = 8_192

    private let plan: LoadPlan
    private let greeted: EventLoopPromise<Void>
    private let finished: EventLoopPromise<LoadResult>
    private var phase = Phase.greeting
    private var decoder = FrameDecoder(.client, limits: WireLimits(frameBytes: 16 << 20))
    private var result = LoadResult()
    /// When the call in this slot was (or should have been) sent, in nanoseconds; 0 when the slot is free.
    private var sent = [UInt64](repeating: 0, count: LoadConnection.slots)
    private var lastCall: UInt32 = 0
    private var open = 0
    /// The companion's open call and when it was sent; 0 when there is none.
    private var companion: UInt32 = 0
    private var companionSent: UInt64 = 0
    private var from: UInt64 = 0
    private var until: UInt64 = 0
    /// Open loop: when the next call is due, and the time between two.
    private var due: UInt64 = 0
    private var interval: UInt64 = 0
    private var context: ChannelHandlerContext?
    /// Long calls that are being sent, each with its next frame.
    private var long: [(call: UInt32, frame: Int)] = []
    private var isPumpScheduled = false

    init(
        plan: LoadPlan, greeted: EventLoopPromise<Void>, finished: EventLoopPromise<LoadResult>
    ) {
        self.plan = plan
        self.greeted = greeted
        self.finished = finished
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(plan.hello), promise: nil)
        context.fireChannelActive()
    }

    /// Begins to send. The measured time starts after the warm-up.
    func start(at instant: NIODeadline, offset: Int) {
        guard phase == .waiting, let context else { return }
        phase = .running
        from = (instant + plan.warmUp).uptimeNanoseconds
        until = (instant + plan.warmUp + plan.duration).uptimeNanoseconds
        let loop = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(deadline: .uptimeNanoseconds(until)) {
            loop.value.finish()
        }
        sendCompanion(now: instant.uptimeNanoseconds)
        guard let rate = plan.rate else {
            fill(now: instant.uptimeNanoseconds)
            return
        }
        interval = max(1, UInt64(Double(plan.connections) / rate * 1e9))
        // Connections take turns instead of firing together.
        due = instant.uptimeNanoseconds + interval * UInt64(offset) / UInt64(plan.connections)
        pace()
    }

    /// Closed loop: as many calls as may be open.
    private func fill(now: UInt64) {
        guard phase == .running, let context, open < plan.inFlight else { return }
        let count = plan.inFlight - open
        var buffer = context.channel.allocator.buffer(capacity: count * plan.call.byteCount)
        for _ in 0..<count { send(at: now, into: &buffer) }
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    /// Open loop: sends every call that is due. A call that could not be sent in time is still counted from
    /// when it was due: a slow server cannot hide behind a generator that waits for it.
    private func pace() {
        guard phase == .running, let context else { return }
        let now = NIODeadline.now().uptimeNanoseconds
        sendDue(now: now)
        let loop = NIOLoopBound(self, eventLoop: context.eventLoop)
        // When one is due and all are open, an answer sends it. Never in the past: such tasks run before the sockets are asked, and
        // a generator that is late would read no answers any more.
        let next = due > now ? due : now + 1_000_000
        context.eventLoop.scheduleTask(deadline: .uptimeNanoseconds(next)) { loop.value.pace() }
    }

    private func sendDue(now: UInt64) {
        guard phase == .running, let context, due <= now, open < plan.inFlight else { return }
        var buffer = context.channel.allocator.buffer(capacity: plan.call.byteCount)
        while due <= now, open < plan.inFlight {
            send(at: due, into: &buffer)
            due += interval
        }
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    private func sendCompanion(now: UInt64) {
        guard phase == .running, companion == 0, let template = plan.companion, let context else {
            return
        }
        lastCall += 1
        companion = lastCall
        companionSent = now
        decoder.opened(companion)
        var buffer = context.channel.allocator.buffer(capacity: template.byteCount)
        template.write(frame: 0, of: companion, into: &buffer)
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    private func send(at instant: UInt64, into buffer: inout ByteBuffer) {
        // Ids only grow but may skip: one whose slot is still taken by a slow call is left out.
        repeat { lastCall += 1 } while sent[slot(lastCall)] != 0
        sent[slot(lastCall)] = instant
        open += 1
        decoder.opened(lastCall)
        // The first frame goes at once: ids may only grow on the wire.
        plan.call.write(frame: 0, of: lastCall, into: &buffer)
        if plan.call.frameCount > 1 {
            long.append((lastCall, 1))
            pumpLater()
        }
    }

    /// Sends one frame of a long call at a time, as far as the socket takes them, so that a small call can pass.
    private func pump() {
        guard let context, context.channel.isWritable, !long.isEmpty else { return }
        var (call, frame) = long.removeFirst()
        var buffer = context.channel.allocator.buffer(capacity: 264 << 10)
        plan.call.write(frame: frame, of: call, into: &buffer)
        frame += 1
        if frame < plan.call.frameCount { long.append((call, frame)) }
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        if !long.isEmpty { pumpLater() }
    }

    private func pumpLater() {
        guard !isPumpScheduled, let context else { return }
        isPumpScheduled = true
        let loop = NIOLoopBound(self, eventLoop: context.eventLoop)
        // Not a task: the loop would run it before it reads what has come.
        context.eventLoop.scheduleTask(in: .microseconds(20)) {
            loop.value.isPumpScheduled = false
            loop.value.pump()
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        pump()
        context.fireChannelWritabilityChanged()
    }

    private func slot(_ call: UInt32) -> Int { Int(call) & (LoadConnection.slots - 1) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let now = NIODeadline.now().uptimeNanoseconds
        decoder.append(unwrapInboundIn(data))
        do {
            while let frame = try decoder.next() { try take(frame, now: now) }
        } catch {
            fail("\(error)")
            return
        }
        sendCompanion(now: now)
        if plan.rate == nil { fill(now: now) } else { sendDue(now: now) }
        if phase == .finishing, open == 0 { deliver() }
    }

    private func take(_ frame: Frame, now: UInt64) throws {
        switch frame.type {
        case .hello: try welcome(frame)
        case .reply:
            if frame.header.getInteger(at: frame.header.readerIndex, as: UInt8.self) == 0x0A {
                // Field 1 of ReplyHeader, `status`: the call has failed.
                let header = try Sluice_ReplyHeader(
                    serializedBytes: Array(frame.header.readableBytesView))
                complete(frame.call, now: now, failure: header.status)
            } else if frame.flags.contains(.end) {
                complete(frame.call, now: now, failure: nil)
            }
        case .data:
            if frame.flags.contains(.end) { complete(frame.call, now: now, failure: nil) }
        case .goAway:
            let goodbye = try Sluice_GoAway(serializedBytes: Array(frame.header.readableBytesView))
            fail("GOAWAY: \(goodbye.reason)")
        default: break
        }
    }

    private func welcome(_ frame: Frame) throws {
        let hello = try Sluice_ServerHello(serializedBytes: Array(frame.header.readableBytesView))
        if hello.auth.hasStatus {
            throw LoadFailure(status: hello.auth.status)
        }
        phase = .waiting
        greeted.succeed(())
    }

    private func complete(_ call: UInt32, now: UInt64, failure: Sluice_Status?) {
        if call == companion {
            companion = 0
            guard companionSent >= from, now <= until else { return }
            if let failure {
                result.fail("companion: " + LoadFailure(status: failure).description)
            } else {
                result.companionSucceeded(nanoseconds: now - companionSent)
            }
            return
        }
        let start = sent[slot(call)]
        guard start != 0 else { return }
        sent[slot(call)] = 0
        open -= 1
        guard start >= from || plan.rate == nil, now >= from, now <= until else { return }
        if let failure {
            result.fail(LoadFailure(status: failure).description)
        } else {
            result.succeed(nanoseconds: now > start ? now - start : 0)
        }
    }

    private func finish() {
        guard phase == .running, let context else { return }
        phase = .finishing
        if open == 0 {
            deliver()
            return
        }
        let loop = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: plan.patience) { loop.value.giveUp() }
    }

    private func giveUp() {
        guard phase == .finishing else { return }
        result.fail("no answer within \(plan.patience.nanoseconds / 1_000_000_000) s", count: open)
        deliver()
    }

    private func deliver() {
        guard phase != .over else { return }
        phase = .over
        finished.succeed(result)
        context?.close(promise: nil)
    }

    private func fail(_ text: String) {
        guard phase != .over else { return }
        if phase == .greeting || phase == .waiting {
            phase = .over
            let error = LoadFailure(text: text)
            greeted.fail(error)
            finished.fail(error)
            context?.close(promise: nil)
        } else {
            result.fail(text, count: max(1, open))
            deliver()
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { fail("\(error)") }
    func channelInactive(context: ChannelHandlerContext) { fail("connection closed by the server") }
}

/// A failure as the report shows it.
struct LoadFailure: Error, CustomStringConvertible {
    var description: String

    init(text: String) { description = text }

    init(status: Sluice_Status) {
        let reason = status.reason.isEmpty ? status.message : status.reason
        description = "status \(status.code) \(reason)"
    }
}
