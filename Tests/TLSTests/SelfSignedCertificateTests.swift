// The certificate of a first start: made once, kept while good, never half there.

import Foundation
import Synchronization
import TLS
import Testing

@Suite struct SelfSignedCertificateTests {
    private func text(_ file: String) throws -> String {
        try shell(["openssl", "x509", "-in", file, "-noout", "-text"]).output
    }

    private func mode(_ file: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: file)
        return try #require(attributes[.posixPermissions] as? NSNumber).intValue
    }

    @Test func `a first start makes a pair that is its own authority`() throws {
        let folder = try TemporaryFolder()
        let files = try SelfSignedCertificate.ensure(
            folder: folder.path + "/deep/tls", names: ["gateway.example", "10.1.2.3", "localhost"])
        #expect(files.isNew)
        #expect(files.certificate == folder.path + "/deep/tls/cert.pem")
        #expect(try mode(files.key) == 0o600)
        #expect(try mode(folder.path + "/deep/tls") == 0o700)
        let text = try text(files.certificate)
        #expect(text.contains("CA:TRUE"))
        #expect(text.contains("DNS:localhost"))
        #expect(text.contains("IP Address:127.0.0.1"))
        #expect(text.contains("IP Address:0:0:0:0:0:0:0:1"))
        #expect(text.contains("DNS:gateway.example"))
        #expect(text.contains("IP Address:10.1.2.3"))
        #expect(text.contains("prime256v1"))
        let verified = try shell([
            "openssl", "verify", "-x509_strict", "-CAfile", files.certificate, files.certificate,
        ])
        #expect(verified.status == 0, "\(verified.output)")
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.path + "/deep/tls")
        #expect(left.sorted() == [".lock", "cert.pem", "key.pem"])
        _ = try TLSServerContext(
            TLSServerSettings(
                certificateFile: files.certificate, keyFile: files.key, applicationProtocols: []))
    }

    @Test func `a good pair is kept and one that has ended is made again`() throws {
        let folder = try TemporaryFolder()
        let first = try SelfSignedCertificate.ensure(folder: folder.path)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: first.certificate))
        let second = try SelfSignedCertificate.ensure(folder: folder.path, names: ["new.example"])
        #expect(!second.isNew)
        #expect(try Data(contentsOf: URL(fileURLWithPath: first.certificate)) == bytes)
        let later = TicketKeys.clock() + 825 * 86_400
        #expect(try SelfSignedCertificate.ensure(folder: folder.path, now: later).isNew)
        #expect(try Data(contentsOf: URL(fileURLWithPath: first.certificate)) != bytes)
    }

    @Test func `a pair torn by a crash is made again`() throws {
        let folder = try TemporaryFolder()
        let first = try SelfSignedCertificate.ensure(folder: folder.path)
        try FileManager.default.removeItem(atPath: first.key)
        #expect(try SelfSignedCertificate.ensure(folder: folder.path).isNew)
        let other = try TemporaryFolder()
        let stranger = try SelfSignedCertificate.ensure(folder: other.path)
        try FileManager.default.removeItem(atPath: first.key)
        try FileManager.default.copyItem(atPath: stranger.key, toPath: first.key)
        #expect(try SelfSignedCertificate.ensure(folder: folder.path).isNew)
        // A draft left behind is no obstacle.
        try Data("x".utf8).write(to: URL(fileURLWithPath: first.key + ".new"))
        try FileManager.default.removeItem(atPath: first.certificate)
        #expect(try SelfSignedCertificate.ensure(folder: folder.path).isNew)
    }

    @Test func `the operator's own certificate is never overwritten`() throws {
        let fixtures = try Fixtures.shared.get()
        let folder = try TemporaryFolder()
        let certificate = folder.path + "/cert.pem"
        try FileManager.default.copyItem(atPath: fixtures.path("other.pem"), toPath: certificate)
        try FileManager.default.copyItem(
            atPath: fixtures.path("other.key"), toPath: folder.path + "/key.pem")
        #expect(try !SelfSignedCertificate.ensure(folder: folder.path).isNew)
        let later = TicketKeys.clock() + 3 * 86_400
        let error = #expect(throws: TLSError.self) {
            try SelfSignedCertificate.ensure(folder: folder.path, now: later)
        }
        #expect(error?.message.contains(certificate) == true)
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: certificate))
                == Data(contentsOf: URL(fileURLWithPath: fixtures.path("other.pem"))))
    }

    @Test(arguments: ["", "a,DNS:evil", "a b", "http://a", "ü.example", "1.2.3.4/8", "a:1"])
    func `names that are none are refused`(name: String) throws {
        let folder = try TemporaryFolder()
        let error = #expect(throws: TLSError.self) {
            try SelfSignedCertificate.ensure(folder: folder.path, names: [name])
        }
        #expect(error?.code == .setting)
    }

    @Test func `a folder that cannot be made is named`() throws {
        let error = #expect(throws: TLSError.self) {
            try SelfSignedCertificate.ensure(folder: "/proc/none/tls")
        }
        #expect(error?.code == .file)
        #expect(error?.message.contains("/proc/none") == true)
    }

    @Test func `starts at the same time agree`() throws {
        let folder = try TemporaryFolder()
        let path = folder.path
        let results = Results()
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            results.add(Result { try SelfSignedCertificate.ensure(folder: path) })
        }
        let files = try results.all.map { try $0.get() }
        #expect(files.count == 8)
        #expect(files.filter(\.isNew).count == 1)
    }
}

private final class Results: Sendable {
    private let stored = Mutex<[Result<SelfSignedCertificate.Files, any Error>]>([])

    func add(_ result: Result<SelfSignedCertificate.Files, any Error>) {
        stored.withLock { $0.append(result) }
    }

    var all: [Result<SelfSignedCertificate.Files, any Error>] {
        stored.withLock { $0 }
    }
}
