// Who is calling, as far as it is known now: the result of a look-up, kept by a connection between calls.

package import Contract

/// The facts about one active token with its parsed grants. Immutable; a connection keeps it and asks
/// ``Gatekeeper/isFresh(_:now:)`` before each call.
package final class Credential: Sendable {
    package let identity: Identity
    package let grants: Grants
    /// Until when the issuer's word is believed without asking again.
    package let freshUntil: Instant
    /// When the token ends; nil when the issuer did not say.
    package let validUntil: Instant?
    /// The settings generation whose policy made `grants`.
    let generation: UInt64
    /// This client's, shared by all its tokens and connections.
    package let account: Tenant

    init(
        identity: Identity, grants: Grants, freshUntil: Instant, validUntil: Instant?,
        generation: UInt64, account: Tenant
    ) {
        self.identity = identity
        self.grants = grants
        self.freshUntil = freshUntil
        self.validUntil = validUntil
        self.generation = generation
        self.account = account
    }

    /// How long the token is still valid; nil when unknown.
    package func validFor(now: Instant) -> Nanoseconds? { validUntil?.since(now) }

    /// True when this caller may run the model; otherwise the model must look unknown.
    package func mayUse(_ model: String) -> Bool { grants.mayInfer(model) }

    /// True when this caller may know that the model exists (index, metadata, statistics).
    package func maySee(_ model: String) -> Bool { grants.maySee(model) }

    /// RFC 8705 section 3: a bound token counts only on a session with that very certificate.
    func isBound(to digest: [UInt8]) -> Bool {
        identity.certificateDigest.isEmpty || identity.certificateDigest == digest
    }

    /// Bytes this object is charged with in the cache.
    var byteCount: Int {
        256 + identity.client.utf8.count + identity.subject.utf8.count
            + identity.scopes.reduce(0) { $0 + 2 * $1.utf8.count + 32 }
    }
}
