// The contexts in force: what new connections read and a reload replaces.

private import Synchronization

/// The contexts in force, one for each event loop. New connections read theirs; a reload replaces all of them at
/// once, and sessions that are open keep the one they have. May be used from any thread.
package final class TLSContextBox: Sendable {
    private let contexts: Mutex<[TLSServerContext]>

    /// - Parameter contexts: at least one.
    package init(_ contexts: [TLSServerContext]) {
        precondition(!contexts.isEmpty, "at least one context")
        self.contexts = Mutex(contexts)
    }

    /// The context for the event loop with this index.
    package func context(for index: Int = 0) -> TLSServerContext {
        contexts.withLock { contexts in contexts[index % contexts.count] }
    }

    /// Takes new contexts, already checked by having been made.
    package func replace(with fresh: [TLSServerContext]) {
        precondition(!fresh.isEmpty, "at least one context")
        contexts.withLock { contexts in contexts = fresh }
    }

    /// When the certificate in force ends, in seconds since 1970.
    package var certificateExpiry: Int64 { context().certificateExpiry }
}
