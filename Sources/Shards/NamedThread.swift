// A thread with a name that `top -H` and a debugger show.

private import Foundation
private import OnnxRuntime

/// Starts threads that live as long as the gateway.
enum NamedThread {
    /// `name`: at most 15 characters are shown. `yields`: gives way to threads that do not when there are too few cores.
    static func start(
        _ name: String, yields: Bool = false, _ body: @escaping @Sendable () -> Void
    ) {
        let thread = Thread {
            Thread.current.name = name
            if yields { ThreadRank.giveWay() }
            body()
        }
        // Models with deep graphs recurse; the default of a secondary thread may be small.
        thread.stackSize = 8 << 20
        thread.start()
    }
}
