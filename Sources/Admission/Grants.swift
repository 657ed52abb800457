// What a caller may do: its entitlements in the order of the policy's rules, and the models that belong to others. Made once
// for a token (and again when the policy changes), judged on every call.

package import Contract

/// Whatever is not granted is denied.
package struct Grants: Sendable, Equatable {
    package internal(set) var entitlements: [Entitlement] = []
    /// `auth.owners`, in order: the first that names a model decides whether it is this caller's.
    var owned: [OwnedModels] = []
    /// Whether a rule of the policy looks at the session's certificate.
    var looksAtCertificate = false
    /// Without a policy the token's own scopes are the one entitlement.
    var hasPolicy = false

    package init() {}

    struct OwnedModels: Sendable, Equatable {
        var models: ModelPatterns
        var isOwner: Bool
    }

    /// What the grants say of one call.
    package enum Judgement: Sendable, Equatable {
        /// By this rule (empty without a policy), under this plan (empty: the default).
        case allowed(rule: String = "", plan: String = "")
        /// The model must look as if it did not exist.
        case hidden(rule: String)
        /// Refused whatever the model is called, so that saying so reveals nothing.
        case missing(scope: String)
    }

    package func judge(_ method: Method, model: String) -> Judgement {
        let isOthers = belongsToOthers(model)
        var hiddenBy = ""
        var missing = ""
        for entitlement in entitlements {
            switch entitlement.opinion(method, model: model) {
            case .allowed:
                if isOthers, !entitlement.isAdmin {
                    hiddenBy = "auth.owners"
                    continue
                }
                return .allowed(rule: entitlement.rule, plan: entitlement.plan)
            case .hidden: if hiddenBy.isEmpty { hiddenBy = scene }
            case .missing(let scope): missing = scope
            }
        }
        if !hiddenBy.isEmpty { return .hidden(rule: hiddenBy) }
        switch method {
        // Whoever has a token may ask whether the gateway is well.
        case .serverMetadata, .serverReady, .healthWatch, .accessCheck: return .allowed()
        default: return .missing(scope: missing)
        }
    }

    /// Who decides by default: a setting's name, for the audit log.
    var scene: String { hasPolicy ? "auth.policy" : "auth.scopes" }

    func belongsToOthers(_ model: String) -> Bool {
        guard !owned.isEmpty, !model.isEmpty else { return false }
        for list in owned where list.models.contains(model) { return !list.isOwner }
        return false
    }

    private func any(_ model: String, _ may: (Entitlement) -> Bool) -> Bool {
        let isOthers = belongsToOthers(model)
        return entitlements.contains { ($0.isAdmin || !isOthers) && may($0) }
    }

    /// True when the caller may run this model.
    package func mayInfer(_ model: String) -> Bool { any(model) { $0.mayInfer(model) } }
    /// True when the caller may know that this model exists.
    package func maySee(_ model: String) -> Bool { any(model) { $0.maySee(model) } }
    /// True when the caller may know what this model costs.
    package func mayRead(_ model: String) -> Bool { any(model) { $0.mayRead(model) } }

    package var infersEverything: Bool {
        owned.isEmpty && entitlements.contains { $0.infersEverything }
    }
    package var rights: Entitlement.Rights {
        entitlements.reduce(into: []) { $0.formUnion($1.rights) }
    }

    var byteCount: Int {
        entitlements.reduce(64) { $0 + $1.byteCount }
            + owned.count * MemoryLayout<OwnedModels>.stride
    }
}
