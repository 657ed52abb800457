// The ticket of Admission: one call may go on, and holds one slot until its work has stopped.

package import Contract
private import Synchronization

/// How many slots counters may give out; new settings may change it.
package final class Ceiling: Sendable {
    private let value: Atomic<Int>

    package init(_ maximum: Int) { value = Atomic(maximum) }

    package var maximum: Int { value.load(ordering: .relaxed) }

    /// What was taken before stays taken.
    package func move(to maximum: Int) { value.store(maximum, ordering: .relaxed) }
}

/// A bounded count of calls in progress, usable from every thread.
package final class SlotCounter: Sendable {
    private let taken = Atomic<Int>(0)
    private let ceiling: Ceiling

    package init(_ ceiling: Ceiling) { self.ceiling = ceiling }
    package convenience init(maximum: Int) { self.init(Ceiling(maximum)) }

    package var maximum: Int { ceiling.maximum }

    package var count: Int { taken.load(ordering: .relaxed) }

    /// True when a slot was free and is taken now. Near the limit two callers may both be refused.
    package func take() -> Bool {
        guard taken.add(1, ordering: .relaxed).newValue <= maximum else {
            taken.subtract(1, ordering: .relaxed)
            return false
        }
        return true
    }

    package func giveBack() {
        taken.subtract(1, ordering: .relaxed)
    }
}

/// Says that one call was admitted, and for whom. It gives its slots back when it is destroyed: keep it until
/// the *work* has stopped, not until the caller has gone. May be destroyed on any thread.
package struct Pass: ~Copyable, Sendable {
    package let credential: Credential
    /// The call in its plan. What the call used is noted here before the pass ends.
    package var ticket: PlanTicket
    private let house: SlotCounter

    /// Only ``Gatekeeper/admit(_:method:model:counted:bytes:wish:now:)`` makes one. Both slots have been taken.
    init(credential: Credential, house: SlotCounter, ticket: consuming PlanTicket) {
        self.credential = credential
        self.house = house
        self.ticket = ticket
    }

    package var share: Share { ticket.share }
    package var allowance: Allowance? { ticket.allowance }
    /// The plan's name; empty for callers without one.
    package var plan: String { ticket.plan }

    /// Notes what the call used; the last word counts.
    package mutating func note(_ use: PlanUse) { ticket.use = use }

    deinit {
        credential.account.giveBack()
        house.giveBack()
    }
}
