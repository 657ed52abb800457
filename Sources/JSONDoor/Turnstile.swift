// Turns of connections that have more requests at once than one turn serves: their neighbours on the event loop go between.

import NIOCore
import Synchronization

/// The connections of one event loop that wait for their next turn. Used on that loop only.
///
/// One turn at a time, each followed by a look at the sockets: a task that is due at once would run before it.
final class Turnstile {
    /// Longer than it takes the loop to see that nothing else is due.
    static let pause = TimeAmount.microseconds(50)

    private let eventLoop: any EventLoop
    private var waiting = CircularBuffer<HTTPConnectionHandler>()
    private var isSet = false

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Each connection waits at most once.
    func wait(_ connection: HTTPConnectionHandler) {
        waiting.append(connection)
        set()
    }

    private func set() {
        guard !isSet, !waiting.isEmpty else { return }
        isSet = true
        eventLoop.assumeIsolated().scheduleTask(in: Turnstile.pause) { [self] in
            isSet = false
            waiting.popFirst()?.takeTurn()
            set()
        }
    }
}

@available(*, unavailable) extension Turnstile: Sendable {}

/// The turnstile of each event loop.
final class Turnstiles: Sendable {
    private let all = Mutex<[ObjectIdentifier: NIOLoopBound<Turnstile>]>([:])

    /// On that event loop.
    func turnstile(of eventLoop: any EventLoop) -> Turnstile {
        let bound = all.withLock { all in
            if let known = all[ObjectIdentifier(eventLoop)] { return known }
            let new = NIOLoopBound(Turnstile(eventLoop), eventLoop: eventLoop)
            all[ObjectIdentifier(eventLoop)] = new
            return new
        }
        return bound.value
    }
}
