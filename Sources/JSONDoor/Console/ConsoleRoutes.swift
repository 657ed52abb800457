// The console: one page with its files for everybody, and what it shows for those whose token may see it. The page itself holds
// no data and no secret; all it knows comes from the same calls a program would make.

package import Contract
import NIOHTTP1
import OpenInference

package enum ConsoleRoutes {
    /// What the page may do in a browser: load its own files, talk to its own gateway, and nothing else. No inline script or
    /// style, no frame around it, no form that leaves.
    package static let contentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    /// The page at `/` and its files.
    package static func page() -> [Route] {
        let page = StaticFile(
            PackageResources.index_html, contentType: "text/html; charset=utf-8",
            fields: [
                ("content-security-policy", contentSecurityPolicy),
                ("referrer-policy", "no-referrer"), ("x-frame-options", "DENY"),
                ("cross-origin-opener-policy", "same-origin"),
            ])
        func file(_ name: String, _ bytes: [UInt8], _ type: String) -> Route {
            Route(
                .GET, "/console/\(name)",
                resource: StaticFile(bytes, contentType: type), description: .consoleFile(name))
        }
        let script = "text/javascript; charset=utf-8"
        return [
            Route(.GET, "/", resource: page, description: .consoleFile("page")),
            file("console.css", PackageResources.console_css, "text/css; charset=utf-8"),
            file("icon.svg", PackageResources.icon_svg, "image/svg+xml"),
            file("theme.js", PackageResources.theme_js, script),
            file("app.js", PackageResources.app_js, script),
            file("gateway.js", PackageResources.gateway_js, script),
            file("dom.js", PackageResources.dom_js, script),
            file("words.js", PackageResources.words_js, script),
            file("models.js", PackageResources.models_js, script),
            file("try.js", PackageResources.try_js, script),
            file("tensors.js", PackageResources.tensors_js, script),
            file("snippets.js", PackageResources.snippets_js, script),
            file("charts.js", PackageResources.charts_js, script),
            file("clients.js", PackageResources.clients_js, script),
        ]
    }

    /// What the Open Inference Protocol has no words for; useful to programs too, so it is there without the page.
    package static func data(standings: any StandingsDesk) -> [Route] {
        [
            Route(
                .GET, "/sluice/v1/access", access: .token, resource: AccessResource(),
                description: .consoleAccess),
            Route(
                .GET, "/sluice/v1/models/{model}/access", access: .token,
                resource: AccessResource(), description: .consoleModelAccess),
            Route(
                .GET, "/sluice/v1/account", access: .token,
                resource: WalkQuestion(method: .modelAccount) { _ in Question() },
                description: .consoleAccount),
            Route(
                .GET, "/sluice/v1/models/{model}/account", access: .token,
                resource: WalkQuestion(method: .modelAccount) { _ in Question() },
                description: .consoleModelAccount),
            Route(
                .POST, "/sluice/v1/models/{model}/control", access: .token,
                bodyBytesMax: ControlBody.bodyBytesMax, mediaTypes: [HTTPAnswer.json],
                resource: WalkQuestion(method: .modelControl, question: ControlBody.question),
                description: .consoleControl),
            Route(
                .GET, "/sluice/v1/clients", access: .token,
                resource: ClientsResource(desk: standings), description: .consoleClients),
        ]
    }
}
