// Fetches an issuer's keys: over HTTPS, at most 64 KiB, in two seconds, without redirects, and with nothing of a
// caller's in the question. Runs on the HTTP client's event loops, so that no task has to own it.

import AsyncHTTPClient
import Contract
import Foundation
import NIOCore
import NIOHTTP1

/// Keys, and for how long the issuer thinks them good (`Cache-Control: max-age`).
struct FetchedKeys: Sendable {
    var keys: KeySet
    var maxAge: Nanoseconds?
}

/// Why there are no keys. For the operator.
enum KeyTrouble: Error {
    case status(UInt)
    case tooLarge
    case late
    case unreachable(String)
    case keys(KeySetFault)
    case discovery(String)

    init(_ error: any Error) {
        self =
            switch error {
            case let trouble as KeyTrouble: trouble
            case let fault as KeySetFault: .keys(fault)
            case is ResponseAccumulator.ResponseTooBigError: .tooLarge
            case let error as HTTPClientError
            where [.deadlineExceeded, .readTimeout, .connectTimeout].contains(error): .late
            default: .unreachable(String(String(describing: error).prefix(256)))
            }
    }

    var why: String {
        switch self {
        case .status(let code): "status \(code)"
        case .tooLarge: "the answer is too large"
        case .late: "no answer in time"
        case .unreachable(let text): text
        case .keys(let fault): fault.description
        case .discovery(let why): "the discovery document \(why)"
        }
    }
}

final class KeyFetch: Sendable {
    private let source: KeySource
    private let client: HTTPClient
    private let timeout: TimeAmount
    private let bytesMax: Int
    private let allowsPlaintextOnLoopback: Bool

    init(
        source: KeySource, client: HTTPClient, timeout: Nanoseconds, bytesMax: Int,
        allowsPlaintextOnLoopback: Bool
    ) {
        self.source = source
        self.client = client
        self.timeout = .nanoseconds(Int64(clamping: timeout.count))
        self.bytesMax = bytesMax
        self.allowsPlaintextOnLoopback = allowsPlaintextOnLoopback
    }

    func close() async throws { try await client.shutdown() }

    /// `done` is called once, on some event loop, within twice the timeout.
    func start(_ done: @escaping @Sendable (Result<FetchedKeys, KeyTrouble>) -> Void) {
        let loop = client.eventLoopGroup.next()
        let fetched: EventLoopFuture<FetchedKeys>
        switch source {
        case .address(let url): fetched = keys(at: url, loop)
        case .discovery(let issuer):
            fetched = get(KeyFetch.discoveryAddress(issuer), loop).flatMapThrowing {
                try self.address(in: $0, issuer: issuer)
            }.flatMap { self.keys(at: $0, loop) }
        case .fixed(let keys): fetched = loop.makeSucceededFuture(FetchedKeys(keys: keys))
        }
        fetched.whenComplete { done($0.mapError { KeyTrouble($0) }) }
    }

    static func discoveryAddress(_ issuer: String) -> String {
        (issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer)
            + "/.well-known/openid-configuration"
    }

    private struct Document: Sendable {
        var bytes: [UInt8]
        var maxAge: Nanoseconds?
    }

    private func keys(at url: String, _ loop: any EventLoop) -> EventLoopFuture<FetchedKeys> {
        get(url, loop).flatMapThrowing {
            FetchedKeys(keys: try KeySet.read($0.bytes), maxAge: $0.maxAge)
        }
    }

    /// The document must speak of the very issuer it was asked about (Discovery, section 4.3): else another's keys
    /// would count as this one's.
    private func address(in document: Document, issuer: String) throws -> String {
        guard let value = try? JSONReader.read(document.bytes) else {
            throw KeyTrouble.discovery("is not JSON")
        }
        guard value["issuer"] == .string(issuer) else {
            throw KeyTrouble.discovery("is of another issuer than \(issuer)")
        }
        guard case .string(let url)? = value["jwks_uri"] else {
            throw KeyTrouble.discovery("has no jwks_uri")
        }
        if let fault = IssuerConnection.fault(
            of: url, allowsPlaintextOnLoopback: allowsPlaintextOnLoopback)
        {
            throw KeyTrouble.discovery("has a jwks_uri that \(fault)")
        }
        return url
    }

    private func get(_ url: String, _ loop: any EventLoop) -> EventLoopFuture<Document> {
        let request: HTTPClient.Request
        do {
            request = try HTTPClient.Request(
                url: url, method: .GET,
                headers: ["Accept": "application/json", "User-Agent": "sluice"])
        } catch {
            return loop.makeFailedFuture(error)
        }
        let task = client.execute(
            request: request,
            delegate: ResponseAccumulator(request: request, maxBodySize: bytesMax),
            eventLoop: .delegateAndChannel(on: loop), deadline: .now() + timeout)
        // The client's deadline ends with the head of the answer; this one covers the body too.
        let timer = loop.scheduleTask(in: timeout) { task.fail(reason: KeyTrouble.late) }
        return task.futureResult.flatMapThrowing { response in
            guard response.status == .ok else { throw KeyTrouble.status(response.status.code) }
            return Document(
                bytes: response.body.map { Array($0.readableBytesView) } ?? [],
                maxAge: KeyFetch.maxAge(response.headers[canonicalForm: "cache-control"]))
        }.always { _ in timer.cancel() }
    }

    /// RFC 9111 section 5.2.2.1; nil when there is none. What must not be stored is asked for as often as allowed.
    static func maxAge(_ directives: [Substring]) -> Nanoseconds? {
        var age: Nanoseconds?
        for directive in directives.map({ $0.lowercased() }) {
            if directive == "no-store" || directive == "no-cache" { return .zero }
            guard directive.hasPrefix("max-age=") else { continue }
            let digits = directive.dropFirst("max-age=".count).filter { $0 != "\"" }
            guard let seconds = UInt64(digits) else { continue }
            age = .seconds(min(seconds, 1 << 31))
        }
        return age
    }
}
