// A thread with a name that `top -H` and a debugger show.

private import Foundation

/// Starts threads that live as long as the gateway.
enum NamedThread {
    /// At most 15 characters are shown.
    static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let thread = Thread {
            Thread.current.name = name
            body()
        }
        // Models with deep graphs recurse; the default of a secondary thread may be small.
        thread.stackSize = 8 << 20
        thread.start()
    }
}
