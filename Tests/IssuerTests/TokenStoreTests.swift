// The embedded issuer on real files in temporary folders.

import Contract
import Foundation
import GRDB
import Issuer
import Synchronization
import Testing

/// A folder that is removed when the test is over.
struct Folder: ~Copyable {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-issuer-\(UUID().uuidString)")
        path = url.path
    }

    var file: String { path + "/" + TokenStore.fileName }

    deinit {
        do {
            if FileManager.default.fileExists(atPath: path) {
                try FileManager.default.removeItem(atPath: path)
            }
        } catch {
            Issue.record("\(path) could not be removed: \(error)")
        }
    }
}

/// Milliseconds that stand still until they are moved.
final class Clock: Sendable {
    private let milliseconds = Mutex<Int64>(1_800_000_000_000)
    var now: Int64 { milliseconds.withLock { $0 } }
    func advance(seconds: Int64) { milliseconds.withLock { $0 += seconds * 1_000 } }
}

func open(_ folder: borrowing Folder, _ clock: Clock = Clock()) async throws -> TokenStore {
    try await TokenStore.open(folder: folder.path, clock: { clock.now })
}

func text(_ token: Secret) -> String {
    token.reveal { String(decoding: $0, as: UTF8.self) }
}

extension Verdict {
    var identity: Identity? {
        if case .active(let identity) = self { identity } else { nil }
    }
}

