// Bytes in, frames out. The first thing a peer's plaintext meets: everything is checked on the twelve bytes of
// a frame's head, in the protocol's order, before anything is allocated for the frame.

package import NIOCore

/// Cuts the bytes of one direction of one connection into frames.
///
/// `append` what arrived, then call `next` until it returns nil. Frames that lie whole in the appended bytes
/// are slices of them; only a frame that is split over two appends is copied, once, to its own buffer.
/// After a fault every `next` throws that fault again. For one owner; holds no clock and does no I/O.
package struct FrameDecoder: Sendable {
    package let side: WireSide
    package private(set) var limits: WireLimits
    /// The highest call id opened so far. A server's decoder learns it from CALL frames, a client tells it by
    /// ``opened(_:)``.
    package private(set) var lastCall: UInt32 = 0
    /// True once the peer's HELLO has been read.
    package private(set) var greeted = false

    /// What has been appended and not been read.
    private var current = ByteBuffer()
    /// The frame whose beginning came at the end of earlier bytes.
    private var split = ByteBuffer()
    /// Bytes of the whole split frame; 0 while its head is not complete.
    private var splitBytes = 0
    private var fault: WireFault?

    package init(_ side: WireSide, limits: WireLimits = WireLimits()) {
        self.side = side
        self.limits = limits
    }

    /// True while the beginning of a frame waits for its rest: a peer that stops here stalls the connection.
    package var isInsideFrame: Bool { split.readableBytes > 0 }

    /// Bytes held for frames that are not complete.
    package var heldBytes: Int { split.readableBytes + current.readableBytes }

    /// For a client: `call` has been opened, so frames for it may come.
    package mutating func opened(_ call: UInt32) {
        precondition(call > lastCall && call <= Frame.callMax, "call ids only grow")
        lastCall = call
    }

    /// What the peer may send from now on, as the HELLO said.
    package mutating func adopt(_ limits: WireLimits) { self.limits = limits }

    /// Takes bytes as they came. Costs nothing when `next` has returned nil before, a copy otherwise.
    package mutating func append(_ bytes: ByteBuffer) {
        if current.readableBytes == 0 {
            current = bytes
        } else {
            current.writeImmutableBuffer(bytes)
        }
    }

    /// The next whole frame, or nil when more bytes are needed.
    package mutating func next() throws(WireFault) -> Frame? {
        if let fault { throw fault }
        do throws(WireFault) {
            return split.readableBytes == 0 ? try nextInPlace() : try nextSplit()
        } catch {
            fault = error
            current = ByteBuffer()
            split = ByteBuffer()
            throw error
        }
    }

    private mutating func nextInPlace() throws(WireFault) -> Frame? {
        let available = current.readableBytes
        guard available > 0 else { return nil }
        guard let head = Head(current) else {
            try checkBeginning(of: current)
            keepRest(of: Frame.headBytes)
            return nil
        }
        let type = try check(head)
        guard available >= head.frameBytes else {
            keepRest(of: head.frameBytes)
            splitBytes = head.frameBytes
            return nil
        }
        accept(head, type)
        let frame = head.frame(type, from: &current)
        // Let go of the bytes, so that whoever read them may reuse the memory.
        if current.readableBytes == 0 { current = ByteBuffer() }
        return frame
    }

    /// Completes the split frame, and only it.
    private mutating func nextSplit() throws(WireFault) -> Frame? {
        if splitBytes == 0 {
            move(upTo: Frame.headBytes)
            guard let head = Head(split) else {
                try checkBeginning(of: split)
                return nil
            }
            _ = try check(head)
            splitBytes = head.frameBytes
            split.reserveCapacity(splitBytes)
        }
        move(upTo: splitBytes)
        guard split.readableBytes == splitBytes, let head = Head(split) else { return nil }
        let type = try check(head)
        accept(head, type)
        var whole = split
        split = ByteBuffer()
        splitBytes = 0
        return head.frame(type, from: &whole)
    }

    /// Moves bytes from `current` to `split` until it has `count`.
    private mutating func move(upTo count: Int) {
        let missing = min(count - split.readableBytes, current.readableBytes)
        if var bytes = current.readSlice(length: missing) { split.writeBuffer(&bytes) }
        if current.readableBytes == 0 { current = ByteBuffer() }
    }

    private mutating func keepRest(of frameBytes: Int) {
        split = ByteBufferAllocator().buffer(capacity: frameBytes)
        split.writeBuffer(&current)
        current = ByteBuffer()
    }

    private mutating func accept(_ head: Head, _ type: FrameType) {
        if type == .hello { greeted = true }
        if side == .server, type == .call { lastCall = head.call }
    }
}

// MARK: - The checks, in order

extension FrameDecoder {
    /// As much of the first two checks as the bytes allow: a mad length is refused on four bytes.
    private func checkBeginning(of bytes: ByteBuffer) throws(WireFault) {
        let start = bytes.readerIndex
        guard let length = bytes.getInteger(at: start, as: UInt32.self) else { return }
        try checkLength(Int(length))
        guard let byte = bytes.getInteger(at: start + 4, as: UInt8.self) else { return }
        _ = try checkType(byte)
    }

    private func check(_ head: Head) throws(WireFault) -> FrameType {
        try checkLength(head.length)
        let type = try checkType(head.type)
        try checkCall(head, type)
        try checkHeader(head, type)
        try checkFlags(head, type)
        return type
    }

