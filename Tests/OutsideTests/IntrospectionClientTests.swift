// The client against a server that does everything wrong, and what it sends when all is well.

import Contract
import Foundation
import Logging
import NIOCore
import NIOPosix
import Outside
import Synchronization
import Testing

/// Collects what is logged.
final class LogBook: Sendable {
    private let lines = Mutex<[(level: Logger.Level, text: String)]>([])
    var all: [(level: Logger.Level, text: String)] { lines.withLock { $0 } }
    func add(_ level: Logger.Level, _ text: String) { lines.withLock { $0.append((level, text)) } }

    var logger: Logger {
        var logger = Logger(label: "test") { _ in Handler(book: self) }
        logger.logLevel = .trace
        return logger
    }

    private struct Handler: LogHandler {
        let book: LogBook
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            book.add(event.level, "\(event.message) \(event.metadata ?? [:]) \(metadata)")
        }
    }
}

let canaryToken = "canary-token-7f3a+/="
let canarySecret = "canary-secret-9c2b"

/// Makes a client for the body and closes it whatever happens.
func withClient<Value>(
    _ url: String, book: LogBook = LogBook(),
    adjust: (inout IntrospectionSettings) -> Void = { _ in },
    body: (IntrospectionClient) async throws -> Value
) async throws -> Value {
    var settings = IntrospectionSettings(
        name: "main", url: url, clientID: "gateway", clientSecret: Secret(canarySecret))
    settings.allowsPlaintextOnLoopback = true
    adjust(&settings)
    let client = try await IntrospectionClient.open(
        settings, group: MultiThreadedEventLoopGroup.singleton, logger: book.logger)
    let result: Result<Value, any Error>
    do {
        result = .success(try await body(client))
    } catch {
        result = .failure(error)
    }
    try await client.close()
    return try result.get()
}

/// The verdict, or the failure's reason, in a word.
func ask(_ client: IntrospectionClient, _ token: String = canaryToken) async -> String {
    do throws(CallFailure) {
        switch try await client.verify(Secret(token)) {
        case .active: return "active"
        case .inactive: return "inactive"
        case .expired: return "expired"
        }
    } catch {
        guard error.code == .unavailable, error.notStarted, error.retryAfter != nil else {
            return "wrong failure: \(error)"
        }
        return error.reason.rawValue
    }
}

