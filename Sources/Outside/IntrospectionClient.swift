// Asks an authorization server about tokens (RFC 7662) over HTTPS. Admission asks through `TokenVerifier`; what
// the answers mean is decided in IntrospectionAnswer.

import AsyncHTTPClient
package import Contract
import Foundation
package import Logging
package import NIOCore
import NIOHTTP1

/// One introspection endpoint. Usable from every thread. ``close()`` must be called before it is dropped.
package final class IntrospectionClient: TokenVerifier, Sendable {
    private let settings: IntrospectionSettings
    private let expectation: AnswerExpectation
    private let authorization: Secret?
    private let assertionKey: AssertionKey?
    private let signed: SignedTokens?
    private let client: HTTPClient
    private let alarm: IntrospectionAlarm
    private let wallClock: @Sendable () -> Int64

    /// - Parameter wallClock: seconds since 1970.
    ///
    /// Reads the files that are named: call at start. Throws CONFIGURATION.
    package static func open(
        _ settings: IntrospectionSettings, group: any EventLoopGroup, logger: Logger,
        clock: @escaping @Sendable () -> Instant = { Instant.now() },
        wallClock: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) }
    ) async throws(GatewayError) -> IntrospectionClient {
        try settings.check()
        let setting = "auth.issuers.\(settings.name)"
        var key: AssertionKey?
        if settings.clientAuthentication == .privateKeyJWT {
            key = try await AssertionKey.read(
                pem: settings.assertionKey, algorithm: settings.assertionAlgorithm,
                setting: setting)
        }
        let client = try IssuerConnection.client(
            setting: setting, authority: settings.trustedCertificates,
            certificate: settings.clientAuthentication == .tls ? settings.clientCertificate : nil,
            timeout: settings.timeout, connectionsMax: settings.connectionsMax, group: group)
        var signed: SignedTokens?
        if settings.answers == .jwt, let signatures = settings.signatures {
            do throws(GatewayError) {
                signed = try SignedTokens(
                    signatures, issuer: settings.name, setting: setting,
                    authority: settings.trustedCertificates, timeout: settings.timeout,
                    allowsPlaintextOnLoopback: settings.allowsPlaintextOnLoopback, group: group,
                    logger: logger, clock: clock)
            } catch {
                try? await client.shutdown()
                throw error
            }
        }
        return IntrospectionClient(
            settings, key: key, signed: signed, client: client, logger: logger,
            wallClock: wallClock)
    }

    private init(
        _ settings: IntrospectionSettings, key: AssertionKey?, signed: SignedTokens?,
        client: HTTPClient, logger: Logger, wallClock: @escaping @Sendable () -> Int64
    ) {
        self.settings = settings
        expectation = AnswerExpectation(
            issuerName: settings.name, audiences: settings.audiences, issuer: settings.issuer,
            skewSeconds: settings.skewSeconds)
        authorization = IntrospectionForm.authorization(settings)
        assertionKey = key
        self.signed = signed
        self.client = client
        alarm = IntrospectionAlarm(issuer: settings.name, logger: logger)
        self.wallClock = wallClock
    }

    /// Ends the connections.
    package func close() async throws {
        try await client.shutdown()
        try await signed?.close()
    }

    /// Throws UNAVAILABLE: ISSUER_REFUSED when the endpoint does not accept *us* (the operator is told), or
    /// ISSUER_UNAVAILABLE for everything else that is no answer.
    package func verify(_ token: Secret) async throws(CallFailure) -> Verdict {
        do {
            return try await withTimeout { try await self.answer(to: token) }
        } catch let failure as CallFailure {
            // The issuer's keys are not there; that has been told.
            throw failure
        } catch let fault as AnswerFault {
            throw alarm.report(.unreadable(fault))
        } catch {
            throw alarm.report(IntrospectionTrouble(error))
        }
    }

    /// The question and the way of ``verify(_:)``, with what went wrong as it is.
    func askAboutNothing() async throws {
        _ = try await withTimeout { try await self.answer(to: Secret("sluice-doctor")) }
    }

    private func answer(to token: Secret) async throws -> Verdict {
        guard let signed else {
            let reply = try await askTwice(token, accept: "application/json")
            guard reply.isJSON else { throw IntrospectionTrouble.notJSON }
            return try IntrospectionAnswer.read(
                reply.bytes, expectation: expectation, now: wallClock())
        }
        let reply: Reply
        do {
            reply = try await askTwice(token, accept: SignedAnswer.mediaType)
        } catch IntrospectionTrouble.refused(status: 400) {
            // Some servers answer so for a token that is not active, as if the question were wrong. Which it is, is
            // asked without a signature: such an answer can only refuse.
            return try unsigned(try await askTwice(token, accept: "application/json"))
        }
        guard reply.type == SignedAnswer.mediaType else { return try unsigned(reply) }
        return try await open(reply.bytes, signed)
    }

    /// Without a signature only "inactive" is believed: a forger would gain nothing by it.
    private func unsigned(_ reply: Reply) throws -> Verdict {
        guard reply.isJSON else { throw IntrospectionTrouble.notJSON }
        let verdict = try IntrospectionAnswer.read(
            reply.bytes, expectation: expectation, now: wallClock())
        guard case .inactive = verdict else {
            throw IntrospectionTrouble.unsigned("the answer is not signed")
        }
        return .inactive
    }

    private func open(_ bytes: [UInt8], _ signed: SignedTokens) async throws -> Verdict {
        let token: SignedToken
        do {
            token = try SignedToken.read(bytes, byteCountMax: settings.answerBytesMax)
        } catch {
            throw IntrospectionTrouble.unsigned("the signed answer is none: \(error)")
        }
        if let refusal = try await signed.check(token) {
            throw IntrospectionTrouble.unsigned("the signed answer: \(refusal.rawValue)")
        }
        let now = wallClock()
        let answer = try SignedAnswer.open(
            token, issuer: settings.issuer ?? "", names: [settings.clientID] + settings.audiences,
            skewSeconds: settings.skewSeconds, now: now)
        return try IntrospectionAnswer.judge(answer, expectation: expectation, now: now)
    }

    /// A connection from the pool may have been closed by the server in the same moment: one more try, which
    /// is harmless because introspection changes nothing.
    private func askTwice(_ token: Secret, accept: String) async throws -> Reply {
        do {
            return try await ask(token, accept: accept)
        } catch  where IntrospectionTrouble.isLostConnection(error) {
            return try await ask(token, accept: accept)
        }
    }

    private struct Reply: Sendable {
        /// The media type in lower case without parameters; nil when there is none.
        var type: String?
        var bytes: [UInt8]

        /// A type of JSON, or none at all.
        var isJSON: Bool { type == nil || type == "application/json" }
    }

    private func ask(_ token: Secret, accept: String) async throws -> Reply {
        var request = HTTPClientRequest(url: settings.url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
        request.headers.add(name: "Accept", value: accept)
        request.headers.add(name: "User-Agent", value: "sluice")
        authorization?.reveal {
            request.headers.add(name: "Authorization", value: String(decoding: $0, as: UTF8.self))
        }
        let assertion = try assertionKey.map {
            try ClientAssertion.make(
                clientID: settings.clientID,
                audience: settings.assertionAudience ?? settings.url, key: $0,
                keyID: settings.assertionKeyID, now: wallClock())
        }
        let form = IntrospectionForm.body(
            token: token, settings: settings, assertion: assertion)
        request.body = .bytes(ByteBuffer(bytes: form))
        let response = try await client.execute(request, deadline: deadline())
        switch response.status.code {
        case 200: break
        case 400, 401, 403: throw IntrospectionTrouble.refused(status: response.status.code)
        default: throw IntrospectionTrouble.status(response.status.code)
        }
        let type = response.headers.first(name: "Content-Type").map {
            $0.prefix { $0 != ";" }.filter { !$0.isWhitespace }.lowercased()
        }
        // What was not asked for is not read.
        guard [nil, "application/json", accept].contains(type) else {
            throw IntrospectionTrouble.notJSON
        }
        let body = try await response.body.collect(upTo: settings.answerBytesMax)
        return Reply(type: type, bytes: Array(body.readableBytesView))
    }

    private func deadline() -> NIODeadline {
        .now() + .nanoseconds(Int64(clamping: settings.timeout.count))
    }

    /// The HTTP client's own deadline ends with the head of the answer; this one covers the body too.
    private func withTimeout(
        _ work: @escaping @Sendable () async throws -> Verdict
    ) async throws -> Verdict {
        let timeout = Int64(clamping: settings.timeout.count)
        return try await withThrowingTaskGroup(of: Verdict.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await work() }
            group.addTask {
                try await Task.sleep(for: .nanoseconds(timeout))
                throw IntrospectionTrouble.late
            }
            guard let first = try await group.next() else { throw IntrospectionTrouble.late }
            return first
        }
    }
}
