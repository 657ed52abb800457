// The calls of one connection that have a slot. A slot is taken by CALL and free again when the work behind
// the call has stopped, which may be later than its answer.

package import Contract

package struct CallTable {
    package enum Phase: UInt8, Sendable {
        /// No call. Exit: `open`.
        case free
        /// CALL has come; its header is being read. Exits: assembling, running, free when refused.
        case opening
        /// Parts of the message are missing. Exits: running, free when refused, cancelled or stalled.
        case assembling
        /// The walk has it. Exits: windingDown, free.
        case running
        /// Answered, but the work has not stopped yet. Exit: free.
        case windingDown
    }

    package struct Entry: Sendable {
        package var call: UInt32 = 0
        package var phase = Phase.free
        /// The client has not sent END yet.
        package var isHalfOpen = false
        package var isCancelled = false
        /// Bytes of the message, held while the work goes on.
        package var heldBytes = 0
    }

    package private(set) var entries: [Entry] = []
    private var free: [Int] = []
    /// Slots taken.
    package private(set) var count = 0

    package init() {}

    /// Takes a slot. The caller has checked the limit.
    package mutating func open(_ call: UInt32, halfOpen: Bool) -> Int {
        count += 1
        let entry = Entry(call: call, phase: .opening, isHalfOpen: halfOpen)
        if let slot = free.popLast() {
            entries[slot] = entry
            return slot
        }
        entries.append(entry)
        return entries.count - 1
    }

    package mutating func close(_ slot: Int) {
        precondition(entries[slot].phase != .free, "a slot is given back once")
        entries[slot] = Entry()
        free.append(slot)
        count -= 1
    }

    /// The slot of a call, or nil. A scan over at most `callsPerConnection` entries: only DATA and CANCEL need
    /// it, a unary call never does.
    package func find(_ call: UInt32) -> Int? {
        guard count > 0 else { return nil }
        return entries.firstIndex { $0.call == call }
    }

    package subscript(slot: Int) -> Entry {
        get { entries[slot] }
        _modify { yield &entries[slot] }
    }
}

/// Calls that were answered while the client was still sending: their remaining parts are skipped. Remembers a
/// bounded number and forgets the oldest first, by when its client has long read the answer.
package struct RecentCalls {
    private var calls: [UInt32] = []
    private var next = 0
    private let countMax: Int

    package init(countMax: Int) { self.countMax = max(countMax, 1) }

    package mutating func insert(_ call: UInt32) {
        if calls.count < countMax {
            calls.append(call)
        } else {
            calls[next] = call
            next = (next + 1) % countMax
        }
    }

    package func contains(_ call: UInt32) -> Bool { calls.contains(call) }

    /// Its END has come: nothing more may.
    package mutating func remove(_ call: UInt32) {
        guard let index = calls.firstIndex(of: call) else { return }
        calls[index] = 0
    }
}

/// Frames that cost the server work and the client nothing: so many in a burst, refilled over time.
package struct ControlBudget {
    private let burst: UInt64
    private let window: UInt64
    /// In frames times window, so that refilling is exact.
    private var allowance: UInt64
    private var refilled: Instant

    /// - Parameter burst: frames at once; the same number again per `window`.
    package init(burst: Int, window: Nanoseconds = .seconds(10), at now: Instant) {
        self.burst = UInt64(max(burst, 1))
        self.window = max(window.count, 1)
        allowance = self.burst * self.window
        refilled = now
    }

    /// Counts one frame. False when there are too many.
    package mutating func take(at now: Instant) -> Bool {
        let elapsed = min(now.since(refilled).count, window)
        allowance = min(burst * window, allowance + elapsed * burst)
        refilled = max(refilled, now)
        guard allowance >= window else { return false }
        allowance -= window
        return true
    }
}
