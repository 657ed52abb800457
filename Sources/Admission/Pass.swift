// The ticket of Admission: one call may go on, and holds one slot until its work has stopped.

import Contract
private import Synchronization

/// A bounded count of calls in progress, usable from every thread.
final class SlotCounter: Sendable {
    private let taken = Atomic<Int>(0)
    let maximum: Int

    init(maximum: Int) { self.maximum = maximum }

    var count: Int { taken.load(ordering: .relaxed) }

    /// True when a slot was free and is taken now. Near the limit two callers may both be refused.
    func take() -> Bool {
        guard taken.add(1, ordering: .relaxed).newValue <= maximum else {
            taken.subtract(1, ordering: .relaxed)
            return false
        }
        return true
    }

    func giveBack() {
        taken.subtract(1, ordering: .relaxed)
    }
}

/// Says that one call was admitted, and for whom. It gives its slots back when it is destroyed: keep it until
/// the *work* has stopped, not until the caller has gone. May be destroyed on any thread.
package struct Pass: ~Copyable, Sendable {
    package let credential: Credential
    private let house: SlotCounter

    /// Only ``Gatekeeper/admit(_:method:model:now:)`` makes one. Both slots have been taken.
    init(credential: Credential, house: SlotCounter) {
        self.credential = credential
        self.house = house
    }

    deinit {
        credential.account.giveBack()
        house.giveBack()
    }
}
