// Paths of several parts on a real disk, opened by the kernel at once and part by part: both refuse the same.

import Files
import Foundation
import Testing

@Suite struct BeneathTests {
    /// To be held until the test is over: it is removed with its last use.
    private func place() throws -> TemporaryFolder {
        let place = try TemporaryFolder()
        try place.write("top", "t")
        try place.write("a/b/file", "inside")
        try place.write("outside/file", "outside")
        try place.link("a/link", to: "b")
        try place.link("a/b/name", to: "file")
        try place.link("a/away", to: "../outside")
        try place.link("a/root", to: "/")
        return place
    }

    @Test(arguments: LinkFreeWay.allCases) func whatLiesBeneathIsOpened(_ way: LinkFreeWay) throws {
        let place = try place()
        defer { withExtendedLifetime(place) {} }
        let folder = try Folder(path: place.path)
        #expect(try folder.file(beneath: "top", way: way).facts.byteCount == 1)
        let file = try folder.file(beneath: "a/b/file", way: way)
        #expect(try file.readAll(byteCountMax: 100) == Array("inside".utf8))
        #expect(file.name == "a/b/file")
        #expect(
            try folder.folder(beneath: "a/b", way: way).items().map(\.name) == ["file", "name"])
        #expect(try file.currentFacts() == file.facts)
    }

    @Test(arguments: LinkFreeWay.allCases) func linksAnywhereAreRefused(_ way: LinkFreeWay) throws {
        let place = try place()
        defer { withExtendedLifetime(place) {} }
        let folder = try Folder(path: place.path)
        for path in ["a/b/name", "a/link/file", "a/away/file", "a/root/etc/passwd"] {
            do {
                _ = try folder.file(beneath: path, way: way)
                Issue.record("\(path): a link was followed")
            } catch {
                #expect(error.isLink, "\(error)")
                #expect(error.name == path)
            }
        }
        do {
            _ = try folder.folder(beneath: "a/link", way: way).items()
            Issue.record("a link was followed")
        } catch {
            #expect(error.isLink, "\(error)")
        }
    }

    @Test(arguments: LinkFreeWay.allCases) func pathsDoNotLeadOut(_ way: LinkFreeWay) throws {
        let place = try place()
        defer { withExtendedLifetime(place) {} }
        let folder = try Folder(path: place.path).folder("a")
        for path in [
            "", ".", "..", "/", "/etc/passwd", "../top", "b/../../top", "b/..", "b//file",
            "./b/file",
            "b/file/", "b/file\u{0}", "../\u{301}top",
        ] {
            #expect(throws: FileFault.self, "\(path)") {
                try folder.file(beneath: path, way: way)
            }
        }
        let deep = Array(repeating: "x", count: 65).joined(separator: "/")
        #expect(throws: FileFault.self) { try folder.file(beneath: deep, way: way) }
    }

    @Test(arguments: LinkFreeWay.allCases) func onlyPlainFiles(_ way: LinkFreeWay) throws {
        let place = try place()
        defer { withExtendedLifetime(place) {} }
        let folder = try Folder(path: place.path)
        #expect(throws: FileFault.self) { try folder.file(beneath: "a/b", way: way) }
        do {
            _ = try folder.file(beneath: "a/none/file", way: way)
            Issue.record("a missing file was opened")
        } catch {
            #expect(error.isMissing)
        }
        do {
            _ = try folder.file(beneath: "top/file", way: way)
            Issue.record("a file was passed through")
        } catch {
            #expect(error.isMissing)
        }
    }

    @Test(arguments: LinkFreeWay.allCases) func absolutePathsWithoutLinks(_ way: LinkFreeWay) throws
    {
        let place = try place()
        defer { withExtendedLifetime(place) {} }
        let path = try Folder.resolved(path: place.path)
        let names = try Folder(linkFree: path + "/a/b", way: way).items().map(\.name)
        #expect(names == ["file", "name"])
        #expect(try Folder(linkFree: "/", way: way).facts().kind == .folder)
        for wrong in [path + "/a/link", path + "/a/away", path + "/none", "relative", ""] {
            #expect(throws: FileFault.self, "\(wrong)") {
                try Folder(linkFree: wrong, way: way).facts()
            }
        }
    }

    /// The path of a descriptor leads to the file that was opened, whatever took its name.
    @Test func descriptorsHavePaths() throws {
        let place = try place()
        defer { withExtendedLifetime(place) {} }
        let folder = try Folder(path: place.path).folder(beneath: "a/b")
        let file = try folder.file("file")
        try FileManager.default.removeItem(atPath: place.path + "/a/b/file")
        try place.write("a/b/file", "another")
        let path = try #require(file.descriptorPath)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "inside")
        let folderPath = folder.descriptorPath
        let within = try #require(folderPath) + "/file"
        #expect(try String(contentsOfFile: within, encoding: .utf8) == "another")
    }

    @Test func factsTellFilesApart() throws {
        let place = try place()
        defer { withExtendedLifetime(place) {} }
        let folder = try Folder(path: place.path)
        let before = try folder.file(beneath: "a/b/file").facts
        let other = try folder.file(beneath: "outside/file").facts
        #expect(before.device == other.device && before.inode != other.inode)
        try FileManager.default.linkItem(
            atPath: place.path + "/a/b/file", toPath: place.path + "/second")
        let linked = try folder.file(beneath: "a/b/file").facts
        #expect(linked.hardLinks == 2)
        #expect(linked.inode == before.inode && linked.changed != before.changed)
    }

    @Test func manyOpeningsLeaveNoDescriptorBehind() throws {
        let place = try place()
        defer { withExtendedLifetime(place) {} }
        let folder = try Folder(path: place.path)
        for way in LinkFreeWay.allCases {
            for _ in 0..<3_000 {
                _ = try folder.file(beneath: "a/b/file", way: way)
                #expect(throws: FileFault.self) { try folder.file(beneath: "a/b/name", way: way) }
            }
        }
    }

    @Test func aBufferIsFilledAgainAndAgain() throws {
        let place = try TemporaryFolder()
        try place.write("f", "0123456789")
        let file = try Folder(path: place.path).file("f")
        var window = [UInt8](repeating: 0, count: 4)
        var text = ""
        var offset: UInt64 = 0
        while true {
            let count = try file.read(at: offset, into: &window)
            #expect(window.count == 4)
            if count == 0 { break }
            text += String(decoding: window[..<count], as: UTF8.self)
            offset += UInt64(count)
        }
        #expect(text == "0123456789")
    }
}

