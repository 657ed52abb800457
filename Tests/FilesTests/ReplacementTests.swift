// Files that are whole or not there, and words that outlive a process.

import Files
import Foundation
import Testing

@Suite struct ReplacementTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "sluice-files-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private func names(_ path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    }

    @Test func aFileIsReplacedAsAWhole() throws {
        try withFolder { path in
            let folder = try Folder(path: path)
            #expect(try folder.content(of: "state", byteCountMax: 10) == nil)
            try folder.replace("state", with: Array("one".utf8))
            #expect(try folder.content(of: "state", byteCountMax: 10) == Array("one".utf8))
            try folder.replace("state", with: [])
            #expect(try folder.content(of: "state", byteCountMax: 10) == [])
            try folder.replace("state", with: [UInt8](repeating: 7, count: 3 << 20))
            #expect(throws: FileFault.self) {
                try folder.content(of: "state", byteCountMax: 10)
            }
            #expect(try names(path) == ["state"])
            let mode = try FileManager.default.attributesOfItem(atPath: path + "/state")
            #expect((mode[.posixPermissions] as? Int) == 0o600)
        }
    }

    /// What a killed process left behind is in nobody's way, and never read.
    @Test func aDraftLeftBehindIsOverwritten() throws {
        try withFolder { path in
            let folder = try Folder(path: path)
            try folder.replace("state", with: Array("old".utf8))
            try "half a fi".write(toFile: path + "/state.new", atomically: false, encoding: .utf8)
            #expect(try folder.content(of: "state", byteCountMax: 10) == Array("old".utf8))
            try folder.replace("state", with: Array("new".utf8))
            #expect(try folder.content(of: "state", byteCountMax: 10) == Array("new".utf8))
            #expect(try names(path) == ["state"])
        }
    }

    @Test func whenItCannotBeReplacedTheOldStands() throws {
        try withFolder { path in
            let folder = try Folder(path: path)
            // A folder of that name cannot be replaced by a file; nor can a name lead elsewhere.
            try FileManager.default.createDirectory(
                atPath: path + "/state/inside", withIntermediateDirectories: true)
            #expect(throws: FileFault.self) { try folder.replace("state", with: [1]) }
            #expect(try names(path) == ["state"])
            for name in ["../state", "a/b", "", ".", "a\u{0}b"] {
                #expect(throws: FileFault.self, "\(name)") {
                    try folder.replace(name, with: [1])
                }
            }
        }
    }

    // MARK: - The journal

    private func remains(_ path: String) throws -> SlotJournal.Remains? {
        try SlotJournal.remains("journal", in: try Folder(path: path))
    }

    @Test func whatIsMarkedIsFound() throws {
        try withFolder { path in
            let folder = try Folder(path: path)
            #expect(try remains(path) == nil)
            let journal = try SlotJournal("journal", in: folder, slots: 5, id: 99)
            #expect(
                try remains(path)
                    == SlotJournal.Remains(journal: 99, hasEnded: false, notes: []))
            let long = String(repeating: "n", count: 128)
            journal.slot(0).describe(name: "iris", first: 1, second: .max)
            journal.slot(4).describe(name: long, first: 7, second: 8)
            #expect(try remains(path)?.notes.isEmpty == true, "described is not marked")
            journal.slot(0).mark(5)
            journal.slot(4).mark(6)
            let iris = SlotJournal.Note(mark: 5, name: "iris", first: 1, second: .max)
            #expect(
                try remains(path)?.notes == [
                    iris, SlotJournal.Note(mark: 6, name: long, first: 7, second: 8),
                ])
            journal.slot(4).mark(0)
            #expect(try remains(path)?.notes == [iris])
            journal.end()
            #expect(try remains(path)?.hasEnded == true)
            // The next journal takes the place of this one, which may still be written to.
            let next = try SlotJournal("journal", in: folder, slots: 2, id: 100)
            journal.slot(4).mark(1)
            #expect(
                try remains(path)
                    == SlotJournal.Remains(journal: 100, hasEnded: false, notes: []))
            next.slot(1).describe(name: long + "cut", first: 0, second: 0)
            next.slot(1).mark(1)
            #expect(try remains(path)?.notes.first?.name == long)
        }
    }

    @Test func whatIsNoJournalSaysNothing() throws {
        try withFolder { path in
            let folder = try Folder(path: path)
            let journal = try SlotJournal("journal", in: folder, slots: 2, id: 1)
            journal.slot(0).describe(name: "iris", first: 1, second: 2)
            journal.slot(0).mark(1)
            let whole = try Data(contentsOf: URL(filePath: path + "/journal"))
            func says(_ bytes: Data) throws -> SlotJournal.Remains? {
                try bytes.write(to: URL(filePath: path + "/journal"))
                return try remains(path)
            }
            for count in [0, 1, 63, 64, whole.count - 1] {
                #expect(try says(whole.prefix(count)) == nil, "\(count)")
            }
            #expect(try says(whole + [0]) == nil)
            var damaged = whole
            damaged[0] ^= 1
            #expect(try says(damaged) == nil)
            // A length that cannot be: the slot is passed over.
            damaged = whole
            damaged[64 + 24] = 200
            #expect(try says(damaged)?.notes == [])
            #expect(try says(Data(count: 8 << 20)) == nil)
            #expect(try says(whole)?.notes.count == 1)
        }
    }
}
