// A thread with a name that `top -H` and a debugger show.

private import Foundation

#if canImport(Glibc)
    private import Glibc
#endif

/// Starts threads that live as long as the gateway.
enum NamedThread {
    /// Who goes first when there are too few cores, as nice values (setpriority(2)). Event loops have 0: they need a core for
    /// microseconds, and the kernel would let them wait for milliseconds of a run or a load.
    enum Patience: Int32 {
        case none = 0
        /// A run: a third of an event loop's share while both want a core.
        case run = 5
        /// A load: a tenth.
        case load = 10
    }

    /// `name`: at most 15 characters are shown.
    static func start(
        _ name: String, patience: Patience = .none, _ body: @escaping @Sendable () -> Void
    ) {
        let thread = Thread {
            Thread.current.name = name
            // On Linux it is a thread's own; anybody may give way. Where it fails nothing is lost.
            if patience != .none {
                _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, patience.rawValue)
            }
            body()
        }
        // Models with deep graphs recurse; the default of a secondary thread may be small.
        thread.stackSize = 8 << 20
        thread.start()
    }
}
