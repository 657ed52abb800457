// A map with two bounds that forgets what was used least recently. The segments of the identity cache.

/// The key of a token: HMAC-SHA256 of the token under a random process key, so that neither the map nor a
/// memory dump of it holds a token, and no caller can aim at a bucket.
struct CacheKey: Hashable, Sendable {
    private let words: (UInt64, UInt64, UInt64, UInt64)

    /// From 32 bytes; shorter input counts as padded with zeros.
    init(digest: [UInt8]) {
        func word(_ start: Int) -> UInt64 {
            var value: UInt64 = 0
            for index in start..<start + 8 {
                value = value << 8 | UInt64(index < digest.count ? digest[index] : 0)
            }
            return value
        }
        words = (word(0), word(8), word(16), word(24))
    }

    static func == (left: CacheKey, right: CacheKey) -> Bool { left.words == right.words }

    func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}

/// At most `entriesMax` values which charge at most `bytesMax` together.
struct RecentlyUsed<Value> {
    private struct Node {
        var key: CacheKey
        var value: Value?
        var bytes: Int
        /// Towards the most recently used, or -1.
        var newer: Int
        /// Towards the least recently used, or -1; in a free node the next free one.
        var older: Int
    }

    let entriesMax: Int
    let bytesMax: Int
    private var positions: [CacheKey: Int] = [:]
    private var nodes: [Node] = []
    private var newest = -1
    private var oldest = -1
    private var free = -1
    private(set) var bytes = 0

    init(entriesMax: Int, bytesMax: Int = .max) {
        self.entriesMax = entriesMax
        self.bytesMax = bytesMax
    }

    var count: Int { positions.count }

    /// The value, which becomes the most recently used.
    mutating func use(_ key: CacheKey) -> Value? {
        guard let position = positions[key] else { return nil }
        if position != newest {
            unlink(position)
            linkNewest(position)
        }
        return nodes[position].value
    }

    func contains(_ key: CacheKey) -> Bool { positions[key] != nil }

    /// Puts a value in, replacing the one there was. Forgets others until both bounds hold; a value that is
    /// larger than all the room is not kept.
    mutating func insert(_ value: Value, for key: CacheKey, bytes size: Int = 0) {
        remove(key)
        guard size <= bytesMax, entriesMax > 0 else { return }
        while count >= entriesMax || bytes > bytesMax - size {
            remove(nodes[oldest].key)
        }
        let node = Node(key: key, value: value, bytes: size, newer: -1, older: -1)
        let position: Int
        if free >= 0 {
            position = free
            free = nodes[position].older
            nodes[position] = node
        } else {
            position = nodes.count
            nodes.append(node)
        }
        positions[key] = position
        bytes += size
        linkNewest(position)
    }

    mutating func remove(_ key: CacheKey) {
        guard let position = positions.removeValue(forKey: key) else { return }
        unlink(position)
        bytes -= nodes[position].bytes
        nodes[position].value = nil
        nodes[position].older = free
        free = position
    }

    mutating func removeAll() {
        self = RecentlyUsed(entriesMax: entriesMax, bytesMax: bytesMax)
    }

    private mutating func linkNewest(_ position: Int) {
        nodes[position].newer = -1
        nodes[position].older = newest
        if newest >= 0 { nodes[newest].newer = position } else { oldest = position }
        newest = position
    }

    private mutating func unlink(_ position: Int) {
        let (newer, older) = (nodes[position].newer, nodes[position].older)
        if newer >= 0 { nodes[newer].older = older } else { newest = older }
        if older >= 0 { nodes[older].newer = newer } else { oldest = newer }
    }
}
