// Where versions go: numbers that are free, whole or not at all, manifests last.

import Catalogue
import Contract
import Files
import Foundation
import Synchronization
import Testing
import Workshop

/// A folder that is gone when the test is over.
private func withFolder(_ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory
        .appending(path: "sluice-target-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
}

private func version(_ number: Int64) throws -> ModelVersion {
    try #require(ModelVersion(number: number))
}

@Suite struct TargetTests {
    private func scratch(_ folder: URL, _ content: String) throws -> String {
        let scratch = folder.appending(path: "scratch-\(UUID().uuidString)")
        let made = scratch.appending(path: "version")
        try FileManager.default.createDirectory(at: made, withIntermediateDirectories: true)
        for name in ["model.onnx", "manifest.json"] {
            try Data((name + content).utf8).write(to: made.appending(path: name))
        }
        return scratch.path
    }

    @Test func aFolderCountsVersionsAndNeverReplacesOne() throws {
        try withFolder { folder in
            let name = try #require(ModelName("wine"))
            let models = folder.appending(path: "models")
            let target = FolderTarget(path: models.path)
            _ = try target.scratchPath()
            #expect(try target.version(of: name, wanted: nil).number == 1)
            let file = ModelFile(name: "model.onnx", byteCount: 1)
            for number in [1, 7] as [Int64] {
                _ = try target.publish(
                    name, try version(number), files: [file],
                    in: try scratch(folder, "\(number)"), progress: { _ in })
            }
            #expect(try target.version(of: name, wanted: nil).number == 8)
            #expect(try target.version(of: name, wanted: version(2)).number == 2)
            #expect(throws: GatewayError.self) {
                try target.version(of: name, wanted: version(7))
            }
            // Two imports of the same number: the second finds it taken, and the first stays as it is.
            let late = try scratch(folder, "late")
            let refused = #expect(throws: GatewayError.self) {
                try target.publish(
                    name, try version(7), files: [file], in: late, progress: { _ in })
            }
            #expect(refused?.description.contains("is there already") == true)
            let kept = try String(
                contentsOf: models.appending(path: "wine/7/model.onnx"), encoding: .utf8)
            #expect(kept == "model.onnx7")
            #expect(try target.remove(name, version: version(1)).map(\.number) == [1])
            #expect(throws: GatewayError.self) { try target.remove(name, version: version(1)) }
            #expect(try target.remove(name, version: nil).map(\.number) == [7])
            #expect(try FileManager.default.contentsOfDirectory(atPath: models.path).isEmpty)
        }
    }

    @Test func aBucketGetsItsManifestLast() throws {
        try withFolder { folder in
            let name = try #require(ModelName("wine"))
            let stored = Mutex<[String]>(["wine/3/model.onnx"])
            let target = BucketTarget(
                place: "s3://b/p",
                list: { prefix in stored.withLock { $0.filter { $0.hasPrefix(prefix) } } },
                put: { _, key, hash in
                    stored.withLock { $0.append(key) }
                    precondition(hash.utf8.count == 64)
                })
            #expect(try target.version(of: name, wanted: nil).number == 4)
            #expect(throws: GatewayError.self) {
                try target.version(of: name, wanted: version(3))
            }
            let hash = String(repeating: "0", count: 64)
            var parts: [Double] = []
            let place = try target.publish(
                name, try version(4),
                files: ["a.bin", "model.onnx"].map {
                    ModelFile(name: $0, byteCount: 10, sha256: hash)
                },
                in: try scratch(folder, ""), progress: { parts.append($0) })
            #expect(place == "s3://b/p/wine/4")
            #expect(
                stored.withLock { $0 }.dropFirst() == [
                    "wine/4/a.bin", "wine/4/model.onnx", "wine/4/manifest.json",
                ])
            #expect(parts == parts.sorted() && parts.last == 1)
            #expect(throws: GatewayError.self) {
                try target.publish(
                    name, try version(4), files: [], in: try scratch(folder, ""),
                    progress: { _ in })
            }
        }
    }
}
