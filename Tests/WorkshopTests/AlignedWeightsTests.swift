// The weights file's final order: every tensor where it was, large ones at multiples of 64 KiB.

import Catalogue
import Files
import Foundation
import NIOCore
import Testing
import Workshop

/// Protobuf by hand, field numbers of onnx.proto.
private enum Wire {
    static func field(_ number: UInt64, _ payload: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        WireFields.append(number, payload, to: &bytes)
        return bytes
    }

    static func tensor(_ name: String, offset: Int, length: Int, file: String) -> [UInt8] {
        func entry(_ key: String, _ value: String) -> [UInt8] {
            field(13, field(1, Array(key.utf8)) + field(2, Array(value.utf8)))
        }
        return field(8, Array(name.utf8)) + entry("location", file)
            + entry("offset", String(offset)) + entry("length", String(length)) + [0x70, 0x01]
    }

    /// A graph with one initializer, and a node whose branch has the others.
    static func model(_ first: [UInt8], nested: [[UInt8]]) -> [UInt8] {
        let branch = nested.flatMap { field(5, $0) }
        let node = field(4, Array("If".utf8)) + field(5, field(6, branch))
        return field(7, field(5, first) + field(1, node))
    }
}

@Suite struct AlignedWeightsTests {
    private func places(_ model: [UInt8]) throws -> [String: (Int, Int)] {
        var found: [String: (Int, Int)] = [:]
        func visit(_ message: ArraySlice<UInt8>, _ path: [UInt64]) throws {
            var fields = WireFields(message)
            while let field = try fields.next() {
                guard let payload = field.payload else { continue }
                let next = path + [field.number]
                switch next.suffix(2) {
                case [7, 5], [6, 5]: note(payload)
                default:
                    if [[7], [7, 1], [7, 1, 5], [7, 1, 5, 6]].contains(next) {
                        try visit(payload, next)
                    }
                }
            }
        }
        func note(_ tensor: ArraySlice<UInt8>) {
            var (name, entries): (String, [String: String]) = ("", [:])
            var fields = WireFields(tensor)
            while let field = try? fields.next() {
                guard let payload = field.payload else { continue }
                if field.number == 8 { name = String(decoding: payload, as: UTF8.self) }
                guard field.number == 13 else { continue }
                var parts = WireFields(payload)
                var texts: [String] = []
                while let part = try? parts.next() {
                    texts.append(String(decoding: part.payload ?? [], as: UTF8.self))
                }
                if texts.count == 2 { entries[texts[0]] = texts[1] }
            }
            #expect(entries["location"] == "model.weights")
            found[name] = (Int(entries["offset"] ?? "") ?? -1, Int(entries["length"] ?? "") ?? -1)
        }
        try visit(model[...], [])
        return found
    }

    @Test func everyTensorKeepsItsBytesAndLargeOnesAreAligned() throws {
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "sluice-aligned-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let sizes = [("small", 6_145), ("large", 70_001), ("shared", 65_536), ("tiny", 4_096)]
        var weights: [UInt8] = []
        var tensors: [[UInt8]] = []
        var original: [String: [UInt8]] = [:]
        for (index, (name, size)) in sizes.enumerated() {
            let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ index) }
            tensors.append(
                Wire.tensor(name, offset: weights.count, length: size, file: "draft"))
            original[name] = bytes
            weights += bytes
        }
        try Data(weights).write(to: folder.appending(path: "draft"))
        let opened = try Folder(path: folder.path)
        let model = Wire.model(tensors[0], nested: Array(tensors[1...]) + [tensors[1]])
        let (rewritten, outcome) = try AlignedWeights.rewrite(
            model, source: "draft", weights: "model.weights", in: opened)
        // The tensor that stands twice lies there once.
        #expect(outcome.tensors == 4)
        let moved = [UInt8](try Data(contentsOf: folder.appending(path: "model.weights")))
        #expect(UInt64(moved.count) == outcome.bytes)
        let places = try places(rewritten)
        #expect(Set(places.keys) == Set(original.keys))
        for (name, (offset, length)) in places {
            #expect(Array(moved[offset..<offset + length]) == original[name], "\(name)")
            #expect(offset % (length >= 65_536 ? 65_536 : 64) == 0, "\(name)")
        }
        // The same again changes nothing but the places.
        #expect(rewritten.count >= model.count)
    }

    @Test func aModelThatIsCutShortIsRefused() throws {
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "sluice-aligned-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data([1, 2, 3]).write(to: folder.appending(path: "draft"))
        let opened = try Folder(path: folder.path)
        let model = Wire.model(
            Wire.tensor("a", offset: 0, length: 64, file: "draft"), nested: [])
        #expect(throws: ModelFault.self) {
            try AlignedWeights.rewrite(model, source: "draft", weights: "w", in: opened)
        }
        #expect(throws: ModelFault.self) {
            try AlignedWeights.rewrite(
                Array(model.dropLast(3)), source: "draft", weights: "w2", in: opened)
        }
    }
}
