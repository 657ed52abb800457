// Which calls are exported: decided when a call begins, by its caller or by chance, and once more at its end, when it is known
// how it went.

package import Contract

/// `traces`, as far as it is about which calls.
package struct TracePolicy: Sendable, Equatable {
    /// Of the calls that nobody has decided for, 0...1.
    package var ratio = 0.01
    /// A caller that sends a trace context has decided, by its sampled flag.
    package var follows = true
    /// All failures of callers that are known, too.
    package var errors = true
    /// All calls that waited for their model, too.
    package var cold = true

    package init() {}

    /// By chance: the same calls for the same number, whoever is asked, and more of them for a higher ratio. As OpenTelemetry's
    /// ratio samplers do it: the lower 56 bits against a threshold.
    package func chooses(_ number: UInt64) -> Bool {
        let threshold = UInt64((1 - min(max(ratio, 0), 1)) * Double(1 << 56 as UInt64))
        return number & (1 << 56 - 1) >= threshold
    }

    /// At the call's begin.
    func begins(_ span: OpenSpan) -> Bool {
        if follows, let parent = span.parent { return parent.isSampled }
        return chooses(span.traceNumber)
    }

    /// At its end.
    /// - Parameter own: a number that no caller has chosen.
    func ends(_ span: OpenSpan, _ call: CallRecord, own: () -> UInt64) -> Bool {
        // Who has shown no token that counts decides nothing: its trace id is its own choice.
        guard !call.client.isEmpty else { return chooses(own()) }
        return span.isSampled || (errors && call.code != .ok) || (cold && call.timing.cold)
    }
}

/// A call's own span while the call is open. Most are never exported: what they would be called is made up when they are.
package struct OpenSpan: Sendable {
    let parent: TraceContext?
    /// Its ids are made of it.
    let seed: UInt64
    /// The lower half of the trace's id.
    let traceNumber: UInt64
    /// What was decided at the begin; what is decided at the end counts.
    package internal(set) var isSampled = false
}

/// Names spans and decides which of them are exported. Usable from every thread; it takes no lock.
package final class Tracer: Sendable {
    package let policy: TracePolicy
    private let identifiers: SpanIdentifiers

    package init(_ policy: TracePolicy, identifiers: SpanIdentifiers = SpanIdentifiers()) {
        self.policy = policy
        self.identifiers = identifiers
    }

    /// A call begins.
    /// - Parameter parent: what its caller sent.
    package func begin(_ parent: TraceContext?) -> OpenSpan {
        var span = identifiers.open(parent)
        span.isSampled = policy.begins(span)
        return span
    }

    /// What it is called when it is exported; the same each time.
    package func context(of span: OpenSpan) -> TraceContext { identifiers.context(of: span) }

    /// A call has ended: the span to export it as, nil for the others.
    package func end(_ span: OpenSpan, _ call: CallRecord) -> TraceContext? {
        policy.ends(span, call, own: { identifiers.number(of: span) }) ? context(of: span) : nil
    }
}
