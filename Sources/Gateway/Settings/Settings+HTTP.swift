// `http` and `auth.server`: the callers' port as HTTP, and the embedded issuer as an authorization server on it.

package import Contract
import Issuer
import JSONDoor

/// `auth.server`: clients get tokens over HTTP, and ask about them.
package struct AuthorizationServerSettings: Sendable, Equatable {
    /// Counts only when there is an embedded issuer.
    package var enabled = true
    /// `https://host:port`; nil: the address a client connected to.
    package var url: String?
    package var tokenTime = Nanoseconds.seconds(3_600)
    package var tokensPerClientMax = 1_000
    /// In a second; four times as many at once.
    package var requestsPerAddress = 200
    /// In a second; four times as many at once.
    package var requestsPerClient = 100
    /// In a minute.
    package var failuresPerAddress = 30
    /// Requests that wait for the issuer's file.
    package var queueMax = 256

    package init() {}
}

extension Settings {
    static let httpRules: [SettingRule<Settings>] = [
        .size("http.head", 1 << 10...64 << 10, \.http.headBytes),
        .time("http.head_time", .milliseconds(10)...minutes, \.http.headTime),
        .time("http.body_time", .milliseconds(10)...minutes, \.http.bodyTime),
        .time("http.write_time", .milliseconds(10)...minutes, \.http.writeTime),
        .flag("http.hsts", \.isStrictTransport),
        .time("http.idle", .milliseconds(10)...minutes, \.http.idleTime),
    ]

    static let authorizationServerRules: [SettingRule<Settings>] = [
        .flag("auth.server.enabled", \.auth.server.enabled),
        .optionalText(
            "auth.server.url", "an address like https://host:port, without a path",
            \.auth.server.url, isOrigin),
        .time(
            "auth.server.token_ttl", .seconds(1)...(.seconds(30 * 86_400)), \.auth.server.tokenTime),
        .count("auth.server.tokens_per_client", 1...100_000, \.auth.server.tokensPerClientMax),
        .count(
            "auth.server.requests_per_address", 1...1_000_000, \.auth.server.requestsPerAddress),
        .count("auth.server.requests_per_client", 1...1_000_000, \.auth.server.requestsPerClient),
        .count(
            "auth.server.failures_per_address", 1...1_000_000, \.auth.server.failuresPerAddress),
        .count("auth.server.queue", 1...100_000, \.auth.server.queueMax),
    ]

    private static let minutes = Nanoseconds.seconds(3_600)

    /// RFC 8414 section 2: https, no query, no fragment; a path would move the metadata to another one.
    private static let isOrigin: @Sendable (String) -> Bool = { text in
        guard text.hasPrefix("https://"), text.utf8.count <= 270 else { return false }
        let host = text.dropFirst("https://".count)
        return !host.isEmpty
            && host.utf8.allSatisfy { byte in
                byte > 0x20 && byte < 0x7F && !"/?#@\\\"<>".utf8.contains(byte)
            }
    }
}

extension EmbeddedServerSettings {
    init(_ settings: AuthorizationServerSettings) {
        self.init()
        tokenTime = settings.tokenTime
        tokensPerClientMax = settings.tokensPerClientMax
        requestsPerClient = .perSecond(settings.requestsPerClient)
    }
}

extension Rate {
    /// Four times as many at once.
    static func perSecond(_ count: Int) -> Rate {
        Rate(UInt64(count), per: .seconds(1), burst: UInt64(count) * 4)
    }
}
