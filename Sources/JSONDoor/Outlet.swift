// What a connection has to write and the channel does not take yet: small pieces gathered in one buffer, large ones passed on
// as they are.

import NIOCore

struct Outlet {
    /// A piece of at least this many bytes is not copied behind the one before it.
    private static let apart = 8 << 10
    /// One write to the channel; what is between two of them is how far a slow reader has come.
    static let sliceBytes = 256 << 10
    /// A buffer larger than this is not kept for the next answer.
    private static let keptBytes = 4 << 10

    /// Pieces that go first.
    private var queue = CircularBuffer<ByteBuffer>()
    /// Appended to by everybody who writes something small.
    private var tail = ByteBuffer()
    private(set) var byteCount = 0

    var isEmpty: Bool { byteCount == 0 }

    /// Writes small things.
    mutating func write(_ body: (inout ByteBuffer) -> Void) {
        let before = tail.readableBytes
        body(&tail)
        byteCount += tail.readableBytes - before
    }

    /// Appends a piece, without copying it when it is large.
    mutating func append(_ bytes: ByteBuffer) {
        guard bytes.readableBytes >= Outlet.apart else {
            write { $0.writeImmutableBuffer(bytes) }
            return
        }
        if tail.readableBytes > 0 {
            queue.append(tail)
            tail = ByteBuffer()
        }
        queue.append(bytes)
        byteCount += bytes.readableBytes
    }

    /// The next slice to be written, or nil.
    mutating func next() -> ByteBuffer? {
        guard byteCount > 0 else { return nil }
        if !queue.isEmpty {
            guard queue[queue.startIndex].readableBytes > Outlet.sliceBytes else {
                let bytes = queue.removeFirst()
                byteCount -= bytes.readableBytes
                return bytes
            }
            byteCount -= Outlet.sliceBytes
            return queue[queue.startIndex].readSlice(length: Outlet.sliceBytes)
        }
        let count = min(tail.readableBytes, Outlet.sliceBytes)
        byteCount -= count
        return tail.readSlice(length: count)
    }

    /// Everything was written: the buffer stays for the next answer when the channel has let go of it.
    mutating func reuse() {
        guard byteCount == 0 else { return }
        if tail.capacity > Outlet.keptBytes { tail = ByteBuffer() } else { tail.clear() }
    }

    mutating func drop() {
        queue.removeAll()
        tail = ByteBuffer()
        byteCount = 0
    }
}
