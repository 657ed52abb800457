// Who is calling, as far as it is known now: the result of a look-up, kept by a connection between calls.

package import Contract
private import Synchronization

/// What an issuer said of a token, and when. A change of policy changes none of it.
struct Facts: Sendable {
    var identity: Identity
    var vocabulary: Vocabulary
    /// ``TrustedIssuer/opening`` of the issuer that was asked.
    var opening: UInt64
    /// When the issuer was asked: belief is counted from here.
    var askedAt: Instant
    var freshUntil: Instant
    var validUntil: Instant?
}

/// The facts about one active token with its grants. A connection keeps it and asks
/// ``Gatekeeper/isFresh(_:need:now:)`` before each call.
package final class Credential: Sendable {
    let facts: Facts
    package let grants: Grants
    /// Until when it is used without looking again.
    package let freshUntil: Instant
    /// From when the issuer is asked in the background, so that nobody waits for it.
    let refreshAt: Instant
    let ages: ScopeAges
    /// The issuer could not be reached: this is what it said before.
    package let isStale: Bool
    /// The policy and the purge it was judged after.
    let generation: UInt64
    /// This client's, shared by all its tokens and connections.
    package let account: Tenant
    private let refreshClaimed = Atomic<Bool>(false)
    private let withdrawn = Atomic<Bool>(false)

    init(
        facts: Facts, grants: Grants, ages: ScopeAges, generation: UInt64, account: Tenant,
        staleUntil: Instant? = nil
    ) {
        self.facts = facts
        self.grants = grants
        self.ages = ages
        self.generation = generation
        self.account = account
        isStale = staleUntil != nil
        freshUntil = staleUntil ?? facts.freshUntil
        let span = facts.freshUntil.since(facts.askedAt).count
        // An answer that lapses with its token is not refreshed: there will be nothing new.
        let endsWithToken = facts.validUntil.map { $0 <= facts.freshUntil } ?? false
        refreshAt =
            endsWithToken || staleUntil != nil
            ? Instant(nanoseconds: .max) : facts.askedAt + Nanoseconds(span / 5 * 4)
    }

    package var identity: Identity { facts.identity }
    /// When the token ends; nil when the issuer did not say.
    package var validUntil: Instant? { facts.validUntil }

    /// How long the token is still valid; nil when unknown.
    package func validFor(now: Instant) -> Nanoseconds? { validUntil?.since(now) }

    /// True when this caller may run the model; otherwise the model must look unknown.
    package func mayUse(_ model: String) -> Bool { grants.mayInfer(model) }

    /// True when this caller may know that the model exists (index, metadata, statistics).
    package func maySee(_ model: String) -> Bool { grants.maySee(model) }

    /// True when this caller may know what the model costs (accounts).
    package func mayRead(_ model: String) -> Bool { grants.mayRead(model) }

    /// RFC 8705 section 3: a bound token counts only on a session with that very certificate.
    func isBound(to digest: [UInt8]) -> Bool {
        identity.certificateDigest.isEmpty || identity.certificateDigest == digest
    }

    /// True for the one caller who shall look whether it is time to ask again.
    func claimRefresh() -> Bool { !refreshClaimed.exchange(true, ordering: .relaxed) }

    /// The issuer has said no since.
    func withdraw() { withdrawn.store(true, ordering: .relaxed) }
    var isWithdrawn: Bool { withdrawn.load(ordering: .relaxed) }

    /// True when the answer is young enough for this call.
    func isYoung(for need: CallNeed?, now: Instant) -> Bool {
        guard !ages.isEmpty, let need, let age = ages.ageMax(need) else { return true }
        return now < facts.askedAt + age
    }

    /// Bytes this object holds, with what the allocator adds.
    var byteCount: Int {
        let identity = facts.identity
        func text(_ text: String) -> Int { text.utf8.count < 16 ? 0 : text.utf8.count + 48 }
        var bytes = 352 + text(identity.client) + text(identity.subject) + grants.byteCount
        bytes += identity.scopes.reduce(48) { $0 + 16 + text($1) }
        bytes += identity.certificateDigest.isEmpty ? 0 : 80
        for (name, values) in identity.claims {
            bytes += 96 + text(name) + values.reduce(48) { $0 + 16 + text($1) }
        }
        return bytes
    }
}