@Suite struct TokenStoreTests {
    @Test func aTokenIsMadeShownOnceAndKnown() async throws {
        let folder = try Folder()
        let clock = Clock()
        let store = try await open(folder, clock)
        let issued = try await store.create(
            name: "demo", scopes: ["infer:*", "models:read"], ttl: .seconds(60))
        #expect(text(issued.token).hasPrefix("slc_") && issued.token.count == 47)
        #expect(issued.record.name == "demo" && issued.record.id.count == 12)
        clock.advance(seconds: 20)
        let identity = try #require(try await store.verify(issued.token).identity)
        #expect(
            identity
                == Identity(
                    issuer: "local", client: "demo", subject: issued.record.id,
                    scopes: ["infer:*", "models:read"], validFor: .seconds(40)))
        #expect(try await store.list() == [issued.record])
        try await store.close()
    }

    @Test func tokensEnd() async throws {
        let folder = try Folder()
        let clock = Clock()
        let store = try await open(folder, clock)
        let brief = try await store.create(name: "a", scopes: ["admin"], ttl: .seconds(2))
        let endless = try await store.create(name: "b", scopes: ["admin"], ttl: nil)
        clock.advance(seconds: 1)
        #expect(try await store.verify(brief.token).identity != nil)
        clock.advance(seconds: 1)
        #expect(try await store.verify(brief.token) == .expired)
        #expect(try await store.verify(endless.token).identity?.validFor == nil)
        #expect(try await store.verify(endless.token).identity != nil)
        #expect(
            try await store.list().map { $0.status(now: clock.now) }.sorted {
                $0.rawValue < $1.rawValue
            } == [.active, .expired])
        try await store.close()
    }

    @Test(arguments: [
        "slc_", "slc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "", "token",
        "slc_' OR 1=1 --", String(repeating: "x", count: 16_384),
    ])
    func whatWasNeverMadeIsInactive(token: String) async throws {
        let folder = try Folder()
        let store = try await open(folder)
        _ = try await store.create(name: "demo", scopes: ["admin"], ttl: nil)
        #expect(try await store.verify(Secret(token)) == .inactive)
        try await store.close()
    }

    @Test func revokingByNameOrByTheBeginningOfAnId() async throws {
        let folder = try Folder()
        let store = try await open(folder)
        let first = try await store.create(name: "ci", scopes: ["admin"], ttl: nil)
        let second = try await store.create(name: "ci", scopes: ["admin"], ttl: nil)
        let third = try await store.create(name: "other", scopes: ["admin"], ttl: nil)
        #expect(try await store.revoke("ci").count == 2)
        #expect(try await store.verify(first.token) == .inactive)
        #expect(try await store.verify(second.token) == .inactive)
        #expect(try await store.verify(third.token).identity != nil)
        // Again changes nothing, not even when it happened.
        let again = try await store.revoke(first.record.id)
        #expect(again.count == 1 && again.first?.revoked != nil)
        #expect(try await store.revoke(String(third.record.id.prefix(6))).map(\.name) == ["other"])
        #expect(try await store.verify(third.token) == .inactive)
        await #expect(throws: GatewayError.self) { try await store.revoke("nobody") }
        await #expect(throws: GatewayError.self) { try await store.revoke("") }
        await #expect(throws: GatewayError.self) { try await store.revoke("%") }
        try await store.close()
    }

    @Test(arguments: [
        ("", ["admin"]), ("a\nb", ["admin"]), (String(repeating: "n", count: 129), ["admin"]),
        ("ok", []), ("ok", ["infr:*"]), ("ok", ["infer:a*b"]), ("ok", ["infer:"]), ("ok", ["a b"]),
        ("ok", [String](repeating: "admin", count: 257)),
    ])
    func whatIsNoNameOrScopeIsRefused(name: String, scopes: [String]) async throws {
        let folder = try Folder()
        let store = try await open(folder)
        let error = await #expect(throws: GatewayError.self) {
            try await store.create(name: name, scopes: scopes, ttl: nil)
        }
        #expect(error?.kind == .configuration)
        #expect(try await store.list().isEmpty)
        try await store.close()
    }

    @Test func endedTokensAreForgottenAfterThirtyDays() async throws {
        let folder = try Folder()
        let clock = Clock()
        let store = try await open(folder, clock)
        _ = try await store.create(name: "old", scopes: ["admin"], ttl: .seconds(1))
        _ = try await store.create(name: "revoked", scopes: ["admin"], ttl: nil)
        _ = try await store.revoke("revoked")
        clock.advance(seconds: 29 * 86_400)
        _ = try await store.create(name: "new", scopes: ["admin"], ttl: nil)
        #expect(try await store.list().count == 3)
        clock.advance(seconds: 2 * 86_400)
        _ = try await store.create(name: "newer", scopes: ["admin"], ttl: nil)
        #expect(try await store.list().map(\.name) == ["newer", "new"])
        try await store.close()
    }

    @Test func tokensAreUnpredictable() async throws {
        let folder = try Folder()
        let store = try await open(folder)
        var seen: Set<String> = []
        for _ in 0..<100 {
            let issued = try await store.create(name: "n", scopes: ["admin"], ttl: nil)
            #expect(seen.insert(text(issued.token)).inserted)
            #expect(seen.insert(issued.record.id).inserted)
        }
        try await store.close()
    }
}

