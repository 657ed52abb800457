// What waits to be sent on one connection: small frames in one buffer, long messages each in a lane of its own
// whose parts take turns, so that nothing small waits behind something big.

package import NIOCore
package import SluiceWire

/// For one owner. Bounded by its user: see `Limits.bufferedBytes`.
package struct Outbound {
    /// One thing in a lane, in the call's order.
    private enum Item {
        case frames(ByteBuffer)
        case message(MessageSplitter)
    }

    private struct Lane {
        var call: UInt32
        var items: [Item]
        var bytes: Int
    }

    /// Whole frames, ready for the socket. Frames of calls without a lane are encoded right into it.
    package var ready: ByteBuffer
    private var lanes: [Lane] = []
    private var turn = 0
    private var laneBytes = 0

    /// `ready` keeps its memory from flush to flush up to this: what an idle connection holds.
    private static let keptBytes = 4_096
    /// What the last flush took: the next is likely to need as much.
    private var expectedBytes = 0

    package init() { ready = ByteBuffer() }

    package var bytes: Int { ready.readableBytes + laneBytes }
    package var hasLanes: Bool { !lanes.isEmpty }

    package func hasLane(_ call: UInt32) -> Bool {
        !lanes.isEmpty && lanes.contains { $0.call == call }
    }

    /// Puts a long message at the end of its call's lane.
    package mutating func append(_ message: MessageSplitter) {
        append(.message(message), message.remainingBytes, call: message.call)
    }

    /// Puts whole frames behind what the call already has in its lane, or into `ready`.
    package mutating func append(_ frames: ByteBuffer, call: UInt32) {
        if hasLane(call) {
            append(.frames(frames), frames.readableBytes, call: call)
        } else {
            ready.writeImmutableBuffer(frames)
        }
    }

    private mutating func append(_ item: Item, _ bytes: Int, call: UInt32) {
        laneBytes += bytes
        if let index = lanes.firstIndex(where: { $0.call == call }) {
            lanes[index].items.append(item)
            lanes[index].bytes += bytes
        } else {
            lanes.append(Lane(call: call, items: [item], bytes: bytes))
        }
    }

    /// Drops what a call has waiting in a lane. True when there was something.
    package mutating func drop(_ call: UInt32) -> Bool {
        guard let index = lanes.firstIndex(where: { $0.call == call }) else { return false }
        remove(index)
        return true
    }

    package mutating func dropAll() {
        ready = ByteBuffer()
        dropLanes()
    }

    package mutating func dropLanes() {
        lanes = []
        laneBytes = 0
        turn = 0
    }

    private mutating func remove(_ index: Int) {
        laneBytes -= lanes[index].bytes
        lanes.remove(at: index)
        if turn > index { turn -= 1 }
    }

    /// Moves the next part of the lane whose turn it is into `ready`: its head and header are copied, its
    /// payload is returned to follow as it is.
    package mutating func nextPart(bodyMax: Int) -> ByteBuffer? {
        guard !lanes.isEmpty else { return nil }
        if turn >= lanes.count { turn = 0 }
        let index = turn
        let payload: ByteBuffer
        let taken: Int
        switch lanes[index].items[0] {
        case .frames(let frames):
            lanes[index].items.removeFirst()
            payload = frames
            taken = frames.readableBytes
        case .message(var message):
            guard let part = message.next(bodyMax: bodyMax) else {
                preconditionFailure("a message leaves its lane with its last part")
            }
            let isLast = !part.flags.isMore
            if isLast {
                lanes[index].items.removeFirst()
            } else {
                lanes[index].items[0] = .message(message)
            }
            ready.writeFrameHead(
                part.type, part.flags, call: part.call, headerBytes: part.header.readableBytes,
                payloadBytes: part.payload.readableBytes)
            ready.writeImmutableBuffer(part.header)
            payload = part.payload
            taken = part.header.readableBytes + part.payload.readableBytes
        }
        lanes[index].bytes -= taken
        laneBytes -= taken
        if lanes[index].items.isEmpty { remove(index) } else { turn += 1 }
        return payload
    }

    /// Before frames are encoded into `ready`: room for as much as last time, so that it need not grow by
    /// doubling and copying.
    package mutating func prepare() {
        if ready.capacity == 0 { ready.reserveCapacity(expectedBytes) }
    }

    /// What was in `ready` has been handed to the channel.
    package mutating func readyWasWritten() {
        guard ready.readableBytes > 0 else { return }
        expectedBytes = min(max(ready.readableBytes, 512), 256 << 10)
        if ready.capacity > Outbound.keptBytes {
            ready = ByteBuffer()
        } else {
            ready.clear()
        }
    }
}
