// When an issuer's keys are fetched, and whether those at hand still count. A value: questions and outcomes in,
// decisions out; it knows no clock, no lock and no network.
//
// Keys are fetched when the first token comes, when they are older than the issuer's max-age, and at once when a
// token names one that is not there: at most one fetch at a time, and with growing pauses, so that neither an
// issuer in trouble nor a caller who makes names up is answered by a storm. While fetches fail the old keys stay,
// for a day at most.

package import Contract

/// The bounds of keeping keys.
package struct KeyCareLimits: Sendable, Equatable {
    /// Bounds of the issuer's `max-age`, and what counts when it names none.
    package var ageMin = Nanoseconds.seconds(300)
    package var ageMax = Nanoseconds.seconds(86_400)
    package var ageDefault = Nanoseconds.seconds(3_600)
    /// For how long keys past their age are used while newer ones are on their way. Later, callers wait for them.
    package var grace = Nanoseconds.seconds(60)
    /// Keys older than this are not believed, whatever the issuer's state.
    package var keptMax = Nanoseconds.seconds(86_400)
    /// Between fetches that failed or did not bring the key that was wanted; doubles each time.
    package var pauseMin = Nanoseconds.seconds(10)
    package var pauseMax = Nanoseconds.seconds(300)
    /// The same while there are no keys at all and nobody can be let in.
    package var emptyPauseMin = Nanoseconds.seconds(1)
    package var emptyPauseMax = Nanoseconds.seconds(30)

    package init() {}
}

/// The keys of one issuer.
package struct KeyCare: Sendable {
    /// What to do with a token.
    package enum Answer: Sendable, Equatable {
        /// Check it with this key; with `fetch`, begin a fetch that nobody waits for.
        case use(KeySet.Key, fetch: Bool)
        /// Wait for the fetch under way; with `fetch`, begin it.
        case wait(fetch: Bool)
        /// The issuer has no such key.
        case unknown
        /// The issuer cannot be asked, so nobody knows.
        case unavailable
    }

    package private(set) var keys: KeySet?
    package private(set) var isFetching = false
    private let limits: KeyCareLimits
    private var fetchedAt = Instant(nanoseconds: 0)
    private var staleFrom = Instant(nanoseconds: 0)
    private var lastFailed = false
    private var failures = 0
    private var failurePauseUntil = Instant(nanoseconds: 0)
    private var misses = 0
    private var missPauseUntil = Instant(nanoseconds: 0)
    /// The key that the fetch under way is about; nil when it is about age.
    private var wanted: Wanted?

    private struct Wanted: Sendable {
        var id: String?
        var algorithm: SignatureAlgorithm
    }

    package init(limits: KeyCareLimits = KeyCareLimits()) { self.limits = limits }

    /// A token came that names this key (nil: none) and algorithm.
    package mutating func ask(
        id: String?, algorithm: SignatureAlgorithm, now: Instant
    ) -> Answer {
        guard let keys, now < fetchedAt + limits.keptMax else {
            if isFetching { return .wait(fetch: false) }
            guard now >= failurePauseUntil else { return .unavailable }
            return .wait(fetch: begin(nil))
        }
        guard let key = keys.key(id: id, for: algorithm) else {
            if isFetching { return .wait(fetch: false) }
            guard now >= failurePauseUntil else { return .unavailable }
            guard now >= missPauseUntil else { return lastFailed ? .unavailable : .unknown }
            return .wait(fetch: begin(Wanted(id: id, algorithm: algorithm)))
        }
        if now < staleFrom { return .use(key, fetch: false) }
        if isFetching {
            return now < staleFrom + limits.grace ? .use(key, fetch: false) : .wait(fetch: false)
        }
        if now < failurePauseUntil { return .use(key, fetch: false) }
        _ = begin(nil)
        return now < staleFrom + limits.grace ? .use(key, fetch: true) : .wait(fetch: true)
    }

    private mutating func begin(_ wanted: Wanted?) -> Bool {
        isFetching = true
        self.wanted = wanted
        return true
    }

    /// The fetch brought keys. `maxAge` is what the issuer says; nil when it says nothing.
    package mutating func fetched(_ keys: KeySet, maxAge: Nanoseconds?, now: Instant) {
        isFetching = false
        self.keys = keys
        fetchedAt = now
        staleFrom =
            now + min(max(maxAge ?? limits.ageDefault, limits.ageMin), limits.ageMax)
        lastFailed = false
        failures = 0
        failurePauseUntil = now
        guard let wanted else { return }
        self.wanted = nil
        if keys.key(id: wanted.id, for: wanted.algorithm) != nil
            || now > missPauseUntil + limits.pauseMax
        {
            misses = 0
        }
        missPauseUntil = now + pause(misses, limits.pauseMin, limits.pauseMax)
        misses += 1
    }

    /// The fetch failed: the old keys stay.
    package mutating func failed(now: Instant) {
        isFetching = false
        wanted = nil
        lastFailed = true
        let isEmpty = keys == nil || now >= fetchedAt + limits.keptMax
        failurePauseUntil =
            now
            + pause(
                failures, isEmpty ? limits.emptyPauseMin : limits.pauseMin,
                isEmpty ? limits.emptyPauseMax : limits.pauseMax)
        failures += 1
    }

    private func pause(_ times: Int, _ minimum: Nanoseconds, _ maximum: Nanoseconds) -> Nanoseconds
    {
        let (count, overflow) = minimum.count.multipliedReportingOverflow(
            by: 1 << UInt64(min(times, 32)))
        return overflow ? maximum : min(Nanoseconds(count), maximum)
    }
}
