// Appending: several writers at once, and what is no plain file.

import Files
import Foundation
import Testing

@Suite struct AppendedFileTests {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "sluice-append-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    @Test func linesOfSeveralWritersStayWhole() async throws {
        try await withFolder { folder in
            let path = folder + "/log"
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<4 {
                    group.addTask {
                        let file = try AppendedFile(path: path)
                        for number in 0..<50 {
                            let line =
                                "\(writer) \(number) "
                                + String(repeating: "x", count: 200) + "\n"
                            _ = try file.append(Array(line.utf8))
                        }
                    }
                }
                try await group.waitForAll()
            }
            let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
            #expect(lines.count == 200)
            for writer in 0..<4 {
                let own = lines.filter { $0.hasPrefix("\(writer) ") }
                let numbers = own.compactMap { Int($0.split(separator: " ")[1]) }
                #expect(numbers == Array(0..<50))
            }
        }
    }

    @Test func linksAndFoldersAreRefused() async throws {
        try await withFolder { folder in
            try FileManager.default.createSymbolicLink(
                atPath: folder + "/link", withDestinationPath: folder + "/other")
            #expect(throws: FileFault.self) { _ = try AppendedFile(path: folder + "/link") }
            #expect(throws: FileFault.self) { _ = try AppendedFile(path: folder) }
            #expect(!FileManager.default.fileExists(atPath: folder + "/other"))
        }
    }

    @Test func renamingWhatIsNotThereDoesNothing() async throws {
        try await withFolder { folder in
            try AppendedFile.rename(folder + "/none", to: folder + "/new")
            #expect(!FileManager.default.fileExists(atPath: folder + "/new"))
        }
    }

    @Test func halfALineOfBeforeIsEndedAndNothingElse() async throws {
        try await withFolder { folder in
            let path = folder + "/log"
            for (before, after) in [
                ("", "new\n"), ("old\n", "old\nnew\n"), ("ol", "ol\nnew\n"), ("\n", "\nnew\n"),
            ] {
                try Data(before.utf8).write(to: URL(filePath: path))
                let file = try AppendedFile(path: path)
                try file.endLine()
                _ = try file.append(Array("new\n".utf8))
                #expect(try String(contentsOfFile: path, encoding: .utf8) == after)
            }
        }
    }

    @Test func withNoneToKeepTheFileBeginsAnew() async throws {
        try await withFolder { folder in
            let path = folder + "/log"
            try Data("1\n".utf8).write(to: URL(filePath: path))
            try AppendedFile.setAside(path, keep: 0)
            try AppendedFile.setAside(path, keep: 0)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
        }
    }

    @Test func filesAreSetAsideByNumberAndTheOldestGoes() async throws {
        try await withFolder { folder in
            let path = folder + "/log"
            for text in ["1\n", "2\n", "3\n", "4\n"] {
                let file = try AppendedFile(path: path)
                let (count, fault) = file.appendLater(Array(text.utf8)[...])
                let size = try file.byteCount()
                #expect(count == 2 && fault == nil && size == 2)
                try AppendedFile.setAside(path, keep: 2)
            }
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            #expect(names == ["log.1", "log.2"])
            #expect(try String(contentsOfFile: path + ".1", encoding: .utf8) == "4\n")
            #expect(try String(contentsOfFile: path + ".2", encoding: .utf8) == "3\n")
        }
    }
}
