// GET /sluice.js: the gateway's client for browsers, for every page that may import it (setting cors.origins).

import NIOHTTP1

package enum BrowserModule {
    /// Open: a module is imported without a token, and holds nothing but code.
    package static func routes() -> [Route] {
        [
            Route(
                .GET, "/sluice.js",
                resource: StaticFile(
                    PackageResources.sluice_js, contentType: "text/javascript; charset=utf-8"),
                description: .browserModule)
        ]
    }
}
