// What an operator can look up later: who was refused and who changed what.

/// One line of the audit log. No member may hold a token, a secret or tensor bytes; names are as the caller gave them, and
/// the log escapes them.
package struct AuditEvent: Sendable, Hashable {
    package enum Outcome: String, Sendable { case done, refused, failed }

    /// What was asked for, like `infer`, `models.unload`, `token.create` or `config.reload`.
    package var act: String
    package var outcome: Outcome
    /// The issuer, the client id and the subject, as far as they are known.
    package var issuer: String
    package var client: String
    package var subject: String
    /// The numeric address it came from; empty for the command line on this machine.
    package var address: String
    /// What it was about: a model, an alias, a token's id, a setting.
    package var object: String
    /// The reason word of a refusal, or what changed.
    package var detail: String
    /// The rule of the policy, or the plan's limit, that decided.
    package var rule: String

    package init(
        act: String, outcome: Outcome, issuer: String = "", client: String = "",
        subject: String = "", address: String = "", object: String = "", detail: String = "",
        rule: String = ""
    ) {
        self.act = act
        self.outcome = outcome
        self.issuer = issuer
        self.client = client
        self.subject = subject
        self.address = address
        self.object = object
        self.detail = detail
        self.rule = rule
    }
}

/// Takes events without ever blocking: what cannot be written in time is counted as lost and said so in the log.
package protocol AuditLog: Sendable {
    func note(_ event: AuditEvent)
}
