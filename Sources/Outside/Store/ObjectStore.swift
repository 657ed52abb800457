// One bucket on any store that speaks Amazon's S3 protocol: list, get, put, delete. What is asked is signed here
// (RequestSignature); what failed is tried again a few times.

import AsyncHTTPClient
package import Contract
import Files
import Foundation
package import Logging
package import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization
import TLS

/// A bucket. Usable from every thread. ``close()`` must be called before it is dropped.
package final class ObjectStore: Sendable {
    package let settings: StoreSettings
    let logger: Logger
    private let client: HTTPClient
    private let keys: CredentialSource
    private let wallClock: @Sendable () -> Int64
    private let rangesIgnored = Atomic<Bool>(false)
    let tally = StoreTally()

    /// Reads the keys and the file of trusted certificates: call at start. Throws CONFIGURATION.
    /// - Parameters:
    ///   - environment: the process's, for AWS_ACCESS_KEY_ID and so on.
    ///   - wallClock: seconds since 1970.
    package init(
        _ settings: StoreSettings, environment: [String: String], group: any EventLoopGroup,
        logger: Logger,
        wallClock: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) }
    ) throws(GatewayError) {
        self.settings = settings
        self.logger = logger
        self.wallClock = wallClock
        keys = CredentialSource(settings.credentials, environment: environment)
        try keys.refresh()
        client = HTTPClient(
            eventLoopGroupProvider: .shared(group),
            configuration: try ObjectStore.configuration(settings))
    }

    /// Ends the connections.
    package func close() async throws { try await client.shutdown() }

    /// Reads keys that stand in files again; blocks.
    func refreshKeys() throws(GatewayError) { try keys.refresh() }

    /// Whether it has answered a question for a part with the whole; remembered for the process's life.
    package internal(set) var ignoresRanges: Bool {
        get { rangesIgnored.load(ordering: .relaxed) }
        set { rangesIgnored.store(newValue, ordering: .relaxed) }
    }

    private static func configuration(
        _ settings: StoreSettings
    ) throws(GatewayError) -> HTTPClient.Configuration {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if let file = settings.authority {
            do {
                tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(file))
            } catch {
                throw GatewayError(
                    .configuration, "models.s3.ca: no certificates can be read from \(file)",
                    mend: "It must be a PEM file that the gateway may read")
            }
        }
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: tls, redirectConfiguration: .disallow,
            timeout: .init(
                connect: .nanoseconds(Int64(clamping: settings.connectTimeout.count)),
                read: .nanoseconds(Int64(clamping: settings.stallTimeout.count))),
            decompression: .disabled)
        configuration.httpVersion = .http1Only
        configuration.connectionPool = .init(
            idleTimeout: .seconds(30),
            concurrentHTTP1ConnectionsPerHostSoftLimit: settings.connectionsMax)
        configuration.connectionPool.retryConnectionEstablishment = false
        return configuration
    }
}

// MARK: - What is asked

extension ObjectStore {
    /// Every object whose key begins with `prefix`, in the order of their keys. Throws ``StoreTrouble``.
    package func list(prefix: String) async throws -> [ListedObject] {
        var objects: [ListedObject] = []
        var continuation: String?
        for _ in 0..<settings.pagesMax {
            var query = [("list-type", "2"), ("prefix", prefix)]
            if let continuation { query.append(("continuation-token", continuation)) }
            let asked = query
            let bytes = try await retrying {
                try await self.answer("GET", "", query: asked, bytesMax: self.settings.pageBytesMax)
                    .bytes
            }
            let page: ListingPage
            do throws(StoreAnswerFault) {
                page = try StoreAnswer.listing(bytes)
            } catch {
                throw StoreTrouble.unreadable("the listing: \(error.message)")
            }
            objects += page.objects
            guard let next = page.continuation else { return objects }
            guard next != continuation else { break }
            continuation = next
        }
        throw StoreTrouble.unreadable("the listing does not end")
    }

    /// A small object. Throws ``StoreTrouble``.
    package func get(_ key: String, bytesMax: Int) async throws -> [UInt8] {
        try await retrying {
            try await self.answer("GET", key, bytesMax: bytesMax).bytes
        }
    }