@Suite struct IntrospectionClientTests {
    @Test func aQuestionAsRFC7662Says() async throws {
        let server = try await FaultyServer.start(
            .answer(body: #"{"active":true,"client_id":"app","scope":"infer"}"#))
        try await withClient(server.url) { client in
            #expect(await ask(client) == "active")
            #expect(await ask(client) == "active")
        }
        let question = try #require(server.questions.first)
        #expect(question.method == "POST" && question.path == "/introspect")
        #expect(question.body == "token=canary-token-7f3a%2B%2F%3D&token_type_hint=access_token")
        #expect(question.headers["accept"] == "application/json")
        #expect(question.headers["content-type"] == "application/x-www-form-urlencoded")
        #expect(
            question.headers["authorization"]
                == "Basic " + Data("gateway:\(canarySecret)".utf8).base64EncodedString())
        #expect(server.connections == 1, "the connection is kept")
        try await server.stop()
    }

    @Test func credentialsInTheFormLeaveNoHeader() async throws {
        let server = try await FaultyServer.start(.answer(body: #"{"active":true}"#))
        try await withClient(server.url) { settings in
            settings.clientAuthentication = .post
        } body: { client in
            #expect(await ask(client) == "active")
        }
        let question = try #require(server.questions.first)
        #expect(question.headers["authorization"] == nil)
        #expect(question.body.hasSuffix("&client_id=gateway&client_secret=\(canarySecret)"))
        try await server.stop()
    }

    static let faults: [(String, Fault, String)] = [
        ("active", .answer(body: #"{"active":true}"#), "active"),
        (
            "charset", .answer(type: "Application/JSON; charset=utf-8", body: #"{"active":true}"#),
            "active"
        ),
        ("no type", .answer(type: nil, body: #"{"active":true}"#), "active"),
        ("inactive", .answer(body: #"{"active":false}"#), "inactive"),
        ("a string", .answer(body: #"{"active":"true"}"#), "ISSUER_UNAVAILABLE"),
        ("broken", .answer(body: #"{"active":true"#), "ISSUER_UNAVAILABLE"),
        ("empty", .answer(body: ""), "ISSUER_UNAVAILABLE"),
        ("duplicate", .answer(body: #"{"active":false,"active":true}"#), "ISSUER_UNAVAILABLE"),
        ("html", .answer(type: "text/html", body: #"{"active":true}"#), "ISSUER_UNAVAILABLE"),
        (
            "jwt", .answer(type: "application/token-introspection+jwt", body: "a.b.c"),
            "ISSUER_UNAVAILABLE"
        ),
        ("400", .answer(status: 400, body: ""), "ISSUER_REFUSED"),
        ("401", .answer(status: 401, body: ""), "ISSUER_REFUSED"),
        ("403", .answer(status: 403, type: "text/html", body: "<h1>no</h1>"), "ISSUER_REFUSED"),
        ("401 active", .answer(status: 401, body: #"{"active":true}"#), "ISSUER_REFUSED"),
        ("404", .answer(status: 404, body: #"{"active":true}"#), "ISSUER_UNAVAILABLE"),
        ("201", .answer(status: 201, body: #"{"active":true}"#), "ISSUER_UNAVAILABLE"),
        ("204", .answer(status: 204, body: ""), "ISSUER_UNAVAILABLE"),
        ("500", .answer(status: 500, body: #"{"active":true}"#), "ISSUER_UNAVAILABLE"),
        ("503", .answer(status: 503, type: "text/html", body: "busy"), "ISSUER_UNAVAILABLE"),
        ("hang up", .hangUp, "ISSUER_UNAVAILABLE"),
        ("garbage", .garbage("220 smtp ready\r\n\r\n"), "ISSUER_UNAVAILABLE"),
        ("10 MB", .endless(bytes: 10 << 20), "ISSUER_UNAVAILABLE"),
        (
            "10 MB announced",
            .answer(body: #"{"active":true}"# + String(repeating: " ", count: 10 << 20)),
            "ISSUER_UNAVAILABLE"
        ),
        (
            "gzip", .answer(body: #"{"active":true}"#, headers: [("Content-Encoding", "gzip")]),
            "active"
        ),
    ]

    @Test(arguments: faults.indices)
    func eachFaultHasItsAnswer(index: Int) async throws {
        let (name, fault, expected) = Self.faults[index]
        let server = try await FaultyServer.start(fault)
        let book = LogBook()
        try await withClient(server.url, book: book) { client in
            #expect(await ask(client) == expected, "\(name)")
            // After any fault a good answer is understood again.
            server.answer(.answer(body: #"{"active":true}"#))
            #expect(await ask(client) == "active", "\(name), afterwards")
        }
        let logged = book.all
        switch expected {
        case "ISSUER_REFUSED": #expect(logged.map(\.level) == [.error], "\(name)")
        case "ISSUER_UNAVAILABLE": #expect(logged.map(\.level) == [.warning], "\(name)")
        default: #expect(logged.isEmpty, "\(name)")
        }
        #expect(!logged.map(\.text).joined().contains("canary"), "\(name)")
        try await server.stop()
    }

    @Test(arguments: ["silence", "headThenSilence"])
    func slowIsUnavailable(how: String) async throws {
        let server = try await FaultyServer.start(how == "silence" ? .silence : .headThenSilence)
        try await withClient(server.url) { settings in
            settings.timeout = .milliseconds(200)
        } body: { client in
            let begun = ContinuousClock.now
            #expect(await ask(client) == "ISSUER_UNAVAILABLE")
            let took = ContinuousClock.now - begun
            #expect(took >= .milliseconds(190) && took < .seconds(2), "\(took)")
        }
        try await server.stop()
    }

    @Test func aRedirectIsNotFollowed() async throws {
        let thief = try await FaultyServer.start(.answer(body: #"{"active":true}"#))
        for status in [301, 302, 307, 308] {
            let server = try await FaultyServer.start(
                .answer(status: status, body: "", headers: [("Location", thief.url)]))
            try await withClient(server.url) { client in
                #expect(await ask(client) == "ISSUER_UNAVAILABLE")
            }
            try await server.stop()
        }
        #expect(thief.connections == 0, "the token went nowhere else")
        try await thief.stop()
    }

    @Test func aConnectionLostInBetweenIsTriedOnceMore() async throws {
        let server = try await FaultyServer.start(.answer(body: #"{"active":true}"#))
        try await withClient(server.url) { client in
            #expect(await ask(client) == "active")
            server.answer(.answer(body: #"{"active":true}"#), once: [.hangUp])
            #expect(await ask(client) == "active")
            server.answer(.answer(body: #"{"active":true}"#), once: [.hangUp, .hangUp])
            #expect(await ask(client) == "ISSUER_UNAVAILABLE")
        }
        try await server.stop()
    }

    @Test func nobodyListening() async throws {
        let server = try await FaultyServer.start(.silence)
        let url = server.url
        try await server.stop()
        let book = LogBook()
        try await withClient(url, book: book) { client in
            let begun = ContinuousClock.now
            #expect(await ask(client) == "ISSUER_UNAVAILABLE")
            #expect(ContinuousClock.now - begun < .milliseconds(1_500), "refused at once")
        }
        #expect(book.all.map(\.level) == [.warning])
    }

    @Test func theOperatorIsToldOnceNotAThousandTimes() async throws {
        let server = try await FaultyServer.start(.answer(status: 401, body: ""))
        let book = LogBook()
        try await withClient(server.url, book: book) { client in
            for _ in 0..<50 { #expect(await ask(client) == "ISSUER_REFUSED") }
        }
        #expect(book.all.count == 1 && book.all.first?.level == .error)
        #expect(book.all.first?.text.contains("client_auth") == true)
        try await server.stop()
    }

    @Test func cancellationEndsTheQuestion() async throws {
        let server = try await FaultyServer.start(.silence)
        try await withClient(server.url) { client in
            await withTaskGroup(of: String.self) { group in
                group.addTask { await ask(client) }
                while server.questions.isEmpty { await Task.yield() }
                let begun = ContinuousClock.now
                group.cancelAll()
                #expect(await group.next() == "ISSUER_UNAVAILABLE")
                #expect(ContinuousClock.now - begun < .seconds(1))
            }
        }
        try await server.stop()
    }

    @Test func secretsAreNeverSaid() async throws {
        var said = ""
        let book = LogBook()
        for (_, fault, _) in Self.faults {
            let server = try await FaultyServer.start(fault)
            try await withClient(server.url, book: book) { client in
                do {
                    said += "\(try await client.verify(Secret(canaryToken)))"
                } catch {
                    said += String(reflecting: error) + "\(error)"
                }
                said += String(reflecting: client)
            }
            try await server.stop()
        }
        said += book.all.map(\.text).joined()
        dump(
            IntrospectionSettings(
                name: "main", url: "https://as", clientID: "gateway",
                clientSecret: Secret(canarySecret)), to: &said)
        for canary in ["7f3a", "9c2b", Data("gateway:\(canarySecret)".utf8).base64EncodedString()] {
            #expect(!said.contains(canary))
        }
        // A secret that came through another door would be found.
        #expect(said.contains("main"))
    }
}

@Suite struct IntrospectionSettingsTests {
    @Test(arguments: [
        "http://as.example/introspect", "http://127.0.0.1:1/x", "ftp://as", "as.example", "",
        "https://", "https://user:pw@as/x", "https://as/x#y", "http://127.0.0.1.evil.example/",
    ])
    func aURLThatIsNotSafeIsRefused(url: String) async throws {
        let error = await #expect(throws: GatewayError.self) {
            try await withClient(url) { settings in
                settings.allowsPlaintextOnLoopback = url.contains("evil")
            } body: { _ in
            }
        }
        #expect(error?.kind == .configuration && error?.message.contains("main") == true)
        #expect(error?.description.contains("pw") == false)
    }

    @Test func whatIsMissingIsNamed() async throws {
        for adjust: (inout IntrospectionSettings) -> Void in [
            { $0.clientID = "" }, { $0.clientSecret = Secret("") }, { $0.skewSeconds = 31 },
            { $0.trustedCertificates = "/nonexistent/ca.pem" },
            { $0.clientAuthentication = .privateKeyJWT }, { $0.clientAuthentication = .tls },
            {
                $0.clientAuthentication = .tls
                $0.clientCertificate = ClientCertificate(chain: "/nonexistent", key: "/nonexistent")
            },
            { $0.answers = .jwt },
        ] {
            let error = await #expect(throws: GatewayError.self) {
                try await withClient("https://as/x", adjust: adjust) { _ in }
            }
            #expect(error?.kind == .configuration)
        }
    }
}