    private func checkLength(_ length: Int) throws(WireFault) {
        let least = Frame.countedHeadBytes
        guard length >= least else {
            throw WireFault(.lengthTooShort, limit: least, actual: length)
        }
        let body = greeted ? limits.frameBytes : limits.helloBytes
        guard length <= least + body else {
            throw WireFault(.lengthTooLong, limit: least + body, actual: length)
        }
    }

    private func checkType(_ byte: UInt8) throws(WireFault) -> FrameType {
        guard let type = FrameType(byte: byte) else {
            throw WireFault(.typeUnknown, type: byte, actual: Int(byte))
        }
        switch type {
        case .call, .cancel:
            guard side == .server else { throw WireFault(.typeOfOtherSide, type: byte) }
        case .reply, .progress:
            guard side == .client else { throw WireFault(.typeOfOtherSide, type: byte) }
        case .hello:
            guard !greeted else { throw WireFault(.helloRepeated, type: byte) }
            return type
        case .goAway where side == .client:
            // A server that cannot say HELLO says GOAWAY instead.
            return type
        case .data, .ping, .goAway, .auth, .extension: break
        }
        guard greeted else { throw WireFault(.helloExpected, type: byte) }
        return type
    }

    private func checkCall(_ head: Head, _ type: FrameType) throws(WireFault) {
        let call = head.call
        switch type {
        case .hello, .ping, .goAway, .auth:
            guard call == 0 else {
                throw WireFault(.callNotZero, type: head.type, actual: Int(call))
            }
        case .call:
            guard call > 0, call <= Frame.callMax else {
                throw WireFault(.callZero, type: head.type, actual: Int(call))
            }
            guard call > lastCall else {
                throw WireFault(
                    .callGoesBack, type: head.type, limit: Int(lastCall), actual: Int(call))
            }
        case .data, .reply, .cancel, .progress:
            guard call > 0 else { throw WireFault(.callZero, type: head.type, actual: 0) }
            guard call <= lastCall else {
                throw WireFault(
                    .callUnknown, type: head.type, limit: Int(lastCall), actual: Int(call))
            }
        case .extension: break
        }
    }

    private func checkHeader(_ head: Head, _ type: FrameType) throws(WireFault) {
        let header = head.headerBytes
        guard header <= head.bodyBytes else {
            throw WireFault(
                .headerOverFrame, type: head.type, limit: head.bodyBytes, actual: header)
        }
        guard header <= limits.headerBytes else {
            throw WireFault(
                .headerTooLong, type: head.type, limit: limits.headerBytes, actual: header)
        }
        switch type {
        case .call, .reply, .extension: return
        case .data:
            guard header == 0 else {
                throw WireFault(.headerUnwanted, type: head.type, actual: header)
            }
        case .ping:
            guard header == 0 else {
                throw WireFault(.headerUnwanted, type: head.type, actual: header)
            }
            guard head.payloadBytes == 8 else {
                throw WireFault(
                    .payloadLength, type: head.type, limit: 8, actual: head.payloadBytes)
            }
        case .hello, .cancel, .goAway, .auth, .progress:
            guard head.payloadBytes == 0 else {
                throw WireFault(
                    .payloadLength, type: head.type, limit: 0, actual: head.payloadBytes)
            }
        }
    }

    private func checkFlags(_ head: Head, _ type: FrameType) throws(WireFault) {
        let allowed: UInt8
        switch type {
        case .call, .data, .reply: allowed = 0x03
        case .ping: allowed = 0x08
        case .extension: allowed = 0x0B
        case .hello, .cancel, .goAway, .auth, .progress: allowed = 0
        }
        let flags = head.flags.rawValue
        guard flags & ~allowed == 0 else {
            throw WireFault(
                .flagsUnknown, type: head.type, limit: Int(allowed),
                actual: Int(flags & ~allowed))
        }
        guard flags & 0x03 != 0x03 else {
            throw WireFault(.flagsContradict, type: head.type, actual: Int(flags))
        }
    }
}

/// The twelve bytes before a frame's header.
private struct Head {
    var length: Int
    var type: UInt8
    var flags: FrameFlags
    var headerBytes: Int
    var call: UInt32

    var bodyBytes: Int { length - Frame.countedHeadBytes }
    var payloadBytes: Int { bodyBytes - headerBytes }
    var frameBytes: Int { Frame.headBytes + bodyBytes }

    /// Reads the head, or returns nil when fewer than twelve bytes are there.
    init?(_ bytes: ByteBuffer) {
        let start = bytes.readerIndex
        guard let first = bytes.getInteger(at: start, as: UInt64.self),
            let call = bytes.getInteger(at: start + 8, as: UInt32.self)
        else { return nil }
        length = Int(first >> 32)
        type = UInt8(truncatingIfNeeded: first >> 24)
        flags = FrameFlags(rawValue: UInt8(truncatingIfNeeded: first >> 16))
        headerBytes = Int(first & 0xFFFF)
        self.call = call
    }

    /// Takes the whole frame off the front of `bytes`, which must have it.
    func frame(_ type: FrameType, from bytes: inout ByteBuffer) -> Frame {
        bytes.moveReaderIndex(forwardBy: Frame.headBytes)
        guard let header = bytes.readSlice(length: headerBytes),
            let payload = bytes.readSlice(length: payloadBytes)
        else { preconditionFailure("a frame is taken only when all of its bytes are there") }
        return Frame(type, flags, call: call, header: header, payload: payload)
    }
}
