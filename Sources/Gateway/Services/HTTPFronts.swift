// What the two ports say over HTTP: the callers' and the operator's.

import Admission
package import Contract
import Issuer
package import JSONDoor
package import Logging
import NIOHTTP1

extension HTTPFront {
    /// The callers' port: the JSON bridge, what browsers load, and the authorization server when there is one.
    package static func callers(
        _ settings: Settings, desk: any FrontDesk, conditions: any ModelConditions,
        authorization: AuthorizationQueue?, budget: RequestBudget, standings: any StandingsDesk,
        guide: any ModelGuide, observer: (any HTTPObserver)? = nil, logger: Logger
    ) -> HTTPFront {
        var routes = BridgeRoutes.all(limits: settings.limits, guide: guide)
        routes += BrowserModule.routes()
        routes += ModelEvents.routes(conditions)
        if let authorization {
            routes += OAuthEndpoint.routes(
                desk: authorization, budget: budget,
                issuer: IssuerAddress(setting: settings.auth.server.url))
        }
        routes += ConsoleRoutes.data(standings: standings)
        if settings.showsConsole { routes += ConsoleRoutes.page() }
        routes += ExampleResource.routes(guide)
        // The last: it describes the others.
        routes = OpenAPIResource.describing(routes, guide: guide, version: Version.text)
        return HTTPFront(
            routes: RouteTable(routes, hidesUnknown: true), limits: settings.http, desk: desk,
            origins: settings.origins, isStrict: settings.isStrictTransport,
            observer: observer, logger: logger)
    }

    /// The operator's port: probes, metrics and the state, of anybody who reaches it.
    static func admin(
        readiness: Readiness, state: StateDesk, metrics: MetricsDesk?, limits: HTTPLimits,
        logger: Logger
    ) -> HTTPFront {
        @Sendable func text(_ status: Bool, _ text: String) -> HTTPAnswer {
            HTTPAnswer(
                status: status ? .ok : .serviceUnavailable, contentType: HTTPAnswer.text, text: text
            )
        }
        var routes = [
            Route(.GET, "/livez", resource: ReadyAnswer { _ in text(true, "live\n") }),
            Route(
                .GET, "/readyz",
                resource: ReadyAnswer { _ in
                    readiness.isServing
                        ? text(true, "ready\n") : text(false, "not ready: stopping\n")
                }),
            Route(.GET, "/debug/state", resource: StateResource(desk: state)),
        ]
        if let metrics { routes.append(MetricsResource.route(metrics)) }
        return HTTPFront(
            routes: RouteTable(routes, hidesUnknown: false), limits: limits, logger: logger)
    }
}

extension AuthorizationQueue {
    /// The embedded issuer as a server; nil when there is none, or the settings do not want it.
    static func open(
        _ settings: Settings, issuers: Issuers, audit: any AuditLog, gatekeeper: Gatekeeper
    ) -> AuthorizationQueue? {
        guard settings.auth.server.enabled, let store = issuers.embedded else { return nil }
        return AuthorizationQueue(
            server: EmbeddedServer(
                store: store, settings: EmbeddedServerSettings(settings.auth.server)),
            queueMax: settings.auth.server.queueMax, audit: audit,
            whenRevoked: { gatekeeper.purge(.token($0)) })
    }
}