@Suite struct TokenFileTests {
    @Test func onlyTheOwnerMayReadAndNoTokenIsInTheFile() async throws {
        let folder = try Folder()
        let store = try await open(folder)
        let issued = try await store.create(name: "canary", scopes: ["admin"], ttl: nil)
        let secret = text(issued.token)
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(files.contains(TokenStore.fileName))
        for name in files {
            let path = folder.path + "/" + name
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]
            #expect((mode as? NSNumber)?.intValue == 0o600, "\(name)")
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            #expect(bytes.range(of: Data(secret.utf8)) == nil, "\(name)")
            #expect(bytes.range(of: Data(secret.dropFirst(4).utf8)) == nil, "\(name)")
        }
        try await store.close()
    }

    @Test func aFileThatOthersCouldReadIsClosedToThem() async throws {
        let folder = try Folder()
        try await open(folder).close()
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o644], ofItemAtPath: folder.file)
        try await open(folder).close()
        let mode = try FileManager.default.attributesOfItem(atPath: folder.file)[.posixPermissions]
        #expect((mode as? NSNumber)?.intValue == 0o600)
    }

    @Test func acknowledgedMeansOnTheDisk() async throws {
        let folder = try Folder()
        let store = try await open(folder)
        let synchronous = try await store.synchronousMode()
        #expect(synchronous == 2, "FULL")
        try await store.close()
    }

    /// What a kill leaves behind: the files as they are while the store is open, never closed.
    @Test func nothingAcknowledgedIsLostByAKill() async throws {
        let folder = try Folder()
        let store = try await open(folder)
        var tokens: [Secret] = []
        for number in 0..<20 {
            tokens.append(
                try await store.create(name: "t\(number)", scopes: ["admin"], ttl: nil).token)
            if number % 5 == 4 {
                let copy = try Folder()
                try FileManager.default.copyItem(atPath: folder.path, toPath: copy.path)
                let reopened = try await open(copy)
                for token in tokens { #expect(try await reopened.verify(token).identity != nil) }
                try await reopened.close()
            }
        }
        _ = try await store.revoke("t3")
        let copy = try Folder()
        try FileManager.default.copyItem(atPath: folder.path, toPath: copy.path)
        let reopened = try await open(copy)
        #expect(try await reopened.verify(tokens[3]) == .inactive)
        try await reopened.close()
        try await store.close()
    }

    @Test func twoProcessesShareTheFile() async throws {
        let folder = try Folder()
        let path = folder.path
        // Both meet at an empty folder.
        async let opening = TokenStore.open(folder: path)
        let gateway = try await TokenStore.open(folder: path)
        let command = try await opening
        try await withThrowingTaskGroup(of: Void.self) { group in
            for store in [gateway, command] {
                group.addTask {
                    for number in 0..<25 {
                        let issued = try await store.create(
                            name: "n\(number)", scopes: ["infer:*"], ttl: nil)
                        for reader in [gateway, command] {
                            #expect(try await reader.verify(issued.token).identity != nil)
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await gateway.list().count == 50)
        #expect(try await command.revoke("n7").count == 2)
        #expect(try await gateway.list().filter { $0.revoked != nil }.count == 2)
        try await command.close()
        #expect(try await gateway.list().count == 50)
        try await gateway.close()
    }

    @Test(arguments: 0..<5) func manyOpeningsAtOnceOfAnEmptyFolder(round: Int) async throws {
        let folder = try Folder()
        let path = folder.path
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                group.addTask {
                    let store = try await TokenStore.open(folder: path)
                    _ = try await store.create(name: "n\(number)", scopes: ["admin"], ttl: nil)
                    try await store.close()
                }
            }
            try await group.waitForAll()
        }
        let store = try await open(folder)
        #expect(try await store.list().count == 8)
        try await store.close()
    }

    @Test func aLockedFileIsUnavailable() async throws {
        let folder = try Folder()
        try await open(folder).close()
        let store = try await TokenStore.open(folder: folder.path, busyTime: .milliseconds(50))
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let holder = try DatabaseQueue(path: folder.file, configuration: configuration)
        try await holder.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
        let error = await #expect(throws: GatewayError.self) {
            try await store.create(name: "n", scopes: ["admin"], ttl: nil)
        }
        #expect(error?.kind == .unavailable && error?.mend.isEmpty == false)
        // Reading goes on meanwhile.
        #expect(try await store.list().isEmpty)
        #expect(
            try await store.verify(Secret("slc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
                == .inactive)
        try await holder.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        _ = try await store.create(name: "n", scopes: ["admin"], ttl: nil)
        try await store.close()
        try holder.close()
    }

    @Test(arguments: ["garbage", "header", "middle"])
    func aDamagedFileSaysSo(damage: String) async throws {
        let folder = try Folder()
        let store = try await open(folder)
        for number in 0..<200 {
            _ = try await store.create(name: "n\(number)", scopes: ["admin"], ttl: nil)
        }
        try await store.close()
        var bytes = try Data(contentsOf: URL(fileURLWithPath: folder.file))
        switch damage {
        case "garbage": bytes = Data("this is no database, but long enough to be read".utf8)
        case "header": bytes.replaceSubrange(0..<16, with: Data(repeating: 0x41, count: 16))
        default:
            try #require(bytes.count > 16_384, "everything is in the file after close")
            let middle = bytes.count / 2
            bytes.replaceSubrange(
                middle..<middle + 4_096, with: Data(repeating: 0xFF, count: 4_096))
        }
        try bytes.write(to: URL(fileURLWithPath: folder.file))
        let error = await #expect(throws: GatewayError.self) { try await open(folder).close() }
        #expect(
            error?.kind == .data && error?.mend.isEmpty == false,
            "\(damage): \(String(describing: error))")
    }

    @Test func aFolderInPlaceOfTheFileSaysSo() async throws {
        let folder = try Folder()
        try FileManager.default.createDirectory(
            atPath: folder.file, withIntermediateDirectories: true)
        let error = await #expect(throws: GatewayError.self) { try await open(folder).close() }
        #expect(error?.message.contains("regular file") == true)
    }

    @Test func aFileInPlaceOfTheFolderSaysSo() async throws {
        let folder = try Folder()
        try Data("x".utf8).write(to: URL(fileURLWithPath: folder.path))
        let error = await #expect(throws: GatewayError.self) { try await open(folder).close() }
        #expect(error?.mend.isEmpty == false)
    }

    @Test func aNewerFileIsLeftAlone() async throws {
        let folder = try Folder()
        try await open(folder).close()
        let other = try DatabaseQueue(path: folder.file)
        try await other.write {
            try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('99: from the future')")
        }
        try other.close()
        let error = await #expect(throws: GatewayError.self) { try await open(folder).close() }
        #expect(error?.kind == .configuration && error?.message.contains("newer") == true)
    }

    @Test func aClosedStoreIsUnavailableNotInactive() async throws {
        let folder = try Folder()
        let store = try await open(folder)
        let issued = try await store.create(name: "n", scopes: ["admin"], ttl: nil)
        try await store.close()
        let failure = await #expect(throws: CallFailure.self) {
            try await store.verify(issued.token)
        }
        #expect(failure?.code == .unavailable && failure?.reason == .issuerUnavailable)
        #expect(failure?.message.contains(folder.path) == false)
        await #expect(throws: GatewayError.self) { try await store.list() }
    }
}

