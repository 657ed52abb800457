// Ticket keys that processes share by a file.

import COpenSSL
import Foundation
import TLS
import Testing

@Suite struct TicketKeyFileTests {
    private func mode(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return try #require(attributes[.posixPermissions] as? Int)
    }

    @Test func `it is made for its owner alone, and read by the next`() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/keys"
        let keys = try TicketKeyFile(path).keys(now: 1_000)
        #expect(keys.count == 1 && keys[0].madeAt == 1_000)
        #expect(try mode(path) == 0o600)
        #expect(try TicketKeyFile(path).keys(now: 1_500) == keys)
        #expect(!"\(keys[0])".contains("aes"))
    }

    @Test func `an old key gives way, is kept for its time and goes`() throws {
        let folder = try TemporaryFolder()
        let file = TicketKeyFile(folder.path + "/keys", lifetimeSeconds: 100)
        let first = try file.keys(now: 1_000)[0]
        let second = try file.keys(now: 1_100)
        #expect(second.count == 2 && second[1] == first && second[0].madeAt == 1_100)
        #expect(try file.keys(now: 1_199) == second)
        let third = try file.keys(now: 1_200)
        #expect(third.count == 2 && third[1] == second[0])
        // A clock that went back far: the keys of the future are not used.
        let back = try file.keys(now: 500)
        #expect(back.count == 1 && back[0].madeAt == 500)
    }

    @Test func `many at once make one key`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/keys"
        let all = try await withThrowingTaskGroup(of: [TicketKeys.Key].self) { group in
            for _ in 0..<8 { group.addTask { try TicketKeyFile(path).keys(now: 1_000) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(all.count == 8)
        #expect(all.allSatisfy { $0 == all[0] })
    }

    @Test func `a file that is not ours, open to others or broken is refused and left alone`()
        throws
    {
        let folder = try TemporaryFolder()
        let path = folder.path + "/keys"
        _ = try TicketKeyFile(path).keys(now: 1_000)
        let url = URL(filePath: path)
        let good = try Data(contentsOf: url)
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
        let open = #expect(throws: TLSError.self) { try TicketKeyFile(path).keys(now: 1_000) }
        #expect(open?.code == .ticketKeys && open?.message.contains("others") == true)
        for bytes in [
            Data(), good.dropLast(), good + [1], Data("a text".utf8),
            good + Data(repeating: 7, count: 88 * 8), Data(repeating: 0, count: 5_000),
        ] {
            try bytes.write(to: url)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
            let error = #expect(throws: TLSError.self) { try TicketKeyFile(path).keys(now: 9_000) }
            #expect(error?.code == .ticketKeys)
            #expect(try Data(contentsOf: url) == bytes)
        }
        let link = folder.path + "/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
        #expect(throws: TLSError.self) { try TicketKeyFile(link).keys(now: 1_000) }
    }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func `two that share the file resume each other's sessions`(version: Int32) throws {
        let folder = try TemporaryFolder()
        let file = TicketKeyFile(folder.path + "/keys")
        let keys = try file.keys()
        let one = TicketKeys(shared: keys)
        let two = TicketKeys(shared: keys)
        func connect(_ keys: TicketKeys, _ resuming: Pair? = nil) throws -> Pair {
            let pair = try Pair(
                ClientOptions(
                    maximumVersion: version, protocols: ["sluice/1"], resuming: resuming?.client),
                context: TLSServerContext(Fixtures.settings(), ticketKeys: keys))
            try pair.handshake()
            return pair
        }
        let first = try connect(one)
        #expect(try connect(two, first).client.isResumed)
        // The next key is known to one of them first. By the key's own time: the clock may have gone on by a second since.
        let later = try TicketKeyFile(file.path, lifetimeSeconds: 1).keys(now: keys[0].madeAt + 1)
        try #require(later.count == 2)
        one.adopt(later)
        let second = try connect(one)
        #expect(try !connect(two, second).client.isResumed)
        two.adopt(later)
        #expect(try connect(two, second).client.isResumed)
        #expect(try connect(two, first).client.isResumed)
    }
}
