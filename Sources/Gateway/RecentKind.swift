// A connection's calls are mostly alike: what they have in common is put together once for all of them.

package import Admission
package import Catalogue
package import Contract

/// The kind of a connection's last call.
package struct RecentKind {
    private var kind: CallKind?
    private var entry: ModelEntry?
    private var caller: Credential?

    package init() {}

    /// The kind of a call that has been answered: the one before, when it is the same.
    package mutating func kind(
        of call: Call, _ entry: ModelEntry?, _ caller: Credential?, plan: String,
        _ failure: CallFailure?, from peer: Peer
    ) -> CallKind {
        if let kind, entry === self.entry, caller === self.caller,
            RecentKind.fits(kind.traits, call, plan, failure)
        {
            return kind
        }
        let new = CallKind(RecentKind.traits(call, entry, caller, plan, failure, peer))
        // What a caller wrote is not kept when it is long.
        if call.model.utf8.count + call.version.utf8.count <= AccessLines.textBytesMax {
            (kind, self.entry, self.caller) = (new, entry, caller)
        }
        return new
    }

    /// What the entry, the caller and the peer do not say.
    private static func fits(
        _ traits: CallTraits, _ call: Call, _ plan: String, _ failure: CallFailure?
    ) -> Bool {
        traits.code == failure?.code ?? .ok && traits.reason == failure?.reason ?? .none
            && traits.method == call.method && traits.door == call.door
            && traits.asked.model == call.model && traits.asked.version == call.version
            && traits.plan == plan
    }

    private static func traits(
        _ call: Call, _ entry: ModelEntry?, _ caller: Credential?, _ plan: String,
        _ failure: CallFailure?, _ peer: Peer
    ) -> CallTraits {
        var traits = CallTraits(call)
        if let entry { (traits.model, traits.version) = (entry.name, entry.version) }
        if let failure { (traits.code, traits.reason) = (failure.code, failure.reason) }
        if let account = caller?.account {
            (traits.issuer, traits.client) = (account.issuer, account.client)
        }
        traits.plan = plan
        (traits.address, traits.connection) = (peer.address, peer.connection)
        return traits
    }
}
