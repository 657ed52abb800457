// The client of a collector against a server that does everything wrong.

import Contract
import Foundation
import NIOCore
import NIOPosix
import Outside
import Testing
import Traces

@Suite struct TraceClientTests {
    private func with<Value>(
        _ endpoint: String, headers: String? = nil,
        _ body: (TraceClient) async throws -> Value
    ) async throws -> Value {
        var settings = TraceClientSettings(endpoint: endpoint)
        settings.timeout = .milliseconds(500)
        settings.headers = headers.map { Secret($0) }
        let client = try TraceClient(settings, group: MultiThreadedEventLoopGroup.singleton)
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(client))
        } catch {
            result = .failure(error)
        }
        try await client.close()
        return try result.get()
    }

    private func outcome(_ fault: Fault) async throws -> ExportOutcome {
        let server = try await FaultyServer.start(fault)
        let outcome = try await with(server.base) {
            await $0.send(ByteBuffer(string: "spans"), isCompressed: false)
        }
        #expect(server.questions.count == 1)
        return outcome
    }

    private func answer(
        _ status: Int = 200, _ body: String = "", _ headers: [(String, String)] = []
    ) -> Fault {
        .answer(status: status, type: "application/x-protobuf", body: body, headers: headers)
    }

    @Test func whatWasTakenIsSaid() async throws {
        #expect(try await outcome(answer()) == .taken(rejected: 0))
        #expect(try await outcome(answer(200, "\n\u{2}\u{8}\u{7}")) == .taken(rejected: 7))
        #expect(try await outcome(answer(200, "<html>")) == .taken(rejected: 0))
        #expect(try await outcome(.endless(bytes: 1 << 20)) == .taken(rejected: 0))
    }

    @Test func statusesAreHandedOn() async throws {
        for status in [400, 401, 429, 500, 503] {
            #expect(
                try await outcome(answer(status)) == .status(UInt(status), retryAfter: nil))
        }
        for (text, time) in [
            ("7", .seconds(7)), ("0", .zero), ("-1", nil), ("soon", nil), ("9999999999", nil),
            ("Wed, 21 Oct 2026 07:28:00 GMT", nil),
        ] as [(String, Nanoseconds?)] {
            #expect(
                try await outcome(answer(503, "", [("Retry-After", text)]))
                    == .status(503, retryAfter: time), "\(text)")
        }
    }

    @Test func aRedirectIsNotFollowed() async throws {
        let redirect = answer(307, "", [("Location", "/elsewhere")])
        #expect(try await outcome(redirect) == .status(307, retryAfter: nil))
    }

    @Test func whoDoesNotAnswerInTimeIsUnreachable() async throws {
        for fault in [Fault.silence, .hangUp, .garbage("nonsense\r\n\r\n")] {
            let server = try await FaultyServer.start(fault)
            let outcome = try await with(server.base) {
                await $0.send(ByteBuffer(string: "spans"), isCompressed: false)
            }
            #expect(outcome == .unreachable, "\(fault)")
        }
        let nobody = try await with("http://127.0.0.1:1/v1/traces") {
            await $0.send(ByteBuffer(string: "spans"), isCompressed: false)
        }
        #expect(nobody == .unreachable)
    }

    @Test func whatIsSent() async throws {
        let server = try await FaultyServer.start(answer())
        let headers = "# a comment\r\n\nAuthorization:  Bearer \(canaryToken) \r\nx-tenant: t\n"
        try await with(server.base, headers: headers) {
            _ = await $0.send(ByteBuffer(string: "spans"), isCompressed: true)
        }
        let question = try #require(server.questions.first)
        #expect(question.method == "POST" && question.path == "/v1/traces")
        #expect(question.body == "spans")
        let fields = Dictionary(
            uniqueKeysWithValues: question.headers.map { ($0.key.lowercased(), $0.value) })
        #expect(fields["content-type"] == "application/x-protobuf")
        #expect(fields["content-encoding"] == "gzip")
        #expect(fields["authorization"] == "Bearer \(canaryToken)" && fields["x-tenant"] == "t")
        #expect(fields["content-length"] == "5")
    }

    @Test func aPathOfItsOwnStays() {
        #expect(TraceClient.address("http://h:1") == "http://h:1/v1/traces")
        #expect(TraceClient.address("https://h/") == "https://h/v1/traces")
        #expect(TraceClient.address("https://h/otlp/v1/traces") == "https://h/otlp/v1/traces")
    }

    @Test(arguments: [
        "no colon \(canaryToken)", ": \(canaryToken)", "two words: \(canaryToken)",
        "Content-Type: \(canaryToken)", "host: \(canaryToken)", "x: \(canaryToken)\u{1}",
        "x: é\(canaryToken)", String(repeating: "x: \(canaryToken)\n", count: 33),
    ])
    func headersThatAreNoneAreNamedByTheirLineAlone(_ file: String) throws {
        var settings = TraceClientSettings(endpoint: "http://127.0.0.1:1")
        settings.headers = Secret("\n" + file)
        let failure = #expect(throws: GatewayError.self) {
            _ = try TraceClient(settings, group: MultiThreadedEventLoopGroup.singleton)
        }
        let words = "\(String(describing: failure))"
        #expect(words.contains("line ") && !words.contains(canaryToken), "\(words)")
    }

    @Test func plaintextKeepsNoSecrets() {
        #expect(TraceClient.keepsSecrets("https://collector.example/v1/traces"))
        #expect(TraceClient.keepsSecrets("http://127.0.0.1:4318"))
        #expect(!TraceClient.keepsSecrets("http://collector.example:4318"))
    }
}
