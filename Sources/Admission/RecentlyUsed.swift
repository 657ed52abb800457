// A map bounded by bytes that forgets what was used least recently. The segments of the identity cache.

/// The key of a token: HMAC-SHA256 of the token under a random process key, so that neither the map nor a
/// memory dump of it holds a token, and no caller can aim at a bucket.
package struct CacheKey: Hashable, Sendable {
    private let words: (UInt64, UInt64, UInt64, UInt64)

    package init(_ digest: InlineArray<32, UInt8>) {
        func word(_ start: Int) -> UInt64 {
            var value: UInt64 = 0
            for index in start..<start + 8 { value = value << 8 | UInt64(digest[index]) }
            return value
        }
        words = (word(0), word(8), word(16), word(24))
    }

    package static func == (left: CacheKey, right: CacheKey) -> Bool { left.words == right.words }

    package func hash(into hasher: inout Hasher) { hasher.combine(words.0) }

    /// Which part of a segment it belongs to.
    var part: Int { Int(truncatingIfNeeded: words.1 & 0xFFFF) }
}

/// Values which charge at most `bytesMax` together.
package struct RecentlyUsed<Value> {
    private struct Node {
        var key: CacheKey
        var value: Value?
        var bytes: Int32
        /// Towards the most recently used, or -1.
        var newer: Int32
        /// Towards the least recently used, or -1; in a free node the next free one.
        var older: Int32
    }

    /// What an entry costs beside its value: a node with the array's slack, and its place in the dictionary when that is
    /// as empty as it gets.
    package static var entryBytes: Int { MemoryLayout<Node>.stride * 5 / 4 + 112 }

    package let bytesMax: Int
    private var positions: [CacheKey: Int32] = [:]
    private var nodes: [Node] = []
    private var newest: Int32 = -1
    private var oldest: Int32 = -1
    private var free: Int32 = -1
    package private(set) var bytes = 0

    package init(bytesMax: Int) { self.bytesMax = bytesMax }

    package var count: Int { positions.count }

    /// The value, which becomes the most recently used.
    package mutating func use(_ key: CacheKey) -> Value? {
        guard let position = positions[key] else { return nil }
        if position != newest {
            unlink(position)
            linkNewest(position)
        }
        return nodes[Int(position)].value
    }

    package func contains(_ key: CacheKey) -> Bool { positions[key] != nil }

    /// Puts a value in, replacing the one there was. Forgets others until the bound holds; a value that is
    /// larger than all the room is not kept.
    package mutating func insert(_ value: Value, for key: CacheKey, bytes size: Int) {
        remove(key)
        guard size <= min(bytesMax, Int(Int32.max)) else { return }
        while bytes > bytesMax - size { remove(nodes[Int(oldest)].key) }
        let node = Node(key: key, value: value, bytes: Int32(size), newer: -1, older: -1)
        let position: Int32
        if free >= 0 {
            position = free
            free = nodes[Int(position)].older
            nodes[Int(position)] = node
        } else {
            position = Int32(nodes.count)
            // By a quarter at a time: the array never holds twice what is charged.
            if nodes.count == nodes.capacity { nodes.reserveCapacity(nodes.count * 5 / 4 + 8) }
            nodes.append(node)
        }
        positions[key] = position
        bytes += size
        linkNewest(position)
    }

    @discardableResult
    package mutating func remove(_ key: CacheKey) -> Value? {
        guard let position = positions.removeValue(forKey: key) else { return nil }
        unlink(position)
        bytes -= Int(nodes[Int(position)].bytes)
        let value = nodes[Int(position)].value.take()
        nodes[Int(position)].older = free
        free = position
        return value
    }

    /// Removes what matches and hands it out, so that it can be let go of outside of a lock.
    package mutating func removeAll(where matches: (Value) -> Bool) -> [Value] {
        var removed: [Value] = []
        for node in nodes {
            guard let value = node.value, matches(value) else { continue }
            remove(node.key)
            removed.append(value)
        }
        return removed
    }

    private mutating func linkNewest(_ position: Int32) {
        nodes[Int(position)].newer = -1
        nodes[Int(position)].older = newest
        if newest >= 0 { nodes[Int(newest)].newer = position } else { oldest = position }
        newest = position
    }

    private mutating func unlink(_ position: Int32) {
        let (newer, older) = (nodes[Int(position)].newer, nodes[Int(position)].older)
        if newer >= 0 { nodes[Int(newer)].older = older } else { newest = older }
        if older >= 0 { nodes[Int(older)].newer = newer } else { oldest = newer }
    }
}

/// One map in parts, so that no part is large: growing, purging and forgetting stay short.
package struct Segment<Value> {
    private static var partBytes: Int { 1 << 20 }
    private var parts: [RecentlyUsed<Value>]

    /// - Parameter bytesMax: for all parts; each gets the same share.
    package init(bytesMax: Int) {
        var count = 1
        while count < 4_096, bytesMax / (count * 2) >= Segment.partBytes { count *= 2 }
        parts = Array(repeating: RecentlyUsed(bytesMax: bytesMax / count), count: count)
    }

    package var partCount: Int { parts.count }
    package var count: Int { parts.reduce(0) { $0 + $1.count } }
    package var bytes: Int { parts.reduce(0) { $0 + $1.bytes } }

    package mutating func use(_ key: CacheKey) -> Value? { parts[index(key)].use(key) }
    package func contains(_ key: CacheKey) -> Bool { parts[index(key)].contains(key) }

    /// - Parameter bytes: of the value; what the map adds is charged here.
    package mutating func insert(_ value: Value, for key: CacheKey, bytes: Int) {
        parts[index(key)].insert(value, for: key, bytes: bytes + RecentlyUsed<Value>.entryBytes)
    }

    @discardableResult
    package mutating func remove(_ key: CacheKey) -> Value? { parts[index(key)].remove(key) }

    package mutating func removeAll(in part: Int, where matches: (Value) -> Bool) -> [Value] {
        parts[part].removeAll(where: matches)
    }

    private func index(_ key: CacheKey) -> Int { key.part & (parts.count - 1) }
}
