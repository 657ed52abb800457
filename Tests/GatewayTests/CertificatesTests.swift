// Certificates that change under a gateway: what is taken, what is refused, what the log says.

import Contract
import Files
import Foundation
import Gateway
import Logging
import Synchronization
import TLS
import Testing

@Suite struct CertificatesTests {
    /// Keeps lines of the log.
    private final class Lines: Sendable {
        private let lines = Mutex<[(level: Logger.Level, text: String)]>([])
        func add(_ level: Logger.Level, _ text: String) {
            lines.withLock { $0.append((level, text)) }
        }
        func count(_ level: Logger.Level, _ part: String) -> Int {
            lines.withLock { $0.filter { $0.level == level && $0.text.contains(part) }.count }
        }
        var logger: Logger {
            var logger = Logger(label: "test") { _ in Handler(lines: self) }
            logger.logLevel = .trace
            return logger
        }
    }

    private struct Handler: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            let more = (event.metadata ?? [:]).sorted { $0.key < $1.key }
                .map { "\($0.key)=\($0.value)" }
            lines.add(event.level, ([event.message.description] + more).joined(separator: " "))
        }
    }

    /// A folder with an authority and two pairs.
    private func withAuthority(
        _ body: (String, (String...) throws -> Void) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "sluice-certificates-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let program = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "scripts/components/authority")
        func run(_ arguments: String...) throws {
            let process = Process()
            process.executableURL = program
            process.arguments = [folder] + arguments
            try process.run()
            process.waitUntilExit()
            try #require(process.terminationStatus == 0)
        }
        try run("make")
        try run("issue", "server", "/CN=one", "DNS:localhost", "serverAuth")
        try await body(folder, run)
    }

    private func copy(_ file: String, to target: String) throws {
        try Data(contentsOf: URL(filePath: file)).write(
            to: URL(filePath: target), options: .atomic)
    }

    private func settings(_ folder: String) -> TransportSettings {
        var settings = TransportSettings()
        settings.certificate = folder + "/server.crt"
        settings.key = folder + "/server.key"
        settings.watch = .milliseconds(200)
        return settings
    }

    private func eventually(_ what: String, _ condition: () -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(20)
        while !condition() {
            try #require(ContinuousClock.now < end, "\(what)")
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    @Test func aRenewedPairIsTakenAndABadOneIsToldOnce() async throws {
        try await withAuthority { folder, authority in
            let lines = Lines()
            let certificates = try Certificates(
                settings(folder), state: folder, count: 2, logger: lines.logger)
            let first = try #require(certificates.expiries.first)
            #expect(first.kind == "certificate" && first.name == "CN=one")
            #expect(lines.count(.warning, "ends soon") == 1)
            let before = certificates.box.context(for: 1)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await certificates.run() }
                try authority("issue", "server", "/CN=two", "DNS:localhost", "serverAuth", "60")
                try await eventually("the new pair") { certificates.expiries[0].name == "CN=two" }
                #expect(certificates.expiries[0].serial != first.serial)
                #expect(certificates.box.context(for: 1) !== before)
                #expect(lines.count(.notice, "subject=CN=two") == 1)
                // A key that does not fit, for many looks.
                let taken = certificates.box.context(for: 1)
                try authority("issue", "other", "/CN=three", "DNS:localhost", "serverAuth", "60")
                try copy(folder + "/other.key", to: folder + "/server.key")
                try await eventually("the fault") { lines.count(.error, "does not belong") == 1 }
                #expect(certificates.box.context(for: 1) === taken)
                // The rest of the pair comes.
                try copy(folder + "/other.crt", to: folder + "/server.crt")
                try await eventually("the third") { certificates.expiries[0].name == "CN=three" }
                #expect(lines.count(.error, "not taken") == 1)
                group.cancelAll()
            }
        }
    }

    @Test func aReloadIsAllOrNothing() async throws {
        try await withAuthority { folder, authority in
            let lines = Lines()
            let before = settings(folder)
            let certificates = try Certificates(
                before, state: folder, count: 1, logger: lines.logger)
            let context = certificates.box.context()
            var after = before
            after.clientCertificates = .required
            after.clientAuthority = folder + "/ca.crt"
            after.clientRevocation = folder + "/server.crt"
            let error = #expect(throws: GatewayError.self) { try certificates.reload(after) }
            #expect(error?.message.contains("revocation lists") == true)
            #expect(certificates.box.context() === context)
            after.clientRevocation = folder + "/crl.pem"
            try certificates.reload(after)
            #expect(certificates.box.context() !== context)
            let kinds = certificates.expiries.map(\.kind)
            #expect(kinds == ["certificate", "authority", "revocation_list"])
            // One that has ended is refused, with its name; what is in force stays.
            let good = certificates.box.context()
            try authority("issue", "server", "/CN=old", "DNS:localhost", "serverAuth", "-1")
            let old = #expect(throws: GatewayError.self) { try certificates.reload(after) }
            #expect(old?.message.contains("CN=old) has ended") == true)
            #expect(certificates.box.context() === good)
        }
    }

    @Test func aNewListForgetsTicketsAndARenewalDoesNot() async throws {
        try await withAuthority { folder, authority in
            var settings = settings(folder)
            settings.clientCertificates = .optional
            settings.clientAuthority = folder + "/ca.crt"
            settings.clientRevocation = folder + "/crl.pem"
            let certificates = try Certificates(
                settings, state: folder, count: 1, logger: Lines().logger)
            let keys = certificates.box.context().ticketKeysID
            try authority("issue", "server", "/CN=two", "DNS:localhost", "serverAuth")
            try certificates.reload(settings)
            #expect(certificates.box.context().ticketKeysID == keys)
            try authority("revoke", "server")
            try certificates.reload(settings)
            #expect(certificates.box.context().ticketKeysID != keys)
        }
    }

    @Test func aListThatEndsIsToldWhenItEnds() async throws {
        try await withAuthority { folder, authority in
            let lines = Lines()
            try authority("crl", "3")
            var settings = settings(folder)
            settings.clientCertificates = .optional
            settings.clientAuthority = folder + "/ca.crt"
            settings.clientRevocation = folder + "/crl.pem"
            let certificates = try Certificates(
                settings, state: folder, count: 1, logger: lines.logger)
            #expect(lines.count(.error, "out of date") == 0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await certificates.run() }
                try await eventually("the end") { lines.count(.error, "out of date") == 1 }
                try authority("crl")
                try await eventually("the next") { lines.count(.notice, "revocation_list") == 1 }
                #expect(lines.count(.error, "out of date") == 1)
                group.cancelAll()
            }
        }
    }

    @Test func theOwnCertificateNeedsNoFiles() async throws {
        try await withAuthority { folder, _ in
            let certificates = try Certificates(
                TransportSettings(), state: folder, count: 1, logger: Lines().logger)
            #expect(certificates.expiries[0].path == folder + "/tls/cert.pem")
            try certificates.reload(TransportSettings())
        }
    }

    // MARK: Values

    @Test func filesAreJudgedWhenTheyRest() async throws {
        try await withAuthority { folder, authority in
            let paths = [folder + "/server.crt", folder + "/server.key", folder + "/absent"]
            let first = FilePlan.stamps(of: paths)
            #expect(first[0] != nil && first[2] == nil)
            var plan = FilePlan(judged: first)
            let looks = [plan.look(first), plan.look(first)]
            #expect(looks == [false, false])
            try authority("issue", "server", "/CN=two", "DNS:localhost", "serverAuth")
            let second = FilePlan.stamps(of: paths)
            let changed = [plan.look(second), plan.look(second), plan.look(second)]
            #expect(changed == [false, true, true])
            plan.judge(second)
            let judged = plan.look(second)
            #expect(!judged)
            // Back to what was judged before anybody looked twice.
            let flicker = [plan.look(first), plan.look(second), plan.look(second)]
            #expect(flicker == [false, false, false])
        }
    }

    @Test func theNotesOfWhatEnds() {
        func item(_ kind: TLSInventory.Kind, _ ends: Int64) -> TLSInventory.Item {
            TLSInventory.Item(
                kind: kind, path: "/f", name: "CN=a", begins: 0, ends: ends, digest: [])
        }
        let now: Int64 = 1_000 * 86_400
        func level(_ kind: TLSInventory.Kind, _ days: Int64) -> Logger.Level? {
            CertificateNote.notes([item(kind, now + days * 86_400)], now: now).first?.level
        }
        #expect(level(.certificate, 31) == nil)
        #expect(level(.certificate, 30) == .warning)
        #expect(level(.certificate, 0) == .error)
        #expect(level(.authority, 29) == .warning)
        #expect(level(.authority, -1) == .error)
        #expect(level(.revocationList, 1) == nil)
        #expect(level(.revocationList, 0) == .error)
        #expect(level(.ocsp, 1) == nil)
        #expect(level(.ocsp, -1) == .warning)
        let note = CertificateNote.notes([item(.certificate, now - 1)], now: now)[0]
        #expect(note.metadata["days"] == "-1")
        #expect(note.metadata["file"] == "/f")
    }
}