    /// Stores `bytes` under `key`. Throws ``StoreTrouble``.
    package func put(_ bytes: [UInt8], key: String) async throws {
        let payload = Cryptography.hex(Cryptography.sha256(bytes))
        try await retrying {
            _ = try await self.answer(
                "PUT", key, payload: payload, body: .bytes(ByteBuffer(bytes: bytes)),
                bytesMax: self.settings.errorBytesMax)
        }
    }

    /// Stores a file, in one request, as it is read. The store compares what it gets with `sha256` (lower-case
    /// hexadecimal). `timeout`: for the whole of it. Throws ``StoreTrouble``, or ``FileFault``.
    package func put(
        file path: String, key: String, sha256: String, timeout: Nanoseconds = .seconds(3_600)
    ) async throws {
        let file = try OpenFile(path: path)
        try await retrying {
            _ = try await self.answer(
                "PUT", key, payload: sha256,
                body: .stream(
                    FilePieces(file: file), length: .known(Int64(file.facts.byteCount))),
                bytesMax: self.settings.errorBytesMax, timeout: timeout)
        }
    }

    /// Removes an object; one that is not there is no trouble. Throws ``StoreTrouble``.
    package func delete(_ key: String) async throws {
        do {
            try await retrying {
                _ = try await self.answer("DELETE", key, bytesMax: self.settings.errorBytesMax)
            }
        } catch StoreTrouble.missing {
            return
        }
    }

    /// The body of an object or of a part of it, as it comes. No retries: whoever reads knows how far it got.
    struct Stream {
        var body: HTTPClientResponse.Body
        /// False when all of the object comes.
        var isPart: Bool
        /// The object's ETag; empty when the store says none.
        var tag: String
        /// Bytes of the whole object, when the store says it.
        var total: UInt64?
    }

    /// - Parameters:
    ///   - range: nil for all of it.
    ///   - tag: what the object's ETag must be; nil for any.
    func open(_ key: String, range: Range<UInt64>?, tag: String?) async throws -> Stream {
        var headers: [(name: String, value: String)] = []
        if let range {
            headers.append(("range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)"))
        }
        if let tag { headers.append(("if-match", tag)) }
        let request = try request("GET", key, headers: headers)
        let response = try await client.execute(
            request, deadline: deadline(settings.connectTimeout + settings.stallTimeout))
        let status = response.status.code
        guard status == 200 || status == 206 else { throw try await trouble(response) }
        let length = response.headers.first(name: "content-length").flatMap { UInt64($0) }
        var stream = Stream(
            body: response.body, isPart: status == 206,
            tag: response.headers.first(name: "etag") ?? "",
            total: status == 200 ? length : nil)
        if status == 206 {
            guard let range,
                let said = ContentRange(response.headers.first(name: "content-range") ?? ""),
                said.range == range
            else { throw StoreTrouble.unreadable("another part than was asked for") }
            stream.total = said.total
        }
        return stream
    }

    // MARK: - How it is asked

    private func answer(
        _ method: String, _ key: String, query: [(name: String, value: String)] = [],
        payload: String = RequestSignature.emptyPayload, body: HTTPClientRequest.Body? = nil,
        bytesMax: Int, timeout: Nanoseconds? = nil
    ) async throws -> (bytes: [UInt8], headers: HTTPHeaders) {
        let limit = timeout ?? settings.answerTimeout
        return try await withDeadline(limit) {
            var request = try self.request(method, key, query: query, payload: payload)
            request.body = body
            let response = try await self.client.execute(request, deadline: self.deadline(limit))
            guard (200...299).contains(response.status.code) else {
                throw try await self.trouble(response)
            }
            let body = try await response.body.collect(upTo: bytesMax)
            return (Array(body.readableBytesView), response.headers)
        }
    }

