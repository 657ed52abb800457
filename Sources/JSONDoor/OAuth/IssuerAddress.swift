// Under which address this gateway is an issuer, and its metadata (RFC 8414).

import Contract
import NIOHTTP1
import OpenInference

package struct IssuerAddress: Sendable {
    static let tokenPath = "/oauth2/token"
    static let introspectionPath = "/oauth2/introspect"
    static let revocationPath = "/oauth2/revoke"
    static let metadataPath = "/.well-known/oauth-authorization-server"

    /// `https://host:port` from the settings; nil: what the client has provably connected to.
    private let setting: String?

    package init(setting: String?) { self.setting = setting }

    /// Never what a request merely says: without a setting, Host counts when it is the name TLS was opened for, or, by
    /// address, the address and port the connection really came in on.
    func url(for request: HTTPRequest) -> String? {
        if let setting { return setting }
        let isTrue =
            request.peer.serverName.isEmpty
            ? request.host == request.local || request.host + ":443" == request.local
            // HeadCheck has compared the names.
            : !request.host.isEmpty
        return isTrue && !request.host.isEmpty ? "https://" + request.host.lowercased() : nil
    }
}

enum OAuthMetadata {
    static func answer(_ address: IssuerAddress, _ request: HTTPRequest) -> HTTPAnswer {
        guard let issuer = address.url(for: request) else {
            return .error(
                .notFound,
                "this gateway does not know its own address: it is the setting auth.server.url")
        }
        let methods = JSONText.array(["client_secret_basic", "client_secret_post"])
        var text = "{\"issuer\":" + JSONText.quoted(issuer)
        text += ",\"token_endpoint\":" + JSONText.quoted(issuer + IssuerAddress.tokenPath)
        text += ",\"token_endpoint_auth_methods_supported\":" + methods
        text += ",\"introspection_endpoint\":"
        text += JSONText.quoted(issuer + IssuerAddress.introspectionPath)
        text += ",\"introspection_endpoint_auth_methods_supported\":" + methods
        text += ",\"revocation_endpoint\":" + JSONText.quoted(issuer + IssuerAddress.revocationPath)
        text += ",\"revocation_endpoint_auth_methods_supported\":" + methods
        text += ",\"grant_types_supported\":[\"client_credentials\"]"
        // Required, and without an authorization endpoint there is none.
        text += ",\"response_types_supported\":[]"
        text += ",\"scopes_supported\":"
        text += JSONText.array(["infer:*", "models:read", "models:admin", "tokens:admin", "admin"])
        return HTTPAnswer(status: .ok, text: text + "}\n")
    }
}