@Suite struct ByteSearchTests {
    private func finds(_ pattern: String, in parts: [[UInt8]]) -> Bool {
        var search = ByteSearch(for: pattern)
        // Slices that do not begin at 0.
        for part in parts { search.look(at: ([0xFF] + part)[1...]) }
        return search.isFound
    }

    @Test func foundInOnePartAndOverSeams() {
        #expect(finds("location", in: [Array("xxlocationxx".utf8)]))
        #expect(finds("location", in: [Array("location".utf8)]))
        #expect(finds("location", in: "xxlocationxx".utf8.map { [$0] }))
        #expect(finds("location", in: [Array("lloc".utf8), [], Array("ation".utf8)]))
        #expect(finds("aab", in: [Array("aaab".utf8)]))
        #expect(finds("x", in: [Array("x".utf8)]))
        #expect(!finds("location", in: [Array("locatio".utf8), Array("xn".utf8)]))
        #expect(!finds("location", in: []))
        #expect(!finds("location", in: [[]]))
    }

    /// Against the plain way, over random texts of few letters cut at random places.
    @Test func asThePlainWay() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("ByteSearchTests seed \(seed)")
        var random = Dice(state: seed)
        var found = 0
        for _ in 0..<20_000 {
            let pattern = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                UInt8.random(in: 97...98, using: &random)
            }
            let text = (0..<Int.random(in: 0...24, using: &random)).map { _ in
                UInt8.random(in: 97...98, using: &random)
            }
            var parts: [[UInt8]] = []
            var rest = text[...]
            while !rest.isEmpty {
                let count = Int.random(in: 0...rest.count, using: &random)
                parts.append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            let isThere = text.indices.contains { text[$0...].starts(with: pattern) }
            #expect(
                finds(String(decoding: pattern, as: UTF8.self), in: parts) == isThere,
                "seed \(seed)")
            found += isThere ? 1 : 0
        }
        #expect(found > 1_000 && found < 19_000)
    }
}

/// SplitMix64, so that a walk can be repeated from its printed seed.
private struct Dice: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
