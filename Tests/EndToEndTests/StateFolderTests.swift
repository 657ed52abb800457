// Two gateways and one state folder: the second says so, and a killed one leaves nothing in the way.

import Foundation
import SluiceClient
import Testing

@Suite struct StateFolderTests {
    /// What was found in models' files outlives the gateway; when it is damaged, files are read again.
    @Test func checksumsOutliveTheGateway() async throws {
        try await withTemporaryFolder { folder in
            let seals = folder.appending(path: "state/seals")
            for round in 0..<3 {
                let gateway = try await TestGateway.start(
                    in: folder, models: Paths.models, settings: nil, environment: [:])
                do {
                    let token = try await gateway.token(name: "round-\(round)")
                    try await gateway.withClient(token: token) { client in
                        let input = try Tensor("X", rows: [[5.1, 3.5, 1.4, 0.2] as [Float]])
                        _ = try await client.infer("iris", inputs: [input])
                    }
                    #expect(gateway.log.contains("are passed over") == (round == 2))
                    try await eventually("what was found is written down") {
                        FileManager.default.fileExists(atPath: seals.path)
                    }
                    #expect(try await gateway.stop() == 0, "\(gateway.log)")
                } catch {
                    gateway.signal(SIGKILL)
                    throw error
                }
                let text = try String(contentsOf: seals, encoding: .utf8)
                #expect(text.contains("sha256"))
                let rights = try FileManager.default.attributesOfItem(atPath: seals.path)
                #expect(rights[.posixPermissions] as? Int == 0o600)
                if round == 1 {
                    try Data(text.dropLast(9).utf8).write(to: seals)
                }
            }
        }
    }

    private func second(on state: String) async throws -> Command {
        try await Command.run(
            "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--models", Paths.models,
            "--state", state)
    }

    @Test func aSecondGatewaySaysWhoIsThereAndEnds() async throws {
        try await withTemporaryFolder { folder in
            let first = try await TestGateway.start(
                in: folder, models: Paths.models, settings: nil, environment: [:])
            let refused = try await second(on: first.state)
            #expect(refused.status == 78)
            #expect(refused.output.isEmpty)
            for part in [
                first.state, "process \(first.processIdentifier)", "another gateway", "--state",
            ] {
                #expect(refused.error.contains(part), "\(refused.error)")
            }
            #expect(refused.error.split(separator: "\n").count == 1, "\(refused.error)")

            // The command line needs no lock, and the first gateway goes on and believes what it does.
            let token = try await first.token()
            let list = try await Command.run("token", "list", "--state", first.state)
            #expect(list.status == 0 && list.output.contains("test"), "\(list.error)")
            let ready = try await first.withClient(token: token) { try await $0.isServerReady() }
            #expect(ready)

            // Killed, it holds nothing: a third starts at once, with the tokens of the first.
            first.signal(SIGKILL)
            _ = try await first.ended()
            #expect(FileManager.default.fileExists(atPath: first.state + "/gateway.lock"))
            let third = try await TestGateway.start(
                in: folder, models: Paths.models, settings: nil, environment: [:])
            let readyAgain = try await third.withClient(token: token) {
                try await $0.isServerReady()
            }
            #expect(readyAgain)
            #expect(try await third.stop() == 0)

            // Stopped in good order, it names nobody.
            let note = try String(contentsOfFile: first.state + "/gateway.lock", encoding: .utf8)
            #expect(note.isEmpty || note == "\(third.processIdentifier)\n")
            let revoked = try await Command.run("token", "revoke", "test", "--state", first.state)
            #expect(revoked.status == 0, "\(revoked.error)")
        }
    }

    @Test func twoFoldersDoNotMeet() async throws {
        try await withGateway { _ in
            try await withGateway { other in
                let ready = try await other.withClient { try await $0.isServerReady() }
                #expect(ready)
            }
        }
    }

    /// A link in place of the lock would make the gateway write elsewhere.
    @Test func aLinkForALockIsRefused() async throws {
        try await withTemporaryFolder { folder in
            let precious = folder.appending(path: "precious")
            try "text".write(to: precious, atomically: true, encoding: .utf8)
            let state = folder.appending(path: "state")
            try FileManager.default.createDirectory(at: state, withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(
                at: state.appending(path: "gateway.lock"), withDestinationURL: precious)
            let refused = try await second(on: state.path)
            #expect(refused.status == 78, "\(refused.error)")
            #expect(refused.error.contains("symbolic link"), "\(refused.error)")
            #expect(try String(contentsOf: precious, encoding: .utf8) == "text")
        }
    }
}
