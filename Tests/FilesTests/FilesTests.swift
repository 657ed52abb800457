// Folders and files on a real disk: links are not followed, names do not lead out, reads end where files end.

import Files
import Foundation
import Testing

/// A folder that is removed when the test ends.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "/sluice-files-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            print("left behind: \(path)")
        }
    }

    func write(_ name: String, _ text: String) throws {
        let whole = path + "/" + name
        let folder = (whole as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: whole))
    }

    func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(
            atPath: path + "/" + name, withDestinationPath: target)
    }
}

@Suite struct FilesTests {
    @Test func namesAreSortedAndHaveTheirKind() throws {
        let place = try TemporaryFolder()
        try place.write("b", "x")
        try place.write("a/inner", "x")
        try place.link("c", to: "b")
        let folder = try Folder(path: place.path)
        #expect(try folder.items().map(\.name) == ["a", "b", "c"])
        // Twice: each listing starts at the beginning.
        #expect(try folder.items().count == 3)
        #expect(try folder.facts(of: "a").kind == .folder)
        #expect(try folder.facts(of: "b").kind == .file)
        #expect(try folder.facts(of: "c").kind == .link)
        #expect(try folder.facts().kind == .folder)
        #expect(throws: FileFault.self) { try folder.items(countMax: 2) }
    }

    @Test func linksAreNotFollowed() throws {
        let place = try TemporaryFolder()
        try place.write("real/file", "secret")
        try place.link("file", to: "real/file")
        try place.link("folder", to: "real")
        let folder = try Folder(path: place.path)
        do {
            _ = try folder.file("file")
            Issue.record("a link was followed")
        } catch {
            #expect(error.isLink)
            #expect(error.description == "'file': it is a symbolic link")
        }
        #expect(throws: FileFault.self) { try folder.folder("folder").items() }
        // The operator's own path may be one.
        #expect(try Folder(path: place.path + "/folder").items().map(\.name) == ["file"])
        #expect(try Folder.resolved(path: place.path + "/folder").hasSuffix("/real"))
    }

    @Test(arguments: ["", ".", "..", "a/b", "/etc/passwd", "../x", "a\u{0}b"])
    func namesDoNotLeadOut(_ name: String) throws {
        let place = try TemporaryFolder()
        let folder = try Folder(path: place.path)
        #expect(throws: FileFault.self) { try folder.file(name) }
        #expect(throws: FileFault.self) { try folder.facts(of: name) }
        #expect(throws: FileFault.self) { try folder.folder(name).facts() }
    }

    @Test func readsEndWhereTheFileEnds() throws {
        let place = try TemporaryFolder()
        try place.write("f", "0123456789")
        let file = try Folder(path: place.path).file("f")
        #expect(file.facts.byteCount == 10)
        #expect(file.facts.hardLinks == 1)
        #expect(try file.read(at: 2, count: 3) == Array("234".utf8))
        #expect(try file.read(at: 8, count: 100) == Array("89".utf8))
        #expect(try file.read(at: 10, count: 1).isEmpty)
        #expect(try file.read(at: .max, count: 1).isEmpty)
        #expect(try file.read(at: 0, count: 0).isEmpty)
        #expect(try file.readAll(byteCountMax: 10) == Array("0123456789".utf8))
        #expect(try file.readAll(byteCountMax: 9) == nil)
        #expect(try OpenFile(path: place.path + "/f").facts == file.facts)
    }

    @Test func onlyPlainFilesAreOpened() throws {
        let place = try TemporaryFolder()
        try place.write("folder/x", "")
        let folder = try Folder(path: place.path)
        #expect(throws: FileFault.self) { try folder.file("folder") }
        #expect(throws: FileFault.self) { try OpenFile(path: "/dev/null") }
        #expect(throws: FileFault.self) { try OpenFile(path: place.path) }
        do {
            _ = try folder.file("none")
            Issue.record("a missing file was opened")
        } catch {
            #expect(error.isMissing)
            #expect(error.reason == "No such file or directory")
        }
    }

    @Test func aFileStaysTheSameWhenItsNameGoes() throws {
        let place = try TemporaryFolder()
        try place.write("f", "before")
        let file = try Folder(path: place.path).file("f")
        try FileManager.default.removeItem(atPath: place.path + "/f")
        try place.write("f", "after!")
        #expect(try file.readAll(byteCountMax: 100) == Array("before".utf8))
    }

    @Test func manyOpeningsLeaveNoDescriptorBehind() throws {
        let place = try TemporaryFolder()
        try place.write("d/f", "x")
        let folder = try Folder(path: place.path)
        for _ in 0..<5_000 {
            _ = try folder.folder("d").file("f").read(at: 0, count: 1)
            _ = try folder.items()
        }
    }
}
