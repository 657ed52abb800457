// What a gateway says of its settings and of a caller's rights (the protocol's GATEWAY_CONTROL and ACCESS_CHECK).

/// One setting that is different after a reload.
public struct SettingChange: Sendable, Hashable {
    /// With dots, for example `limits.calls`.
    public let key: String
    /// As written; nil for the default. Secrets are bullets.
    public let was: String?
    public let now: String?

    public init(key: String, was: String?, now: String?) {
        self.key = key
        self.was = was
        self.now = now
    }
}

extension SettingChange: CustomStringConvertible {
    /// For example `limits.calls: 100 -> 200`.
    public var description: String { "\(key): \(was ?? "default") -> \(now ?? "default")" }
}

/// Whose tokens a gateway shall ask its issuers about again.
public enum TokenOwner: Sendable, Hashable {
    case everybody
    /// The `sub` of the tokens.
    case subject(String)
    /// The client id of the tokens.
    case client(String)
    /// This one token.
    case token(String)
}

/// What the gateway's policy says of the caller's own token.
public struct AccessReport: Sendable, Hashable {
    public let allowed: Bool
    /// The rule or the scope that decided; nil when none applies.
    public let rule: String?
    /// The plan the call would be counted under; nil for none.
    public let plan: String?
    /// The same in words.
    public let explanation: String
    public let issuer: String
    public let client: String
    public let subject: String
    public let scopes: [String]

    public init(
        allowed: Bool, rule: String?, plan: String?, explanation: String, issuer: String,
        client: String, subject: String, scopes: [String]
    ) {
        self.allowed = allowed
        self.rule = rule
        self.plan = plan
        self.explanation = explanation
        self.issuer = issuer
        self.client = client
        self.subject = subject
        self.scopes = scopes
    }
}

/// What a caller may want to know whether it may do.
public enum Deed: String, Sendable, Hashable, CaseIterable {
    case infer, metadata, statistics, index, load, unload, control, alias, account
}
