// Ids of traces and spans: a counter under a keyed hash. Nobody who sees some of them knows the next, and no call asks the kernel.

import Contract
import Synchronization

/// Usable from every thread.
package final class SpanIdentifiers: Sendable {
    private let key: (UInt64, UInt64)
    private let counter = Atomic<UInt64>(0)

    /// - Parameter key: random, of this process; a test's own.
    package init(key: (UInt64, UInt64) = (.random(in: 0...(.max)), .random(in: 0...(.max)))) {
        self.key = key
    }

    /// For one call.
    func open(_ parent: TraceContext?) -> OpenSpan {
        let first = counter.add(3, ordering: .relaxed).oldValue
        return OpenSpan(
            parent: parent, newTrace: (hash(first), hash(first &+ 1)), number: hash(first &+ 2))
    }

    /// For one span inside of a call.
    func next() -> UInt64 { hash(counter.add(1, ordering: .relaxed).oldValue) }

    /// SipHash of the standard library; never zero, which would be no id.
    private func hash(_ number: UInt64) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(key.0)
        hasher.combine(key.1)
        hasher.combine(number)
        return max(1, UInt64(truncatingIfNeeded: hasher.finalize()))
    }
}
