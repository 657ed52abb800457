// What an operator orders of the whole gateway, and what a caller may ask about its own rights. Carried by Messages, carried
// out by the house.

/// Of GATEWAY_CONTROL; the numbers are `GatewayControlRequest.Action` on the wire.
package struct GatewayOrder: Sendable, Equatable {
    package enum Action: UInt32, Sendable, Hashable, CaseIterable {
        case reload = 1
        case purgeTokens = 2
    }

    package var action: Action
    /// Whose answers ``Action/purgeTokens`` forgets; at most one of the three, none for everybody's.
    package var subject: String
    package var client: String
    package var token: Secret?

    package init(
        _ action: Action, subject: String = "", client: String = "", token: Secret? = nil
    ) {
        self.action = action
        self.subject = subject
        self.client = client
        self.token = token
    }

    package static func == (left: GatewayOrder, right: GatewayOrder) -> Bool {
        let sameToken =
            switch (left.token, right.token) {
            case (nil, nil): true
            case (let left?, let right?): left.matches(right)
            default: false
            }
        return sameToken && left.action == right.action && left.subject == right.subject
            && left.client == right.client
    }
}

/// One setting that is different after a reload. Empty texts stand for the default; secrets are bullets.
package struct SettingChange: Sendable, Hashable, CustomStringConvertible {
    package var key: String
    package var was: String
    package var now: String

    package init(key: String, was: String, now: String) {
        self.key = key
        self.was = was
        self.now = now
    }

    package var description: String {
        "\(key): \(was.isEmpty ? "default" : was) -> \(now.isEmpty ? "default" : now)"
    }
}

/// What became of an order.
package enum GatewayReport: Sendable, Equatable {
    case reloaded([SettingChange])
    case purged(UInt64)
}

/// What the policy says of one caller, method and model name, whether or not there is such a model.
package struct AccessReport: Sendable, Equatable {
    package var allowed: Bool
    /// The rule or the scope that decided; empty when none applies.
    package var rule: String
    /// The plan the call would be counted under; empty for none.
    package var plan: String
    /// In words.
    package var why: String
    package var issuer: String
    package var client: String
    package var subject: String
    package var scopes: [String]

    package init(
        allowed: Bool, rule: String, plan: String, why: String, issuer: String, client: String,
        subject: String, scopes: [String]
    ) {
        self.allowed = allowed
        self.rule = rule
        self.plan = plan
        self.why = why
        self.issuer = issuer
        self.client = client
        self.subject = subject
        self.scopes = scopes
    }
}
