// More loads than an operator wants to see: said once an hour at most.

import Contract
import Synchronization

/// When it was looked at and said.
struct LoadsWarning: Sendable {
    private static let lookInterval = Nanoseconds.seconds(15)
    private static let interval = Nanoseconds.seconds(3_600)
    private var looked: Instant?
    private var said: Instant?

    /// Whether to count loads now.
    mutating func isDue(_ now: Instant) -> Bool {
        if let looked, now.since(looked) < LoadsWarning.lookInterval { return false }
        looked = now
        guard let said else { return true }
        return now.since(said) >= LoadsWarning.interval
    }

    mutating func say(_ now: Instant) { said = now }
}

extension Fleet {
    /// Called by ``look(_:)``.
    func warnOfLoads(_ now: Instant) {
        let limit = loaders.wishes.now.loadsWarn
        guard limit > 0, loadsWarning.withLock({ $0.isDue(now) }) else { return }
        let account = account(now: now)
        guard account.loadsLastHour > limit else { return }
        loadsWarning.withLock { $0.say(now) }
        observer.loadsAreMany(account, limit: limit)
    }
}
