// The identity cache as a value: instants in, decisions out. Waiters are plain numbers.

import Admission
import Contract
import Testing

private typealias Cache = IdentityCache<Int>

private func key(_ number: Int) -> CacheKey {
    CacheKey(digest: (0..<32).map { UInt8(truncatingIfNeeded: number >> (($0 % 8) * 8)) })
}

private struct Nobody: TokenVerifier {
    func verify(_ token: Secret) async throws(CallFailure) -> Verdict { .inactive }
}

private func issuer(maxTTL: UInt64 = 30, stale: UInt64 = 0) -> TrustedIssuer {
    TrustedIssuer(
        name: "main", verifier: Nobody(), vocabulary: .foreign, maxTTL: .seconds(maxTTL),
        stale: .seconds(stale))
}
private let main = issuer()

private func unbudgeted() -> AdmissionLimits {
    var limits = AdmissionLimits()
    limits.lookupsPerAddress = nil
    limits.lookupsInAll = nil
    return limits
}

private func at(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(seconds * 1e9)) }

private func identity(
    client: String = "app", validFor seconds: UInt64? = nil
) -> Identity {
    Identity(
        issuer: "main", client: client, subject: "", scopes: ["infer:*"],
        validFor: seconds.map { .seconds($0) })
}

private func active(
    client: String = "app", validFor seconds: UInt64? = nil
) -> LookupOutcome {
    .active(identity(client: client, validFor: seconds))
}

extension IdentityCache<Int> {
    fileprivate mutating func ask(
        _ number: Int, waiter: Int = 0, of issuer: TrustedIssuer = main, from address: String = "",
        need: CallNeed? = nil, now: Instant
    ) -> Asked {
        ask(
            Shown(
                key: key(number), token: Secret("token\(number)"), issuer: issuer,
                address: address, need: need),
            waiter: waiter, id: UInt64(waiter), now: now)
    }

    /// Asks and answers at once.
    fileprivate mutating func learn(
        _ number: Int, _ outcome: LookupOutcome, of issuer: TrustedIssuer = main, now: Instant
    ) {
        guard case .waits(let lookup?) = ask(number, of: issuer, now: now) else {
            Issue.record("a look-up was expected for \(number)")
            return
        }
        _ = settle(lookup, outcome, started: now, now: now)
        #expect(finished(lookup)?.key == nil)
    }
}

extension Asked {
    fileprivate var credential: Credential? {
        if case .known(let credential, _) = self { credential } else { nil }
    }
    fileprivate var failure: CallFailure? {
        if case .refused(let failure) = self { failure } else { nil }
    }
    fileprivate var lookup: Lookup? {
        if case .waits(let start) = self { start } else { nil }
    }
    fileprivate var waits: Bool {
        if case .waits = self { true } else { false }
    }
}

@Suite struct IdentityCacheTests {
    @Test(
        arguments: [
            // valid for, max_ttl, believed for
            (3_600, 30, 30.0), (5, 30, 5), (3_600, 0, 0), (nil, 30, 10), (nil, 4, 4), (30, 30, 30),
        ] as [(UInt64?, UInt64, Double)])
    func anActiveAnswerIsBelieved(validFor: UInt64?, maxTTL: UInt64, believed: Double) {
        var cache = Cache(limits: unbudgeted())
        let issuer = issuer(maxTTL: maxTTL)
        cache.learn(1, active(validFor: validFor), of: issuer, now: at(100))
        if believed > 0 {
            #expect(cache.ask(1, of: issuer, now: at(100 + believed - 0.001)).credential != nil)
        }
        let lapsed = cache.ask(1, of: issuer, now: at(100 + believed))
        #expect(lapsed.waits)
    }

    @Test func beliefStartsWithTheQuestionAndValidityWithTheAnswer() throws {
        var cache = Cache(limits: unbudgeted())
        let lookup = try #require(cache.ask(1, now: at(0)).lookup)
        let settled = cache.settle(lookup, active(validFor: 60), started: at(1), now: at(3))
        let credential = try settled.result.get()
        #expect(credential.freshUntil == at(31))
        #expect(credential.validUntil == at(63))
        #expect(credential.validFor(now: at(13)) == .seconds(50))
    }

