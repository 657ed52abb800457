// The words a token's scope may hold here (DESIGN.md section 5).

/// Which models an `infer` scope names.
package enum ModelPattern: Sendable, Hashable {
    /// `*`
    case every
    /// `iris`
    case name(ModelName)
    /// `iris*`: every name which begins so; a star is allowed at the end only.
    case prefix(ModelName)

    package init?(_ text: some StringProtocol) {
        if text == "*" {
            self = .every
        } else if text.hasSuffix("*") {
            guard let stem = ModelName(String(text.dropLast())) else { return nil }
            self = .prefix(stem)
        } else {
            guard let name = ModelName(String(text)) else { return nil }
            self = .name(name)
        }
    }
}

/// One scope. What it allows is Admission's business.
package enum Scope: Sendable, Hashable {
    case infer(ModelPattern)
    case modelsRead
    case modelsAdmin
    case tokensAdmin
    case admin

    /// The scope, or nil when the text is none of ours.
    package init?(_ text: some StringProtocol) {
        switch text {
        case "models:read": self = .modelsRead
        case "models:admin": self = .modelsAdmin
        case "tokens:admin": self = .tokensAdmin
        case "admin": self = .admin
        default:
            guard text.hasPrefix("infer:"),
                let pattern = ModelPattern(text.dropFirst("infer:".count))
            else { return nil }
            self = .infer(pattern)
        }
    }

    /// For messages about a word that is no scope.
    package static let vocabulary =
        "infer:PATTERN (a model's name, * at its end allowed), models:read, models:admin, tokens:admin, admin"
}
