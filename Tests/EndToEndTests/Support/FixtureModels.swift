// The small models of Tests/Fixtures/models as a repository of their own.

import Foundation

enum FixtureModels {
    static let datatypes = [
        "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "fp16",
        "bf16", "fp32", "fp64", "bytes",
    ]

    /// Puts the fixtures into the folder, version 1 of each, without manifests: `identity-fp32` gives back `x`,
    /// float32 [n, 2], as `y`.
    static func put(_ names: [String], into folder: URL) throws {
        for name in names {
            let version = folder.appending(path: "\(name)/1")
            try FileManager.default.createDirectory(at: version, withIntermediateDirectories: true)
            try FileManager.default.copyItem(
                at: URL(filePath: "\(Paths.fixtures)/models/\(name).onnx"),
                to: version.appending(path: "model.onnx"))
        }
    }

    /// iris and an identity of every datatype.
    static func putIdentities(into folder: URL) throws {
        try put(datatypes.map { "identity-\($0)" }, into: folder)
        try FileManager.default.copyItem(
            at: URL(filePath: "\(Paths.models)/iris"), to: folder.appending(path: "iris"))
    }
}
