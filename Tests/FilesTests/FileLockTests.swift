// A lock on a real file: one holder at a time, gone with its value or its process, and a note for people.

import Files
import Foundation
import Testing

@Suite struct FileLockTests {
    private func text(_ place: TemporaryFolder, _ name: String = "lock") throws -> String {
        try String(contentsOfFile: place.path + "/" + name, encoding: .utf8)
    }

    @Test func oneHolderAtATime() throws {
        let place = try TemporaryFolder()
        defer { withExtendedLifetime(place) {} }
        let folder = try Folder(path: place.path)
        do {
            guard let lock = try FileLock.take("lock", in: folder) else {
                Issue.record("a new lock is free")
                return
            }
            #expect(try text(place) == "\(getpid())\n")
            #expect(try FileLock.holder("lock", in: folder) == getpid())
            let second = try FileLock.take("lock", in: folder) != nil
            #expect(!second)
            // Closing another descriptor of the file loses nothing.
            _ = try folder.file("lock").read(at: 0, count: 1)
            let third = try FileLock.take("lock", in: Folder(path: place.path)) != nil
            #expect(!third)
            // The attempts left the note as it was.
            #expect(try text(place) == "\(getpid())\n")
            _ = consume lock
        }
        // The file is still there, and it means nothing.
        #expect(try text(place).isEmpty)
        #expect(try FileLock.holder("lock", in: folder) == nil)
        let again = try FileLock.take("lock", in: folder) != nil
        #expect(again)
    }

    @Test func theFileIsForItsOwnerOnly() throws {
        let place = try TemporaryFolder()
        defer { withExtendedLifetime(place) {} }
        let taken = try FileLock.take("lock", in: Folder(path: place.path)) != nil
        #expect(taken)
        let attributes = try FileManager.default.attributesOfItem(atPath: place.path + "/lock")
        #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
    }

    /// What a killed holder leaves: a file, its number in it, and no lock.
    @Test func aFileThatIsLeftOverIsNoLock() throws {
        let place = try TemporaryFolder()
        defer { withExtendedLifetime(place) {} }
        try place.write("lock", "4194305 and a longer text than the next holder writes\n")
        let folder = try Folder(path: place.path)
        // Above the largest number Linux gives a process.
        #expect(try FileLock.holder("lock", in: folder) == nil)
        let lock = try FileLock.take("lock", in: folder)
        guard lock != nil else {
            Issue.record("nobody holds it")
            return
        }
        #expect(try text(place) == "\(getpid())\n")
        _ = consume lock
    }

    @Test(arguments: ["", "\n", "-5\n", "0\n", "pid 7\n", "99999999999999999999\n"])
    func aNoteThatNamesNobody(_ note: String) throws {
        let place = try TemporaryFolder()
        defer { withExtendedLifetime(place) {} }
        try place.write("lock", note)
        #expect(try FileLock.holder("lock", in: Folder(path: place.path)) == nil)
    }

    /// Other programs see it, and it is not carried into them.
    @Test func otherProcessesMeetIt() throws {
        let place = try TemporaryFolder()
        defer { withExtendedLifetime(place) {} }
        let folder = try Folder(path: place.path)
        func tryFromOutside() throws -> Int32 {
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/flock")
            process.arguments = ["--nonblock", place.path + "/lock", "true"]
            try process.run()
            process.waitUntilExit()
            return process.terminationStatus
        }
        let sleeper = Process()
        do {
            guard let lock = try FileLock.take("lock", in: folder) else {
                Issue.record("a new lock is free")
                return
            }
            #expect(try tryFromOutside() == 1)
            sleeper.executableURL = URL(filePath: "/usr/bin/sleep")
            sleeper.arguments = ["60"]
            try sleeper.run()
            _ = consume lock
        }
        #expect(try tryFromOutside() == 0, "a child that goes on holds nothing")
        // A child of a test's thread begins with every signal blocked but this one.
        kill(sleeper.processIdentifier, SIGKILL)
        sleeper.waitUntilExit()
    }

    @Test func onlyAPlainFileIsLocked() throws {
        let place = try TemporaryFolder()
        defer { withExtendedLifetime(place) {} }
        try place.write("folder/x", "")
        try place.write("real", "precious")
        try place.link("link", to: "real")
        let folder = try Folder(path: place.path)
        #expect(throws: FileFault.self) { try FileLock.take("folder", in: folder) == nil }
        #expect(throws: FileFault.self) { try FileLock.take("link", in: folder) == nil }
        #expect(throws: FileFault.self) { try FileLock.take("../lock", in: folder) == nil }
        #expect(throws: FileFault.self) { try FileLock.holder("none", in: folder) }
        #expect(try text(place, "real") == "precious")
    }
}
