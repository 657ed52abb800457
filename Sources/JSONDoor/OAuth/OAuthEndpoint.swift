// POST /oauth2/token, /oauth2/introspect and /oauth2/revoke: forms in, the authorization server's answers out. Nothing of
// SQLite here: the desk takes the question to threads of its own.

package import Contract
import NIOCore
import NIOHTTP1

/// One of the three endpoints.
package struct OAuthEndpoint: HTTPResource {
    package enum Kind: Sendable { case token, introspect, revoke }

    static let formType = "application/x-www-form-urlencoded"
    package static let bodyBytesMax = 16 << 10

    let kind: Kind
    let desk: any AuthorizationDesk
    let budget: RequestBudget
    let issuer: IssuerAddress

    /// The routes of an authorization server (RFC 6749, 7662, 7009, 8414).
    package static func routes(
        desk: any AuthorizationDesk, budget: RequestBudget, issuer: IssuerAddress
    ) -> [Route] {
        func route(_ path: String, _ kind: Kind, _ description: RouteDescription) -> Route {
            Route(
                .POST, path, bodyBytesMax: bodyBytesMax,
                mediaTypes: [formType],
                resource: OAuthEndpoint(kind: kind, desk: desk, budget: budget, issuer: issuer),
                description: description)
        }
        return [
            route(IssuerAddress.tokenPath, .token, .oauthToken),
            route(IssuerAddress.introspectionPath, .introspect, .oauthIntrospect),
            route(IssuerAddress.revocationPath, .revoke, .oauthRevoke),
            Route(
                .GET, IssuerAddress.metadataPath,
                resource: ReadyAnswer { OAuthMetadata.answer(issuer, $0) },
                description: .oauthMetadata),
        ]
    }

    /// The address is heard before its body is.
    package func judge(_ request: HTTPRequest, now: Instant) -> HTTPAnswer? {
        if let wait = budget.enter(request.peer.address, now: now) {
            return OAuthAnswer.refused(
                AuthorizationRefusal(
                    .slowDown, "too many requests from this address", retryAfter: wait))
        }
        if request.query != nil {
            return OAuthAnswer.refused(
                AuthorizationRefusal(.invalidRequest, "parameters stand in the body only"))
        }
        return nil
    }

    package func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        do throws(AuthorizationRefusal) {
            let form = try FormBody(request.body)
            let credential = try ClientAuthentication.credential(request.credentials, form)
            let question = try question(form)
            let address = request.peer.address
            let now = Instant(nanoseconds: exchange.eventLoop.now.uptimeNanoseconds)
            if let wait = budget.guess(address, now: now) {
                throw AuthorizationRefusal(
                    .slowDown, "too many wrong secrets from this address", retryAfter: wait)
            }
            return try desk.ask(
                question, credential: credential, address: address, on: exchange.eventLoop
            ) { result in
                let now = Instant(nanoseconds: exchange.eventLoop.now.uptimeNanoseconds)
                exchange.finish(answer(result, request, now: now))
            }
        } catch {
            exchange.finish(OAuthAnswer.refused(error))
            return nil
        }
    }

    private func question(_ form: FormBody) throws(AuthorizationRefusal) -> AuthorizationRequest {
        switch kind {
        case .token:
            guard let grant = form.text("grant_type") else {
                throw AuthorizationRefusal(.invalidRequest, "grant_type is missing")
            }
            guard grant == "client_credentials" else {
                throw AuthorizationRefusal(
                    .unsupportedGrantType, "the one grant here is client_credentials")
            }
            guard let scope = form.secret("scope") else { return .token(scopes: nil) }
            guard let text = scope.reveal({ String(validating: $0, as: UTF8.self) }) else {
                throw AuthorizationRefusal(.invalidScope, "scope is not text")
            }
            return .token(
                scopes: text.split(separator: " ", omittingEmptySubsequences: true)
                    .map(String.init))
        case .introspect: return .introspect(try token(form))
        case .revoke: return .revoke(try token(form))
        }
    }

    private func token(_ form: FormBody) throws(AuthorizationRefusal) -> Secret {
        guard let token = form.secret("token") else {
            throw AuthorizationRefusal(.invalidRequest, "token is missing")
        }
        return token
    }

    private func answer(
        _ result: Result<AuthorizationAnswer, AuthorizationRefusal>, _ request: HTTPRequest,
        now: Instant
    ) -> HTTPAnswer {
        switch result {
        case .success(let answer):
            return OAuthAnswer.of(answer, issuer: issuer.url(for: request))
        case .failure(let refusal):
            if refusal.code == .invalidClient { budget.failed(request.peer.address, now: now) }
            return OAuthAnswer.refused(refusal)
        }
    }
}