    @Test func aNegativeAnswerIsBelievedForFiveSeconds() {
        var cache = Cache(limits: unbudgeted())
        cache.learn(1, .inactive, now: at(0))
        #expect(cache.ask(1, now: at(4.999)).failure?.reason == .tokenInactive)
        #expect(cache.ask(1, now: at(5)).lookup != nil)
    }

    @Test func aTokenThatWasKnownToEndHasExpired() {
        var cache = Cache(limits: unbudgeted())
        cache.learn(1, active(validFor: 5), now: at(0))
        cache.learn(1, .inactive, now: at(6))
        #expect(cache.ask(1, now: at(7)).failure?.reason == .tokenExpired)
        // Revoked before its time: it is only known not to be active.
        cache.learn(2, active(validFor: 500), now: at(10))
        cache.learn(2, .inactive, now: at(41))
        #expect(cache.ask(2, now: at(42)).failure?.reason == .tokenInactive)
        #expect(cache.activeCount == 0)
        cache.learn(3, .expired, now: at(50))
        #expect(cache.ask(3, now: at(51)).failure?.reason == .tokenExpired)
    }

    @Test func aFailureIsHandedOnAndForgottenAtOnce() throws {
        let down = CallFailure(.unavailable, .issuerUnavailable, "down")
        var cache = Cache(limits: unbudgeted())
        let lookup = try #require(cache.ask(1, waiter: 1, now: at(0)).lookup)
        #expect(cache.ask(1, waiter: 2, now: at(0)).waits)
        let settled = cache.settle(lookup, .failed(down), started: at(0), now: at(1))
        #expect(Set(settled.waiters) == [1, 2])
        guard case .failure(let failure) = settled.result else {
            Issue.record("a failure was expected")
            return
        }
        #expect(failure.code == .unavailable && failure.notStarted && failure.retryAfter != nil)
        #expect(cache.ask(1, now: at(1.2)).failure?.reason == .issuerUnavailable)
        #expect(cache.ask(1, now: at(1.25)).waits)
    }

    @Test func aFailedRenewalIsClosedNotStale() {
        var cache = Cache(limits: unbudgeted())
        cache.learn(1, active(validFor: 3_600), now: at(0))
        let down = CallFailure(.unavailable, .issuerUnavailable, "down")
        cache.learn(1, .failed(down), now: at(31))
        #expect(cache.ask(1, now: at(31.1)).failure?.code == .unavailable)
        #expect(cache.ask(1, now: at(32)).waits)
    }

    @Test func oneLookupHoweverManyAsk() throws {
        var cache = Cache(limits: unbudgeted())
        let lookup = try #require(cache.ask(1, waiter: 0, now: at(0)).lookup)
        for waiter in 1..<1_000 {
            let asked = cache.ask(1, waiter: waiter, now: at(0))
            #expect(asked.waits && asked.lookup?.key == nil)
        }
        let settled = cache.settle(lookup, active(), started: at(0), now: at(0))
        #expect(settled.waiters.count == 1_000)
        #expect(cache.waiterCount == 0)
    }

