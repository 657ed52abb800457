// What the disk cache holds and who goes when room is needed: the version that was used longest ago, never one that is
// held or being fetched. A value: the folder (CacheFolder) does on disk what it says.

/// Versions by the name of their folder in the cache. Times only order: larger is later.
package struct CacheLedger: Sendable {
    package enum Standing: Sendable, Equatable {
        /// Some of its bytes are there, from a fetch that ended early.
        case partial
        case fetching
        case complete
    }

    package struct Item: Sendable, Equatable {
        package var bytes: UInt64
        package var standing: Standing
        package var lastUse: Int64
        /// Models in memory that came from it.
        package var holds = 0

        var canGo: Bool { holds == 0 && standing != .fetching }
    }

    package enum Room: Sendable, Equatable {
        /// These must go first; the ledger has forgotten them already.
        case granted(evict: [String])
        /// It alone is larger than the budget.
        case tooLarge
        /// What is in use leaves too little.
        case full(inUse: UInt64)
    }

    package let budget: UInt64
    package private(set) var items: [String: Item] = [:]

    package init(budget: UInt64) { self.budget = budget }

    package var used: UInt64 { items.values.reduce(0) { $0 &+ $1.bytes } }

    /// Something that was there at start. Replaces what was known by that name.
    package mutating func found(_ key: String, bytes: UInt64, isComplete: Bool, lastUse: Int64) {
        items[key] = Item(
            bytes: bytes, standing: isComplete ? .complete : .partial, lastUse: lastUse)
    }

    /// Who has to go at start, because the budget is smaller than before.
    package mutating func overdrawn() -> [String] { evict(until: budget, sparing: nil) }

    /// Room for a version that will be fetched.
    package mutating func reserve(_ key: String, bytes: UInt64, now: Int64) -> Room {
        guard bytes <= budget else { return .tooLarge }
        precondition(items[key]?.standing != .fetching, "a version is fetched once at a time")
        let inUse = items.reduce(UInt64(0)) { sum, item in
            item.key == key || item.value.canGo ? sum : sum + item.value.bytes
        }
        guard inUse <= budget - bytes else { return .full(inUse: inUse) }
        items[key] = Item(bytes: bytes, standing: .fetching, lastUse: now)
        return .granted(evict: evict(until: budget, sparing: key))
    }

    private mutating func evict(until most: UInt64, sparing key: String?) -> [String] {
        var sum = used
        guard sum > most else { return [] }
        var gone: [String] = []
        let candidates = items.filter { $0.key != key && $0.value.canGo }
            .sorted { ($0.value.lastUse, $0.key) < ($1.value.lastUse, $1.key) }
        for (name, item) in candidates {
            if sum <= most { break }
            items[name] = nil
            sum -= item.bytes
            gone.append(name)
        }
        return gone
    }

    /// All of it has come. One hold is out for whoever fetched it.
    package mutating func completed(_ key: String, now: Int64) {
        items[key]?.standing = .complete
        items[key]?.lastUse = now
        items[key]?.holds += 1
    }

    /// The fetch ended early and left so many bytes.
    package mutating func abandoned(_ key: String, bytes: UInt64) {
        if bytes == 0 {
            items[key] = nil
        } else {
            items[key]?.standing = .partial
            items[key]?.bytes = bytes
        }
    }

    /// False when it is not there as a whole.
    package mutating func hold(_ key: String, now: Int64) -> Bool {
        guard items[key]?.standing == .complete else { return false }
        items[key]?.holds += 1
        items[key]?.lastUse = now
        return true
    }

    package mutating func release(_ key: String) {
        guard let holds = items[key]?.holds else { return }
        precondition(holds > 0, "a hold ended that was not out")
        items[key]?.holds -= 1
    }

    /// Somebody else removed it. One that is in use stays known until it is not.
    package mutating func forget(_ key: String) {
        if items[key]?.canGo == true { items[key] = nil }
    }
}
