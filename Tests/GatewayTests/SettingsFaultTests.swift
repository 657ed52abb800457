// What is wrong in settings, and what is said of it.

import Contract
import Foundation
import Gateway
import JSONDoor
import Outside
import Testing

@Suite struct SettingsFaultTests {
    static let wrongs: [(yaml: String, says: String)] = [
        (
            "proxy: { from: [10.0.0.1/8] }",
            "proxy.from (line 1): '10.0.0.1/8' must be a list of addresses and networks, like "
                + "[10.0.0.0/8, 127.0.0.1]"
        ),
        (
            "tls:\n  certificates:\n    - certificate: a.pem",
            "tls.certificates.0.key: is missing: certificate and key go together"
        ),
        (
            "tls:\n  certificates:\n    - { certificate: a.pem, key: a.key, oscp: a.der }",
            "tls.certificates.0.oscp (line 3): is not a setting; did you mean "
                + "tls.certificates.0.ocsp?"
        ),
        (
            "tls: { client_crl: a.pem }",
            "tls.client_crl (line 1): means nothing: tls.client_certificates is off"
        ),
        ("tls: { ocsp: a.der }", "tls.ocsp (line 1): means nothing without tls.certificate"),
        ("lisen: 0.0.0.0:1", "lisen (line 1): is not a setting; did you mean listen?"),
        (
            "limits:\n  mesage: 1MiB",
            "limits.mesage (line 2): is not a setting; did you mean limits.message?"
        ),
        (
            "limit: { message: 1MiB }",
            "limit.message (line 1): is not a setting; did you mean limits.message?"
        ),
        ("message: 1MiB", "message (line 1): is not a setting; did you mean limits.message?"),
        (
            "cors: { origins: [\"https://app.example/\"] }",
            "cors.origins (line 1): 'https://app.example/' must be origins as browsers write them"
        ),
        ("cors: { origins: [\"*\"] }", "cors.origins (line 1): '*' must be"),
        ("bananas: {}", "bananas (line 1): is not a setting"),
        ("limits: 5", "limits (line 1): must hold keys of its own, like limits.handshake"),
        ("limits.message: 1MiB", "limits.message (line 1): is no key"),
        (
            "listen: { host: a }",
            "listen.host (line 1): is not a setting; listen takes a value, no keys"
        ),
        (
            "limits: { message: 3 chickens }",
            "limits.message (line 1): '3 chickens' must be a size from 1KiB to 2147483647, like"
        ),
        ("limits: { message: 64MB }", "'64MB' must be a size"),
        ("limits: { message: -1 }", "'-1' must be a size"),
        ("limits: { message: 1e6 }", "'1e6' must be a size"),
        ("limits: { message: 99999999999999999999 }", "must be a size"),
        ("limits: { message: 99999999999TiB }", "must be a size"),
        (
            "limits: { frame: 17MiB }",
            "limits.frame (line 1): '17MiB' must be a size from 1KiB to 16MiB"
        ),
        ("limits: { message: [1] }", "limits.message (line 1): must be one value: a size"),
        (
            "limits: { deadline: 60 }",
            "'60' must be a time from 1ms to 1d, like 100us, 30s, 5m or 1h"
        ),
        ("limits: { deadline: 1.5s }", "'1.5s' must be a time"),
        (
            "limits: { deadline: 2h }",
            "limits.deadline (line 1): must not be more than limits.deadline_max"
        ),
        (
            "limits: { message: 65MiB }",
            "limits.message (line 1): must not be more than limits.buffered"
        ),
        (
            "limits: { metadata: 32KiB }",
            "limits.metadata (line 1): must not be more than limits.header"
        ),
        ("shards: { count: 0 }", "'0' must be auto, or a whole number from 1 to 1024"),
        (
            "log: { level: loud }",
            "'loud' must be one of trace, debug, info, notice, warning, error"
        ),
        ("models: { require_manifest: maybe }", "'maybe' must be true or false"),
        (
            "tls: { certificate: a.pem }",
            "tls.key: is missing: tls.certificate and tls.key go together"
        ),
        ("tls: { client_certificates: required }", "tls.client_ca: is missing"),
        ("auth: { issuers: local }", "auth.issuers (line 1): must be a list of issuers"),
        ("auth: { issuers: [local] }", "auth.issuers (line 1): must be a list of issuers"),
        ("auth: { issuers: [{ kind: embedded }] }", "auth.issuers.0.name: is missing"),
        ("auth: { issuers: [{ name: a }] }", "auth.issuers.0.kind: is missing"),
        (
            "auth: { issuers: [{ name: a, kind: saml }] }",
            "auth.issuers.0.kind (line 1): 'saml' must be one of embedded, introspection, jwks"
        ),
        (
            "auth: { issuers: [{ name: a, kind: embedded, client_id: x }] }",
            "auth.issuers.0.client_id (line 1): means nothing for an embedded issuer"
        ),
        (
            "auth: { issuers: [{ name: a, kind: embedded }, { name: b, kind: embedded }] }",
            "auth.issuers: has two embedded issuers"
        ),
        (
            "auth: { issuers: [{ name: a, kind: embedded }, { name: a, kind: introspection }] }",
            "auth.issuers.1.name (line 1): another issuer has this name"
        ),
        (
            "auth: { issuers: [{ name: a, kind: introspection }] }",
            "auth.issuers.0.url: is missing; an introspection issuer needs it"
        ),
        (
            "auth: { issuers: [{ name: a, kind: introspection }] }",
            "auth.issuers.0.client_secret_file: is missing; or set "
                + "SLUICE_AUTH_ISSUERS_0_CLIENT_SECRET"
        ),
        (
            "auth: { issuers: [{ name: a, kind: introspection }] }",
            "auth.issuers.0.audience: is missing: tokens for other services of this issuer"
        ),
        (
            "auth: { issuers: [{ name: a, kind: jwks, audience: none }] }",
            "auth.issuers.0.audience (line 1): must be given: none is for introspection only"
        ),
        (
            "auth: { issuers: [{ name: a, kind: jwks, audience: x }] }",
            "auth.issuers.0.issuer: is missing; a jwks issuer needs it"
        ),
        (
            "auth: { issuers: [{ name: a, kind: jwks, algorithms: [HS256] }] }",
            "auth.issuers.0.algorithms (line 1): 'HS256' must be a list of RS256"
        ),
        (
            "auth: { issuers: [{ name: a, kind: introspection, client_auth: tls }] }",
            "auth.issuers.0.client_key: is missing; client_auth: tls needs it"
        ),
        (
            "auth: { issuers: [{ name: a, kind: introspection, key_file: k }] }",
            "auth.issuers.0.key_file (line 1): means nothing with client_auth: basic"
        ),
        (
            "auth: { issuers: [{ name: a, kind: embedded, tokn_prefix: x }] }",
            "auth.issuers.0.tokn_prefix (line 1): is not a setting; did you mean "
                + "auth.issuers.0.token_prefix?"
        ),
        (
            "auth: { issuers: [{ name: a, kind: embedded, server_names: x }] }",
            "auth.issuers.0.server_names (line 1): must be a list of host names, in brackets"
        ),
        ("auth: { scopes: { a: admin } }", "auth.scopes.a (line 1): must be a list of scopes"),
        ("auth: { scopes: { a: [root] } }", "auth.scopes.a (line 1): must grant infer:PATTERN"),
        ("auth: { scopes: { a: [\"infer:../x\"] } }", "auth.scopes.a (line 1): must grant"),
        ("auth: { scopes: { a: { b: [admin] } } }", "auth.scopes.a.b (line 1): must be a list"),
        (
            "auth: { server: { url: \"http://as\" } }",
            "auth.server.url (line 1): 'http://as' must be"
        ),
        ("auth: { server: { url: \"https://as/x\" } }", "without a path"),
        ("auth: { server: { token_ttl: 31d } }", "auth.server.token_ttl (line 1): '31d' must be"),
        ("http: { head: 512 }", "http.head (line 1): '512' must be a size from 1KiB to 64KiB"),
        ("[1, 2]", "line 1: the file must hold keys and values"),
        ("just words", "line 1: the file must hold keys and values"),
        ("listen: [", "the file is not YAML"),
        ("listen: a:1\nlisten: b:1", "is given twice"),
        ("? [a]\n: b", "a key must be a word"),
        ("a: &x [*x]", ""),
        (String(repeating: "[", count: 300), "values lie too deep"),
        (String(repeating: "- ", count: 80) + "a", "values lie too deep"),
        (String(repeating: " ", count: 80) + "a: 1", "values lie too deep"),
        ("x: " + String(repeating: "a", count: 300_000), "262144 are allowed"),
    ]