    private func request(
        _ method: String, _ key: String, query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = [],
        payload: String = RequestSignature.emptyPayload
    ) throws(GatewayError) -> HTTPClientRequest {
        let credentials = try keys.credentials()
        let (host, path) = settings.endpoint.place(
            of: key, in: settings.location.bucket, usesPathStyle: settings.usesPathStyle)
        let time = SigningTime(secondsSince1970: wallClock())
        var signed: [(name: String, value: String)] = headers
        signed += [("x-amz-content-sha256", payload), ("x-amz-date", time.moment)]
        credentials.sessionToken?.reveal {
            signed.append(("x-amz-security-token", String(decoding: $0, as: UTF8.self)))
        }
        let signature = RequestSignature(
            method: method, path: path, query: query, headers: [("host", host)] + signed,
            payload: payload, region: settings.region)
        var url = "\(settings.endpoint.scheme)://\(host)\(path)"
        if !query.isEmpty { url += "?" + RequestSignature.canonical(query) }
        var request = HTTPClientRequest(url: url)
        request.method = .init(rawValue: method)
        for (name, value) in signed { request.headers.add(name: name, value: value) }
        request.headers.add(
            name: "authorization", value: signature.authorization(credentials, at: time))
        request.headers.add(name: "user-agent", value: "sluice")
        return request
    }

    private func deadline(_ time: Nanoseconds) -> NIODeadline {
        .now() + .nanoseconds(Int64(clamping: time.count))
    }

    private func trouble(_ response: HTTPClientResponse) async throws -> StoreTrouble {
        let body = try await withDeadline(settings.stallTimeout) {
            try await response.body.collect(upTo: self.settings.errorBytesMax)
        }
        return StoreTrouble(
            status: UInt(response.status.code), body: Array(body.readableBytesView))
    }

    /// Tries again what may pass. Throws ``StoreTrouble``.
    private func retrying<Answer: Sendable>(
        _ ask: @Sendable () async throws -> Answer
    ) async throws -> Answer {
        var plan = retryPlan
        while true {
            do {
                return try await ask()
            } catch {
                let trouble = StoreTrouble(error)
                tally.failed(trouble)
                guard trouble.passes,
                    let wait = plan.failed(
                        hasProgressed: false, chance: .random(in: 0..<1))
                else { throw trouble }
                try await Task.sleep(for: .nanoseconds(Int64(clamping: wait.count)))
            }
        }
    }

    var retryPlan: RetryPlan {
        RetryPlan(
            triesMax: settings.triesMax, first: settings.retryWait, longest: settings.retryWaitMax)
    }
}

/// `Content-Range: bytes 0-9/100`.
package struct ContentRange: Equatable {
    package var range: Range<UInt64>
    package var total: UInt64?

    package init?(_ text: String) {
        guard text.hasPrefix("bytes ") else { return nil }
        let halves = text.dropFirst("bytes ".count).split(
            separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2 else { return nil }
        let ends = halves[0].split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, let first = UInt64(ends[0]), let last = UInt64(ends[1]),
            first <= last, last < .max
        else { return nil }
        range = first..<(last + 1)
        total = UInt64(halves[1])
        if let total, last >= total { return nil }
    }
}

/// Ends `work` with ``StoreTrouble/stalled`` when it takes longer than `limit`.
func withDeadline<Value: Sendable>(
    _ limit: Nanoseconds, _ work: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { group in
        defer { group.cancelAll() }
        group.addTask { try await work() }
        group.addTask {
            try await Task.sleep(for: .nanoseconds(Int64(clamping: limit.count)))
            throw StoreTrouble.stalled
        }
        guard let first = try await group.next() else { throw StoreTrouble.stalled }
        return first
    }
}

/// A file's bytes for a request's body, read on threads that may block.
private struct FilePieces: AsyncSequence, Sendable {
    static let pieceBytes = 1 << 20
    let file: OpenFile

    struct Pieces: AsyncIteratorProtocol {
        let file: OpenFile
        var offset: UInt64 = 0

        mutating func next() async throws -> ByteBuffer? {
            let (file, start) = (file, offset)
            let bytes = try await NIOThreadPool.singleton.runIfActive {
                try file.read(at: start, count: FilePieces.pieceBytes)
            }
            offset += UInt64(bytes.count)
            return bytes.isEmpty ? nil : ByteBuffer(bytes: bytes)
        }
    }

    func makeAsyncIterator() -> Pieces { Pieces(file: file) }
}
