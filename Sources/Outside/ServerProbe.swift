// A harmless look at a server: whether it answers, what it says of itself, what it thinks the time is. For `sluice doctor`;
// nothing secret is sent, so the server need not prove who it is.

import AsyncHTTPClient
import Foundation
package import NIOCore
import NIOHTTP1
import NIOSSL

/// What a server answered.
package struct ServerProbe: Sendable, Equatable {
    /// The longest answer that is read, in bytes.
    private static let bytesMax = 4 << 20

    package var status: Int
    /// Seconds since 1970 (RFC 9110 section 6.6.1); nil when it does not say.
    package var date: Int64?
    /// What it wants to be shown (RFC 9110 section 11.6.1); empty when nothing.
    package var challenge: String
    package var body: String

    /// Asks once, within `timeout`. Throws what the HTTP client throws; ends when its task is cancelled.
    package static func get(
        _ url: String, timeout: TimeAmount, group: any EventLoopGroup
    ) async throws -> ServerProbe {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow, timeout: .init(connect: timeout, read: timeout),
            decompression: .disabled)
        configuration.tlsConfiguration = .makeClientConfiguration()
        configuration.tlsConfiguration?.certificateVerification = .none
        configuration.httpVersion = .http1Only
        configuration.connectionPool.retryConnectionEstablishment = false
        let client = HTTPClient(
            eventLoopGroupProvider: .shared(group), configuration: configuration)
        do {
            var request = HTTPClientRequest(url: url)
            request.headers = ["user-agent": "sluice-doctor"]
            let answer = try await client.execute(request, timeout: timeout)
            let body = try await answer.body.collect(upTo: bytesMax)
            try await client.shutdown()
            return ServerProbe(
                status: Int(answer.status.code),
                date: answer.headers.first(name: "date").flatMap(seconds(ofDate:)),
                challenge: answer.headers.first(name: "www-authenticate") ?? "",
                body: String(buffer: body))
        } catch {
            try? await client.shutdown()
            throw error
        }
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that is sent today.
    package static func seconds(ofDate text: String) -> Int64? {
        guard
            let match = text.wholeMatch(
                of: #/[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}:\d{2}:\d{2}) GMT/#),
            let month = months.firstIndex(of: String(match.2))
        else { return nil }
        let number = month < 9 ? "0\(month + 1)" : "\(month + 1)"
        guard
            let date = try? Date(
                "\(match.3)-\(number)-\(match.1)T\(match.4)Z", strategy: .iso8601)
        else { return nil }
        return Int64(date.timeIntervalSince1970)
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
}