    @Test func aFloodOfUnknownTokensNeverEvictsAKnownOne() {
        var limits = unbudgeted()
        limits.inactiveBytes = 20_000
        var cache = Cache(limits: limits)
        for number in 0..<10 { cache.learn(number, active(validFor: 3_600), now: at(0)) }
        for number in 1_000..<6_000 {
            cache.learn(number, .inactive, now: at(1))
            #expect(cache.inactiveBytes <= 20_000)
        }
        for number in 0..<10 { #expect(cache.ask(number, now: at(2)).credential != nil) }
    }

    @Test func entriesAndBytesAreBounded() {
        var limits = unbudgeted()
        limits.activeBytes = 50_000
        var cache = Cache(limits: limits)
        for number in 0..<1_000 {
            let name = String(repeating: "x", count: number)
            cache.learn(number, active(client: name, validFor: 60), now: at(0))
            #expect(cache.activeBytes <= 50_000)
        }
        #expect(cache.ask(999, now: at(0)).credential != nil)
    }

    @Test func aWaiterMayLeave() throws {
        var cache = Cache(limits: unbudgeted())
        let lookup = try #require(cache.ask(1, waiter: 7, now: at(0)).lookup)
        #expect(cache.ask(1, waiter: 8, now: at(0)).waits)
        #expect(cache.leave(key(1), id: 7) == 7)
        #expect(cache.leave(key(1), id: 7) == nil)
        #expect(cache.leave(key(2), id: 8) == nil)
        #expect(cache.settle(lookup, active(), started: at(0), now: at(0)).waiters == [8])
        #expect(cache.waiterCount == 0)
    }

    @Test func aPurgeForgetsWhatIsBeingAskedToo() throws {
        var cache = Cache(limits: unbudgeted())
        cache.learn(1, active(validFor: 60), now: at(0))
        cache.learn(2, .inactive, now: at(0))
        let underWay = try #require(cache.ask(3, waiter: 5, now: at(0)).lookup)
        cache.beginPurge()
        for part in 0..<cache.partCount { _ = cache.purge(part: part) { _ in true } }
        cache.endPurge()
        let settled = cache.settle(underWay, active(), started: at(0), now: at(0))
        #expect(settled.waiters == [5])
        #expect(cache.activeCount == 0)
        #expect(cache.ask(1, now: at(0)).waits)
    }

    @Test func stoppingTellsEverybody() throws {
        var limits = unbudgeted()
        limits.lookups = 1
        limits.lookupsForKnown = 0
        var cache = Cache(limits: limits)
        cache.learn(9, active(validFor: 60), now: at(0))
        let lookup = try #require(cache.ask(1, waiter: 1, now: at(0)).lookup)
        #expect(cache.ask(2, waiter: 2, now: at(0)).waits)
        let left = cache.stop()
        #expect(Set(left.waiters) == [1, 2])
        #expect(cache.settle(lookup, active(), started: at(0), now: at(0)).waiters.isEmpty)
        #expect(cache.finished(lookup)?.key == nil)
        #expect(cache.ask(3, now: at(0)).failure?.reason == .stopping)
        #expect(cache.ask(9, now: at(0)).credential != nil)
    }
}

@Suite struct LookupQueueTests {
    private var limits: AdmissionLimits {
        var limits = unbudgeted()
        limits.lookups = 4
        limits.lookupsForKnown = 1
        limits.queuedLookups = 3
        return limits
    }

    @Test func lookupsAreBoundedAndTheRestWaits() throws {
        var cache = Cache(limits: limits)
        let started = (0..<6).compactMap { cache.ask($0, waiter: $0, now: at(0)).lookup }
        #expect(started.count == 3 && cache.runningLookups == 3 && cache.queuedLookups == 3)
        let refused = cache.ask(6, waiter: 6, now: at(0)).failure
        #expect(refused?.code == .resourceExhausted && refused?.retryAfter != nil)
        _ = cache.settle(started[0], .inactive, started: at(0), now: at(0))
        // The slot is free only when the verifier has returned.
        #expect(cache.ask(7, waiter: 7, now: at(0)).failure != nil)
        #expect(cache.finished(started[0])?.key == key(3))
        #expect(cache.ask(8, waiter: 8, now: at(0)).waits)
    }

