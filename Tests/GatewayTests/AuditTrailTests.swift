// The audit log: whole lines whatever is in them, two writers, rotation, and a disk that does not take it.

import Contract
import Foundation
import Gateway
import Logging
import Testing

@Suite struct AuditTrailTests {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "sluice-audit-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    private func lines(_ path: String) throws -> [[String: String]] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
            try JSONDecoder().decode([String: String].self, from: Data($0.utf8))
        }
    }

    @Test func aLineHoldsWhatIsKnownAndNothingBreaksIt() async throws {
        try await withFolder { folder in
            let trail = AuditTrail(AuditSettings(), state: folder, logger: Logger(label: "test"))
            trail.note(
                AuditEvent(
                    act: "infer", outcome: .refused, issuer: "local", client: "app\n{\"act\":",
                    address: "127.0.0.1", object: "a\u{0}\"b\\", detail: "SCOPE_MISSING",
                    rule: "r1"))
            trail.note(AuditEvent(act: "models.unload", outcome: .done, object: "iris"))
            await trail.write()
            let path = folder + "/audit.jsonl"
            let lines = try lines(path)
            try #require(lines.count == 2)
            #expect(lines[0]["client"] == "app\n{\"act\":" && lines[0]["object"] == "a\u{0}\"b\\")
            #expect(lines[0]["rule"] == "r1" && lines[0]["detail"] == "SCOPE_MISSING")
            #expect(lines[0]["from"] == "127.0.0.1" && lines[0]["subject"] == nil)
            #expect(lines[1]["act"] == "models.unload" && lines[1]["outcome"] == "done")
            #expect(lines[0]["time"]?.hasSuffix("Z") == true)
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]
            #expect((mode as? NSNumber)?.intValue == 0o600)
        }
    }

    @Test func withNoneToKeepAFullFileBeginsAnew() async throws {
        try await withFolder { folder in
            var settings = AuditSettings()
            settings.bytes = 1_024
            settings.files = 0
            let file = AuditFile(settings, state: folder)
            var most: UInt64 = 0
            for number in 0..<100 {
                try file.append(AuditEvent(act: "infer", outcome: .refused, object: "\(number)"))
                let size = try? FileManager.default.attributesOfItem(atPath: file.path)[.size]
                most = max(most, (size as? NSNumber)?.uint64Value ?? 0)
            }
            #expect(most > 0 && most < 1_024)
        }
    }

    @Test func aFullFileIsSetAsideAndTheOldestGoes() async throws {
        try await withFolder { folder in
            var settings = AuditSettings()
            settings.bytes = 1_024
            settings.files = 2
            let file = AuditFile(settings, state: folder)
            for number in 0..<100 {
                try file.append(AuditEvent(act: "infer", outcome: .refused, object: "\(number)"))
            }
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            #expect(
                names == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
                    || names == ["audit.jsonl.1", "audit.jsonl.2"])
            var numbers: [Int] = []
            for name in names.reversed() {
                numbers += try lines("\(folder)/\(name)").compactMap { Int($0["object"] ?? "") }
            }
            // What is left is the newest, without a gap.
            #expect(numbers == Array((100 - numbers.count)..<100))
            #expect(numbers.count > 20)
        }
    }

    /// 16,384 may wait; what comes more is counted, and the count is written down.
    @Test func whatCannotWaitIsCounted() async throws {
        try await withFolder { folder in
            let trail = AuditTrail(AuditSettings(), state: folder, logger: Logger(label: "test"))
            for _ in 0..<16_400 { trail.note(AuditEvent(act: "infer", outcome: .refused)) }
            await trail.write()
            let lines = try lines(folder + "/audit.jsonl")
            #expect(lines.count == 16_385)
            #expect(lines.last?["detail"] == "16 events were lost")
        }
    }

    @Test func aFolderThatIsNotThereCostsNobodyAnything() async throws {
        let trail = AuditTrail(
            AuditSettings(), state: "/nowhere/at/all", logger: Logger(label: "test"))
        trail.note(AuditEvent(act: "infer", outcome: .refused))
        await trail.write()
        #expect(!FileManager.default.fileExists(atPath: "/nowhere"))
    }
}