    @Test(arguments: wrongs.indices) func theFaultSaysWhatIsWrong(_ index: Int) {
        let (yaml, says) = Self.wrongs[index]
        let texts = faults(yaml)
        #expect(!texts.isEmpty)
        #expect(says.isEmpty || texts.contains { $0.contains(says) }, "\(texts)")
    }

    static let addresses: [(url: String, right: Bool)] = [
        ("https://as/introspect", true), ("https://as.example:8443/x?y=z", true),
        ("http://localhost:1/x", true), ("http://127.0.0.1/x", true), ("http://[::1]:80/x", true),
        ("http://as/introspect", false), ("http://localhost.evil/x", false),
        ("https://user:hunter2@as/x", false), ("ftp://as/x", false), ("https:///x", false),
        ("as/introspect", false), ("https://as/x#y", false), ("https://as/a b", false),
    ]

    @Test(arguments: addresses.indices) func addressesOfIssuers(_ index: Int) {
        let (url, right) = Self.addresses[index]
        let yaml = """
            auth:
              issuers:
                - { name: a, kind: introspection, client_id: x, client_secret_file: f, audience: g, url: "\(url)" }
            """
        let texts = faults(yaml)
        #expect(texts.isEmpty == right, "\(texts)")
        #expect(!texts.contains { $0.contains("hunter2") })
    }

    @Test func everyFaultAtOnce() throws {
        let yaml = "lisen: x\nadmin: y\nlimits: { frame: z, deadline: 9d }\nlog: { format: xml }"
        #expect(faults(yaml).count == 5)
        let place = try TemporarySettings(yaml)
        #expect(try Settings.check(file: place.path).count == 5)
        do {
            _ = try Settings.load(file: place.path, environment: [:])
            Issue.record("wrong settings were loaded")
        } catch {
            #expect(error.kind == .configuration)
            #expect(error.message.contains("have 5 faults:\n  lisen (line 1): "))
        }
    }
}
