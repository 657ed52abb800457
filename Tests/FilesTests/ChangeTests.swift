// What is made, renamed and removed: in place, without following links.

import Files
import Foundation
import Testing

@Suite struct ChangeTests {
    @Test func aFileIsWrittenAtOffsetsAndReadBack() throws {
        let place = try TemporaryFolder()
        let folder = try Folder(path: place.path)
        let file = try folder.writableFile("f")
        try file.write([4, 5, 6], at: 3)
        try file.write([1, 2, 3], at: 0)
        var bytes = [UInt8](repeating: 9, count: 8)
        #expect(try file.read(at: 1, into: &bytes) == 5)
        #expect(bytes == [2, 3, 4, 5, 6, 9, 9, 9])
        file.beginWriting(from: 0, count: 6)
        try file.truncate(to: 2)
        try file.synchronize()
        try file.makeReadOnly()
        #expect(try folder.file("f").read(at: 0, count: 9) == [1, 2])
        #expect(
            try FileManager.default.attributesOfItem(atPath: place.path + "/f")[.posixPermissions]
                as? Int == 0o444)
        // What it holds stays when it is opened again.
        #expect(try folder.writableFile("g").facts().byteCount == 0)
    }

    @Test func aLinkIsNoFileToWrite() throws {
        let place = try TemporaryFolder()
        try place.write("target", "x")
        try place.link("link", to: place.path + "/target")
        let folder = try Folder(path: place.path)
        let fault = #expect(throws: FileFault.self) { try folder.writableFile("link") }
        #expect(fault?.isLink == true)
        #expect(throws: FileFault.self) { try folder.writableFile("../x") }
    }

    @Test func foldersAreMadeAndMoved() throws {
        let place = try TemporaryFolder()
        try Folder.make(path: place.path + "/a/b")
        try Folder.make(path: place.path + "/a/b")
        let folder = try Folder(path: place.path)
        let made = try folder.madeFolder("c")
        let again = try folder.madeFolder("c")
        #expect(try made.facts().inode == again.facts().inode)
        try folder.folder("a").rename("b", to: "d", in: made)
        try made.synchronize()
        try made.touch()
        #expect(try made.items().map(\.name) == ["d"])
        #expect(throws: FileFault.self) { try folder.rename("none", to: "x") }
        try place.write("file", "x")
        #expect(throws: FileFault.self) { try Folder.make(path: place.path + "/file/x") }
        #expect(throws: FileFault.self) { _ = try folder.madeFolder("file") }
    }

    @Test func allOfAFolderGoesAndNothingBehindItsLinks() throws {
        let place = try TemporaryFolder()
        try place.write("keep/me", "x")
        try place.write("gone/deep/er/f", "x")
        try place.link("gone/deep/link", to: place.path + "/keep")
        let folder = try Folder(path: place.path)
        try folder.removeAll("gone")
        try folder.removeAll("gone")
        try folder.removeFile("none")
        #expect(try folder.items().map(\.name) == ["keep"])
        #expect(FileManager.default.fileExists(atPath: place.path + "/keep/me"))
    }

    @Test func aFileIsReplacedInOneStep() throws {
        let place = try TemporaryFolder()
        let folder = try Folder(path: place.path)
        try place.write("f" + Folder.draftSuffix, "left over by somebody, and longer")
        try folder.replaceFile("f", with: Array("one".utf8))
        try folder.replaceFile("f", with: Array("two".utf8), isLasting: false)
        #expect(try folder.items().map(\.name) == ["f"])
        #expect(try folder.file("f").read(at: 0, count: 9) == Array("two".utf8))
        #expect(throws: FileFault.self) { try folder.replaceFile("none/f", with: []) }
    }

    @Test func aFullDiskIsKnownAsOne() {
        #expect(FileFault(number: ENOSPC, name: "f").isFull)
        #expect(FileFault(number: EFBIG, name: "f").isFull)
        #expect(!FileFault(number: EROFS, name: "f").isFull)
    }
}
