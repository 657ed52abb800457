// What the operator wants of the fleet's memory, and may change while it runs.

package import Contract
import Synchronization

/// The part of ``ShardSettings`` that a reload may change.
package struct MemoryWishes: Sendable, Equatable {
    package var memory: MemoryUse
    package var awakeMin: Nanoseconds
    package var idleMax: Nanoseconds
    package var rules: [ModelRule]
    package var promotes: Bool
    package var loadsWarn: UInt64

    package init(_ settings: ShardSettings) {
        memory = settings.memory
        awakeMin = settings.awakeMin
        idleMax = settings.idleMax
        rules = settings.rules
        promotes = settings.promotes
        loadsWarn = settings.loadsWarn
    }

    /// The first rule that covers the model.
    func rule(for model: String) -> ModelRule? { rules.first { $0.covers(model) } }
}

/// The wishes in force. Read where memory is decided about, never on the path of a call to an awake model.
final class WishBox: Sendable {
    private let wishes: Mutex<MemoryWishes>

    init(_ settings: ShardSettings) { wishes = Mutex(MemoryWishes(settings)) }

    var now: MemoryWishes { wishes.withLock { $0 } }

    func replace(with new: MemoryWishes) { wishes.withLock { $0 = new } }
}

extension Fleet {
    /// Applies new budgets and rules. Nobody is thrown out for it at once: a smaller budget is kept from the next load on.
    package func apply(_ wishes: MemoryWishes) {
        loaders.wishes.replace(with: wishes)
        loaders.treasury.adopt(wishes.memory)
    }
}
