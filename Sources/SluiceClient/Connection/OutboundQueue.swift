// What waits for the socket of one connection: small frames share one buffer and go first, long messages are
// cut and take turns.

import NIOCore
import SluiceWire

struct OutboundQueue {
    /// What the gateway has heard of a call that is withdrawn.
    enum Withdrawn: Equatable { case unheard, heard }

    /// Payloads up to this size are copied behind their heads; longer ones are slices.
    private static let copiedBytesMax = 16 << 10

    /// Whole frames.
    private var batch = ByteBuffer()
    /// A guess at the next batch's size: the last one's.
    private var batchHint = 1_024
    private var long = CircularBuffer<MessageSplitter>()

    var isEmpty: Bool { batch.readableBytes == 0 && long.isEmpty }
    /// Bytes of the batch and of what long messages still have to go.
    var byteCount: Int { long.reduce(batch.readableBytes) { $0 + $1.remainingBytes } }
    var batchBytes: Int { batch.readableBytes }

    mutating func append(_ frame: Frame) {
        reserve()
        batch.writeFrame(frame)
    }

    /// Appends a CALL.
    mutating func append(
        _ request: CallRequest, call: UInt32, timeout: UInt64, attempt: Int,
        settings: ConnectionSettings
    ) throws(SluiceError) {
        reserve()
        let payload = request.payload.readableBytes
        if payload <= Self.copiedBytesMax {
            var frame = batch.openFrame(.call, .end, call: call)
            request.writeHeader(to: &batch, timeout: timeout, attempt: attempt, messageLength: 0)
            batch.closeHeader(of: &frame)
            batch.writeImmutableBuffer(request.payload)
            let body = batch.closeFrame(frame)
            if body <= settings.frameBytes, body - payload <= settings.headerBytes { return }
            _ = batch.takeBack(frame)
        }
        var header = ByteBuffer()
        request.writeHeader(
            to: &header, timeout: timeout, attempt: attempt, messageLength: payload)
        let headerMax = min(settings.headerBytes, settings.frameBytes - 1)
        guard header.readableBytes <= headerMax else {
            throw SluiceError(
                .invalidArgument, reason: Reason.headerTooLarge,
                """
                The call's header has \(header.readableBytes) bytes; the gateway takes \
                \(headerMax).
                """)
        }
        long.append(
            MessageSplitter(
                .call, call: call, header: header, payload: request.payload, ends: true))
    }

    /// Drops what has not been sent of a call.
    mutating func withdraw(_ call: UInt32) -> Withdrawn {
        guard let index = long.firstIndex(where: { $0.call == call }) else { return .heard }
        let unheard = long[index].isUntouched
        long.remove(at: index)
        return unheard ? .unheard : .heard
    }

    /// About `limit` bytes for the socket.
    mutating func take(atMost limit: Int, frameBytes: Int) -> [ByteBuffer] {
        var chunks: [ByteBuffer] = []
        var taken = batch.readableBytes
        while taken < limit, !long.isEmpty {
            var message = long.removeFirst()
            guard let frame = message.next(bodyMax: frameBytes) else { continue }
            let payload = frame.payload.readableBytes
            taken += Frame.headBytes + frame.header.readableBytes + payload
            batch.writeFrameHead(
                frame.type, frame.flags, call: frame.call,
                headerBytes: frame.header.readableBytes, payloadBytes: payload)
            batch.writeImmutableBuffer(frame.header)
            if payload <= Self.copiedBytesMax {
                batch.writeImmutableBuffer(frame.payload)
            } else {
                chunks.append(batch)
                chunks.append(frame.payload)
                batch = ByteBuffer()
            }
            if frame.flags.contains(.more) { long.append(message) }
        }
        if batch.readableBytes > 0 {
            batchHint = min(max(batch.readableBytes, 1_024), 64 << 10)
            chunks.append(batch)
            batch = ByteBuffer()
        }
        return chunks
    }

    private mutating func reserve() {
        if batch.capacity == 0 { batch = ByteBufferAllocator().buffer(capacity: batchHint) }
    }
}
