// A connection's calls are mostly alike: what they have in common is put together once for all of them.

package import Admission
package import Catalogue
package import Contract

/// The kind of a connection's last call.
package struct RecentKind {
    private var kind: CallKind?
    private var entry: ModelEntry?
    private var caller: Credential?
    /// Nil: the call was answered well.
    private var failed: (code: StatusCode, reason: Reason)?

    package init() {}

    /// The kind of the call before, when this one is the same in everything: they have a connection and its door in common.
    package func known(
        _ method: Method, _ model: String, _ version: String, _ entry: ModelEntry?,
        _ caller: Credential?, plan: String, _ failure: CallFailure?
    ) -> CallKind? {
        guard let kind, entry === self.entry, caller === self.caller, hasEnded(as: failure),
            kind.traits.method == method, kind.traits.asked.model == model,
            kind.traits.asked.version == version, kind.traits.plan == plan
        else { return nil }
        return kind
    }

    private func hasEnded(as failure: CallFailure?) -> Bool {
        guard let failure else { return failed == nil }
        guard let failed else { return false }
        return failed.code == failure.code && failed.reason == failure.reason
    }

    /// A new kind, which the next call may be of.
    package mutating func learn(
        _ call: Call, _ entry: ModelEntry?, _ caller: Credential?, plan: String,
        _ failure: CallFailure?, from peer: Peer
    ) -> CallKind {
        var traits = CallTraits(call)
        if let entry { (traits.model, traits.version) = (entry.name, entry.version) }
        if let failure { (traits.code, traits.reason) = (failure.code, failure.reason) }
        if let account = caller?.account {
            (traits.issuer, traits.client) = (account.issuer, account.client)
        }
        traits.plan = plan
        (traits.address, traits.connection) = (peer.address, peer.connection)
        let new = CallKind(traits)
        // What a caller wrote is not kept when it is long.
        if call.model.utf8.count + call.version.utf8.count <= AccessLines.textBytesMax {
            (kind, self.entry, self.caller) = (new, entry, caller)
            failed = failure.map { ($0.code, $0.reason) }
        }
        return new
    }
}