    @Test func aKnownTokenIsRenewedDuringAFlood() throws {
        var cache = Cache(limits: limits)
        cache.learn(100, active(validFor: 3_600), now: at(0))
        for number in 0..<6 { #expect(cache.ask(number, waiter: number, now: at(40)).waits) }
        #expect(cache.ask(6, now: at(40)).failure != nil)
        let renewal = try #require(cache.ask(100, waiter: 100, now: at(40)).lookup)
        #expect(renewal.known && cache.runningLookups == 4)
        // Its slot is kept for known tokens.
        _ = cache.settle(renewal, active(), started: at(40), now: at(40))
        #expect(cache.finished(renewal)?.key == nil)
    }

    @Test func nobodyIsAskedForThoseWhoLeft() throws {
        var cache = Cache(limits: limits)
        let started = (0..<3).compactMap { cache.ask($0, waiter: $0, now: at(0)).lookup }
        #expect(cache.ask(3, waiter: 3, now: at(0)).waits)
        #expect(cache.ask(4, waiter: 4, now: at(0)).waits)
        #expect(cache.leave(key(3), id: 3) == 3)
        _ = cache.settle(started[0], .inactive, started: at(0), now: at(0))
        #expect(cache.finished(started[0])?.key == key(4))
        #expect(cache.ask(3, waiter: 9, now: at(0)).waits)
    }

    @Test func waitersAreBounded() {
        var limits = limits
        limits.waiters = 5
        var cache = Cache(limits: limits)
        for waiter in 0..<5 { #expect(cache.ask(1, waiter: waiter, now: at(0)).waits) }
        let failure = cache.ask(1, waiter: 5, now: at(0)).failure
        #expect(failure?.code == .resourceExhausted && failure?.message.contains("5") == true)
    }

    @Test func clientsAreBoundedAndIdleOnesDropped() throws {
        var limits = unbudgeted()
        limits.clients = 10
        limits.activeBytes = 8_000
        var cache = Cache(limits: limits)
        for number in 0..<100 {
            cache.learn(number, active(client: "c\(number)", validFor: 60), now: at(0))
            #expect(cache.accountCount <= 10)
        }
        // Two tokens of one client share its slots.
        cache.learn(200, active(client: "same", validFor: 60), now: at(0))
        cache.learn(201, active(client: "same", validFor: 60), now: at(0))
        let first = try #require(cache.ask(200, now: at(0)).credential)
        let second = try #require(cache.ask(201, now: at(0)).credential)
        #expect(first.account === second.account)
    }

    /// Anything in any order: slots, queues and waiters are never lost and never exceed their bounds.
    @Test func randomWalk() {
        for _ in 0..<20 {
            let seed = UInt64.random(in: 0..<10_000)
            var random = SplitMix(seed: seed)
            var cache = Cache(limits: limits)
            var running: [(lookup: Lookup, settled: Bool)] = []
            var waiting: [Int: Int] = [:]  // waiter: token
            var now = 0.0
            for step in 0..<2_000 {
                now += Double(random.next() % 1_000) / 500
                switch random.next() % 5 {
                case 0, 1:
                    let token = Int(random.next() % 12)
                    switch cache.ask(token, waiter: step, now: at(now)) {
                    case .waits(let start):
                        waiting[step] = token
                        if let start { running.append((start, false)) }
                    case .known(let credential, let refresh):
                        if let refresh { running.append((refresh, false)) }
                        #expect(at(now) < credential.freshUntil, "seed \(seed)")
                    case .refused: break
                    }
                case 2:
                    guard let (waiter, token) = waiting.randomElement(using: &random) else { break }
                    #expect(cache.leave(key(token), id: UInt64(waiter)) == waiter, "seed \(seed)")
                    waiting[waiter] = nil
                case 3:
                    guard let index = running.indices.randomElement(using: &random),
                        !running[index].settled
                    else { break }
                    running[index].settled = true
                    let outcomes: [LookupOutcome] = [
                        active(validFor: random.next() % 60), active(), .inactive, .expired,
                        .failed(CallFailure(.unavailable, .none, "x")),
                    ]
                    let settled = cache.settle(
                        running[index].lookup, outcomes[Int(random.next() % 5)], started: at(now),
                        now: at(now))
                    for waiter in settled.waiters {
                        #expect(waiting.removeValue(forKey: waiter) != nil, "seed \(seed)")
                    }
                default:
                    guard let index = running.firstIndex(where: { $0.settled }) else { break }
                    let done = running.remove(at: index)
                    if let next = cache.finished(done.lookup) { running.append((next, false)) }
                }
                #expect(cache.waiterCount == waiting.count, "seed \(seed) step \(step)")
                #expect(cache.runningLookups == running.count, "seed \(seed) step \(step)")
                #expect(running.count <= 4 && cache.queuedLookups <= 6, "seed \(seed)")
            }
            // Draining leaves nothing behind.
            while let done = running.popLast() {
                if !done.settled {
                    let settled = cache.settle(
                        done.lookup, .inactive, started: at(now), now: at(now))
                    for waiter in settled.waiters { waiting[waiter] = nil }
                }
                if let next = cache.finished(done.lookup) { running.append((next, false)) }
            }
            #expect(waiting.isEmpty && cache.waiterCount == 0, "seed \(seed)")
        }
    }
}

@Suite struct CacheKeyTests {
    /// The map holds digests, compared whole: half a right one finds nothing.
    @Test func everyBitCounts() {
        let digest = (0..<32).map { UInt8($0 * 7) }
        let segment: Segment<Int> = {
            var segment = Segment<Int>(bytesMax: 4 << 20)
            segment.insert(1, for: CacheKey(digest: digest), bytes: 1)
            return segment
        }()
        #expect(segment.contains(CacheKey(digest: digest)))
        for bit in 0..<256 {
            var other = digest
            other[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(!segment.contains(CacheKey(digest: other)), "bit \(bit)")
        }
    }
}

@Suite struct RecentlyUsedTests {
    @Test func theLeastRecentlyUsedGoesFirst() {
        var map = RecentlyUsed<String>(bytesMax: 3)
        for number in 1...3 { map.insert("v\(number)", for: key(number), bytes: 1) }
        #expect(map.use(key(1)) == "v1")
        map.insert("v4", for: key(4), bytes: 1)
        #expect(map.contains(key(1)) && !map.contains(key(2)) && map.contains(key(3)))
    }

    @Test func aValueLargerThanTheRoomIsNotKept() {
        var map = RecentlyUsed<Int>(bytesMax: 100)
        map.insert(1, for: key(1), bytes: 60)
        map.insert(2, for: key(2), bytes: 101)
        #expect(map.contains(key(1)) && !map.contains(key(2)))
        map.insert(3, for: key(3), bytes: 100)
        #expect(!map.contains(key(1)) && map.bytes == 100)
        map.insert(3, for: key(3), bytes: 1)
        #expect(map.bytes == 1 && map.count == 1)
    }

    @Test func randomWalkAgainstAnArray() {
        let seed = UInt64.random(in: 0..<10_000)
        var random = SplitMix(seed: seed)
        var map = RecentlyUsed<Int>(bytesMax: 50)
        var model: [(key: Int, value: Int, bytes: Int)] = []  // newest last
        for step in 0..<20_000 {
            let number = Int(random.next() % 16)
            switch random.next() % 4 {
            case 0, 1:
                let bytes = Int(random.next() % 20)
                map.insert(step, for: key(number), bytes: bytes)
                model.removeAll { $0.key == number }
                while model.reduce(0, { $0 + $1.bytes }) > 50 - bytes {
                    model.removeFirst()
                }
                model.append((number, step, bytes))
            case 2:
                let expected = model.firstIndex { $0.key == number }
                #expect(map.use(key(number)) == expected.map { model[$0].value }, "seed \(seed)")
                if let expected { model.append(model.remove(at: expected)) }
            default:
                map.remove(key(number))
                model.removeAll { $0.key == number }
            }
            #expect(map.count == model.count, "seed \(seed) step \(step)")
            #expect(map.bytes == model.reduce(0) { $0 + $1.bytes }, "seed \(seed) step \(step)")
        }
    }
}

/// A small seeded generator (SplitMix64).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
