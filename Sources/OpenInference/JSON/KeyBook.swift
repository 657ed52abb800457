// Which keys the objects have had that a scanner stands in: none may come twice.

/// Keys by their places in the text; those of the innermost object are at the end.
struct KeyBook {
    /// So many are compared one by one; the rest of an object's are hashed.
    private static let fewMax = 16

    private var places: [JSONStringPlace] = []
    /// For each object around: where its keys begin, and its hashed ones.
    private var firsts: [Int] = []
    private var hashed: [Int: Set<[UInt8]>] = [:]

    init() {
        places.reserveCapacity(32)
        firsts.reserveCapacity(8)
    }

    mutating func begin() { firsts.append(places.count) }

    mutating func end() {
        guard let first = firsts.popLast() else { return }
        places.removeLast(places.count - first)
        if !hashed.isEmpty { hashed[firsts.count] = nil }
    }

    /// Keys of the innermost object.
    var count: Int { places.count - (firsts.last ?? 0) }

    /// False when the innermost object had the key before.
    mutating func insert(_ key: JSONStringPlace, _ bytes: Span<UInt8>) -> Bool {
        let first = firsts.last ?? 0
        for index in first..<min(places.count, first + KeyBook.fewMax)
        where KeyBook.areEqual(places[index], key, bytes) {
            return false
        }
        if places.count - first >= KeyBook.fewMax {
            var text: [UInt8] = []
            JSONBytes.unescape(bytes, key, into: &text)
            guard hashed[firsts.count - 1, default: []].insert(text).inserted else { return false }
        }
        places.append(key)
        return true
    }

    private static func areEqual(
        _ left: JSONStringPlace, _ right: JSONStringPlace, _ bytes: Span<UInt8>
    ) -> Bool {
        guard !left.hasEscapes, !right.hasEscapes else {
            var texts: ([UInt8], [UInt8]) = ([], [])
            JSONBytes.unescape(bytes, left, into: &texts.0)
            JSONBytes.unescape(bytes, right, into: &texts.1)
            return texts.0 == texts.1
        }
        guard left.range.count == right.range.count else { return false }
        let distance = right.range.lowerBound - left.range.lowerBound
        for index in left.range where bytes[index] != bytes[index + distance] { return false }
        return true
    }
}
