// Sends spans to a collector: OTLP over HTTP (OTLP specification, "OTLP/HTTP"). What follows from an answer is decided in
// Traces/ExportPlan; when to send what, by the gateway's TraceExporter.

import AsyncHTTPClient
package import Contract
import Foundation
package import NIOCore
import NIOHTTP1
package import Traces

package struct TraceClientSettings: Sendable {
    package var endpoint: String
    /// Lines `name: value`, sent with every request; nil: none.
    package var headers: Secret?
    /// A PEM file with the authorities to trust; nil: the system's.
    package var trustedCertificates: String?
    /// From the request to the last byte of its answer.
    package var timeout = Nanoseconds.seconds(10)
    package var userAgent = "sluice"

    package init(endpoint: String) { self.endpoint = endpoint }
}

/// One collector. Usable from every thread. ``close()`` must be called before it is dropped.
package final class TraceClient: Sendable {
    /// What its answers say is not read any further.
    package static let answerBytesMax = 64 << 10
    package static let headersMax = 32

    private let settings: TraceClientSettings
    private let url: String
    private let headers: [(name: String, value: Secret)]
    private let client: HTTPClient

    /// Reads the authorities' file: call at start. Throws CONFIGURATION.
    package init(
        _ settings: TraceClientSettings, group: any EventLoopGroup
    ) throws(GatewayError) {
        self.settings = settings
        url = TraceClient.address(settings.endpoint)
        headers = try settings.headers.map(TraceClient.read) ?? []
        client = try IssuerConnection.client(
            setting: "traces", authority: settings.trustedCertificates, certificate: nil,
            timeout: settings.timeout, connectionsMax: 1, group: group)
    }

    /// Ends the connections.
    package func close() async throws { try await client.shutdown() }

    /// Whether nobody on the way reads along: TLS, or this very machine.
    package static func keepsSecrets(_ endpoint: String) -> Bool {
        IssuerConnection.fault(of: endpoint, allowsPlaintextOnLoopback: true) == nil
    }

    /// The specification's path where the settings name none.
    package static func address(_ endpoint: String) -> String {
        guard var parts = URLComponents(string: endpoint), ["", "/"].contains(parts.path) else {
            return endpoint
        }
        parts.path = "/v1/traces"
        return parts.string ?? endpoint
    }

    /// Sends one request; never throws: what went wrong is an outcome too. No redirect is followed.
    package func send(_ body: ByteBuffer, isCompressed: Bool) async -> ExportOutcome {
        do {
            return try await withThrowingTaskGroup(of: ExportOutcome.self) { group in
                defer { group.cancelAll() }
                group.addTask { try await self.exchange(body, isCompressed) }
                // The client's deadline ends with the head of the answer; this one covers the body too.
                group.addTask {
                    try await Task.sleep(
                        for: .nanoseconds(Int64(clamping: self.settings.timeout.count)))
                    return .unreachable
                }
                return try await group.next() ?? .unreachable
            }
        } catch {
            return .unreachable
        }
    }

    private func exchange(_ body: ByteBuffer, _ isCompressed: Bool) async throws -> ExportOutcome {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/x-protobuf")
        request.headers.add(name: "User-Agent", value: settings.userAgent)
        if isCompressed { request.headers.add(name: "Content-Encoding", value: "gzip") }
        for (name, value) in headers {
            value.reveal {
                request.headers.replaceOrAdd(
                    name: name, value: String(decoding: $0, as: UTF8.self))
            }
        }
        request.body = .bytes(body)
        let deadline = NIODeadline.now() + .nanoseconds(Int64(clamping: settings.timeout.count))
        let response = try await client.execute(request, deadline: deadline)
        guard response.status == .ok else {
            return .status(
                response.status.code,
                retryAfter: response.headers.first(name: "Retry-After").flatMap(
                    TraceClient.seconds))
        }
        let answer = try await response.body.collect(upTo: TraceClient.answerBytesMax)
        // An answer that says nothing we understand has still taken the request.
        return .taken(rejected: ExportResponse(Array(answer.readableBytesView))?.rejected ?? 0)
    }

    /// Retry-After as a number of seconds (RFC 9110 section 10.2.3); a date is left to our own patience.
    private static func seconds(_ text: String) -> Nanoseconds? {
        guard (1...9).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }),
            let seconds = UInt64(text)
        else { return nil }
        return .seconds(seconds)
    }

    /// The lines of the settings' file. What is wrong is named by its line alone: the rest is secret.
    private static func read(
        _ file: Secret
    ) throws(GatewayError) -> [(name: String, value: Secret)] {
        var headers: [(name: String, value: Secret)] = []
        let lines = file.reveal { bytes in
            bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        }
        for (number, line) in lines.enumerated() {
            let line = trimmed(line)
            if line.isEmpty || line.first == UInt8(ascii: "#") { continue }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")),
                let name = fieldName(line[..<colon]),
                line[colon...].allSatisfy({ $0 >= 0x20 && $0 < 0x7F || $0 == 0x09 }),
                headers.count < headersMax
            else {
                throw GatewayError(
                    .configuration,
                    "traces.headers_file: line \(number + 1) is no field of ours to send",
                    mend:
                        "At most \(headersMax) lines like 'authorization: Bearer TOKEN', in ASCII; "
                        + "not content-type, content-encoding, content-length, host, connection or "
                        + "transfer-encoding")
            }
            let value = trimmed(line[line.index(after: colon)...])
            headers.append((name, Secret(bytes: Array(value))))
        }
        return headers
    }

    /// A field's name in lower case, unless it is one that the request has already.
    private static func fieldName(_ bytes: ArraySlice<UInt8>) -> String? {
        let name = String(decoding: bytes, as: UTF8.self).lowercased()
        let isToken = name.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
        let ours: Set = [
            "content-type", "content-encoding", "content-length", "host", "connection",
            "transfer-encoding",
        ]
        return isToken && !name.isEmpty && !ours.contains(name) ? name : nil
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
        var bytes = bytes.drop(while: isSpace)
        while let last = bytes.last, isSpace(last) { bytes.removeLast() }
        return bytes
    }
}
