// Why a caller may or may not do something, for the operator who asks (`sluice access check`).

import Contract

extension AccessPolicy {
    /// Says what ``Grants/judge(_:model:)`` decides, and because of what.
    func explain(
        _ identity: Identity, vocabulary: Vocabulary, grants: Grants, method: Method, model: String
    ) -> AccessExplanation {
        switch grants.judge(method, model: model) {
        case .allowed(let rule, let plan):
            let allows = rules.first { $0.name == rule }?.allow != nil
            let scope =
                allows
                ? ""
                : scope(of: identity, vocabulary: vocabulary, method: method, model: model) ?? ""
            let by =
                rule.isEmpty
                ? scope.isEmpty ? "every caller may" : "the token's scope '\(scope)' allows it"
                : scope.isEmpty
                    ? "the rule '\(rule)' allows it"
                    : "the rule '\(rule)' allows it to the token's scope '\(scope)'"
            return AccessExplanation(
                isAllowed: true, rule: rule, scope: scope, plan: plan, why: by)
        case .hidden:
            return refused(
                grants.hasPolicy
                    ? "the rules that fit this caller (\(names(grants))) do not allow it"
                    : "none of the token's scopes allows it", grants)
        case .missing(let scope):
            return refused(
                scope.isEmpty
                    ? "no rule of auth.policy fits this caller"
                    : grants.hasPolicy
                        ? "the rules that fit this caller (\(names(grants))) do not give the scope "
                            + scope
                        : "the token lacks the scope \(scope)", nil)
        }
    }

    /// In the same words for every model, so that nothing is learned by asking for names.
    private func refused(_ why: String, _ grants: Grants?) -> AccessExplanation {
        let others = grants?.owned.contains { !$0.isOwner } ?? false
        return AccessExplanation(
            isAllowed: false, rule: "", scope: "", plan: "",
            why: others ? why + ", or it belongs to others (auth.owners)" : why)
    }

    private func names(_ grants: Grants) -> String {
        grants.entitlements.map { "'\($0.rule)'" }.joined(separator: ", ")
    }

    /// The first of the token's scopes that gives the right by itself.
    private func scope(
        of identity: Identity, vocabulary: Vocabulary, method: Method, model: String
    ) -> String? {
        identity.scopes.first { word in
            let alone = scopes.entitlement(for: [word], vocabulary: vocabulary)
            guard alone.infersAnything || !alone.rights.isEmpty else { return false }
            if case .allowed = alone.opinion(method, model: model) { return true }
            return false
        }
    }
}
