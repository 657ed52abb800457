// Work that would hold up an event loop, done on another thread.

package import NIOCore
import NIOPosix

/// Where such work is done: a few threads that all connections share.
package struct Aside: Sendable {
    /// Hands on a piece of work. It is called once, on any thread, and told whether it may still work.
    private let submit: @Sendable (@escaping @Sendable (_ isActive: Bool) -> Void) -> Void

    package init(
        submit: @escaping @Sendable (@escaping @Sendable (_ isActive: Bool) -> Void) -> Void
    ) {
        self.submit = submit
    }

    /// NIO's threads for blocking work.
    package static let pool = Aside { work in
        NIOThreadPool.singleton.submit { work($0 == .active) }
    }

    /// Does `work` and goes on with its value on the event loop it was asked from; with nil when the process is stopping.
    package func run<Value: Sendable>(
        on eventLoop: any EventLoop, _ work: @escaping @Sendable () -> Value,
        then next: @escaping (Value?) -> Void
    ) {
        let later = NIOLoopBound(next, eventLoop: eventLoop)
        submit { isActive in
            let value = isActive ? work() : nil
            eventLoop.execute { later.value(value) }
        }
    }
}
