// Asks an authorization server about tokens (RFC 7662) over HTTPS. Admission asks through `TokenVerifier`; what
// the answers mean is decided in IntrospectionAnswer.

import AsyncHTTPClient
package import Contract
import Foundation
package import Logging
package import NIOCore
import NIOHTTP1
import NIOSSL
import Synchronization

/// One introspection endpoint. Usable from every thread. ``close()`` must be called before it is dropped.
package final class IntrospectionClient: TokenVerifier, Sendable {
    private let settings: IntrospectionSettings
    private let expectation: AnswerExpectation
    private let authorization: Secret?
    private let client: HTTPClient
    private let alarm: IntrospectionAlarm
    private let wallClock: @Sendable () -> Int64

    /// - Parameter wallClock: seconds since 1970.
    ///
    /// Reads the file of trusted certificates: call at start. Throws CONFIGURATION.
    package init(
        _ settings: IntrospectionSettings, group: any EventLoopGroup, logger: Logger,
        wallClock: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) }
    ) throws(GatewayError) {
        try settings.check()
        self.settings = settings
        expectation = AnswerExpectation(
            issuerName: settings.name, audience: settings.audience, issuer: settings.issuer,
            skewSeconds: settings.skewSeconds)
        authorization = IntrospectionForm.authorization(settings)
        client = HTTPClient(
            eventLoopGroupProvider: .shared(group),
            configuration: try Self.configuration(settings))
        alarm = IntrospectionAlarm(issuer: settings.name, logger: logger)
        self.wallClock = wallClock
    }

    /// Ends the connections.
    package func close() async throws { try await client.shutdown() }

    /// Throws UNAVAILABLE: ISSUER_REFUSED when the endpoint does not accept *us* (the operator is told), or
    /// ISSUER_UNAVAILABLE for everything else that is no answer.
    package func verify(_ token: Secret) async throws(CallFailure) -> Verdict {
        let bytes: [UInt8]
        do {
            bytes = try await withTimeout { try await self.askTwice(token) }
        } catch {
            throw alarm.report(IntrospectionTrouble(error))
        }
        do throws(AnswerFault) {
            return try IntrospectionAnswer.read(bytes, expectation: expectation, now: wallClock())
        } catch {
            throw alarm.report(.unreadable(error))
        }
    }

    /// A connection from the pool may have been closed by the server in the same moment: one more try, which
    /// is harmless because introspection changes nothing.
    private func askTwice(_ token: Secret) async throws -> [UInt8] {
        do {
            return try await ask(token)
        } catch  where IntrospectionTrouble.isLostConnection(error) {
            return try await ask(token)
        }
    }

    private func ask(_ token: Secret) async throws -> [UInt8] {
        var request = HTTPClientRequest(url: settings.url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
        request.headers.add(name: "Accept", value: "application/json")
        request.headers.add(name: "User-Agent", value: "sluice")
        authorization?.reveal {
            request.headers.add(name: "Authorization", value: String(decoding: $0, as: UTF8.self))
        }
        let form = IntrospectionForm.body(token: token, settings: settings)
        request.body = .bytes(ByteBuffer(bytes: form))
        let response = try await client.execute(request, deadline: deadline())
        switch response.status.code {
        case 200: break
        case 400, 401, 403: throw IntrospectionTrouble.refused(status: response.status.code)
        default: throw IntrospectionTrouble.status(response.status.code)
        }
        guard Self.isJSON(response.headers) else { throw IntrospectionTrouble.notJSON }
        let body = try await response.body.collect(upTo: settings.answerBytesMax)
        return Array(body.readableBytesView)
    }

    private func deadline() -> NIODeadline {
        .now() + .nanoseconds(Int64(clamping: settings.timeout.count))
    }

    /// The HTTP client's own deadline ends with the head of the answer; this one covers the body too.
    private func withTimeout(
        _ work: @escaping @Sendable () async throws -> [UInt8]
    ) async throws -> [UInt8] {
        let timeout = Int64(clamping: settings.timeout.count)
        return try await withThrowingTaskGroup(of: [UInt8].self) { group in
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

    /// A type of JSON, or none at all.
    private static func isJSON(_ headers: HTTPHeaders) -> Bool {
        guard let value = headers.first(name: "Content-Type") else { return true }
        let type = value.prefix { $0 != ";" }.filter { !$0.isWhitespace }.lowercased()
        return type == "application/json"
    }

    private static func configuration(
        _ settings: IntrospectionSettings
    ) throws(GatewayError) -> HTTPClient.Configuration {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if let file = settings.trustedCertificates {
            do {
                tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(file))
            } catch {
                throw GatewayError(
                    .configuration,
                    "auth.issuers.\(settings.name).ca: no certificates can be read from \(file)",
                    mend: "It must be a PEM file that the gateway may read")
            }
        }
        let timeout = TimeAmount.nanoseconds(Int64(clamping: settings.timeout.count))
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: tls, redirectConfiguration: .disallow,
            timeout: .init(connect: timeout, read: timeout), decompression: .disabled)
        configuration.httpVersion = .http1Only
        configuration.connectionPool = .init(
            idleTimeout: .seconds(30),
            concurrentHTTP1ConnectionsPerHostSoftLimit: settings.connectionsMax)
        configuration.connectionPool.retryConnectionEstablishment = false
        return configuration
    }
}