@Suite struct StoreFailureTests {
    @Test(arguments: [
        (ResultCode.SQLITE_READONLY, GatewayError.Kind.permission), (.SQLITE_PERM, .permission),
        (.SQLITE_CANTOPEN, .permission), (.SQLITE_BUSY, .unavailable),
        (.SQLITE_LOCKED, .unavailable), (.SQLITE_CORRUPT, .data), (.SQLITE_NOTADB, .data),
        (.SQLITE_FULL, .unavailable), (.SQLITE_IOERR, .unavailable), (.SQLITE_MISUSE, .internal),
    ])
    func eachTroubleHasItsKind(code: ResultCode, kind: GatewayError.Kind) {
        let error = StoreFailure.translate(DatabaseError(resultCode: code), path: "/state/x")
        #expect(error.kind == kind && error.message.contains("/state/x"))
        let failure = StoreFailure.callFailure(DatabaseError(resultCode: code))
        #expect(failure.code == .unavailable && !failure.message.contains("/state"))
    }

    @Test func aMissingPermissionIsNamed() {
        let error = StoreFailure.translate(
            CocoaError(.fileWriteNoPermission), path: "/state/x")
        #expect(error.kind == .permission)
        #expect(StoreFailure.translate(CancellationError(), path: "/x").kind == .unavailable)
    }
}
