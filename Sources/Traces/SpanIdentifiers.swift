// Ids of traces and spans: a counter under a keyed hash. Nobody who sees some of them knows the next, and no call asks the kernel.

import Contract
import Synchronization

/// Usable from every thread.
package final class SpanIdentifiers: Sendable {
    private let key: UInt64
    private let counter = Atomic<UInt64>(0)

    /// - Parameter key: random, of this process.
    package init(key: UInt64 = .random(in: 0...(.max))) { self.key = key }

    /// For one call.
    func open(_ parent: TraceContext?) -> OpenSpan {
        let seed = counter.add(3, ordering: .relaxed).oldValue
        let low =
            parent.map { $0.traceID.suffix(8).reduce(0) { $0 << 8 | UInt64($1) } } ?? hash(seed)
        return OpenSpan(parent: parent, seed: seed, traceNumber: low)
    }

    func context(of span: OpenSpan) -> TraceContext {
        TraceContext(
            childOf: span.parent, newTrace: (hash(span.seed &+ 1), span.traceNumber),
            span: number(of: span), isSampled: true)
    }

    /// A call's own span's id.
    func number(of span: OpenSpan) -> UInt64 { hash(span.seed &+ 2) }

    /// For one span inside of a call.
    func next() -> UInt64 { hash(counter.add(1, ordering: .relaxed).oldValue) }

    /// SipHash of the standard library, seeded by the process; never zero, which would be no id.
    private func hash(_ number: UInt64) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(key &+ number)
        return max(1, UInt64(truncatingIfNeeded: hasher.finalize()))
    }
}
