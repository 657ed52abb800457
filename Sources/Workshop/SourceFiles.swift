// The files an import begins with: found where the operator says, checked as the gateway checks them, copied into the
// import's own folder, so that what is proved is what was read.

import Catalogue
import Contract
import Files
import TLS

/// A source that was copied.
struct SourceFiles {
    /// Of the named file.
    var sha256: String
    /// Of all files.
    var byteCount: UInt64
    /// Files beside the model that hold its weights.
    var externalFiles: [String] = []

    /// Copies `path` to `name` in `folder`; of an ONNX model its external data too.
    static func copy(
        _ path: String, isModel: Bool, to name: String, in folder: borrowing Folder,
        progress: (Double) -> Void
    ) throws(GatewayError) -> SourceFiles {
        let file = try opened(path)
        guard file.facts.byteCount > 0 else {
            throw GatewayError(.data, "'\(path)' is empty")
        }
        var source = SourceFiles(sha256: "", byteCount: file.facts.byteCount)
        do {
            if isModel {
                _ = try OnnxHeader(file)
                source.externalFiles = try ExternalData.locations(in: file)
            }
            try folder.copy(file, to: name) { done in
                progress(Double(done) / Double(file.facts.byteCount))
            }
            let copy = try folder.file(name)
            source.sha256 = try hash(copy)
            for location in source.externalFiles {
                try ExternalData.check(location, manifest: nil)
                source.byteCount += try copyExternal(location, beside: path, to: folder)
            }
        } catch let fault as ModelFault {
            throw GatewayError(.data, "'\(path)' cannot be imported: \(fault)")
        } catch {
            throw GatewayError(.unavailable, "'\(path)' cannot be copied: \(error)")
        }
        return source
    }

    private static func opened(_ path: String) throws(GatewayError) -> OpenFile {
        do throws(FileFault) {
            return try OpenFile(path: path)
        } catch {
            throw GatewayError(
                error.isDenied ? .permission : .data,
                "'\(path)' cannot be read: "
                    + (error.isMissing ? "there is no such file" : error.reason))
        }
    }

    private static func copyExternal(
        _ location: String, beside path: String, to folder: borrowing Folder
    ) throws -> UInt64 {
        let parent =
            path.contains("/") ? String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) : "."
        let file: OpenFile
        do throws(FileFault) {
            file = try Folder(path: parent.isEmpty ? "/" : parent).file(beneath: location)
        } catch {
            throw ExternalData.fault(
                location,
                error.isLink
                    ? "is a symbolic link or lies behind one"
                    : error.isMissing ? "is missing" : "cannot be read: \(error.reason)")
        }
        guard file.facts.hardLinks == 1 else {
            throw ExternalData.fault(location, "has \(file.facts.hardLinks) hard links")
        }
        try copy(file, to: location.split(separator: "/").map(String.init)[...], in: folder)
        return file.facts.byteCount
    }

    private static func copy(
        _ file: OpenFile, to parts: ArraySlice<String>, in folder: borrowing Folder
    ) throws {
        guard let first = parts.first else { return }
        if parts.count == 1 { return try folder.copy(file, to: first) }
        try copy(file, to: parts.dropFirst(), in: try folder.madeFolder(first))
    }

    /// SHA-256 in lower-case hexadecimal.
    static func hash(_ file: OpenFile) throws(FileFault) -> String {
        var stream = SHA256Stream()
        var window = [UInt8](repeating: 0, count: 1 << 20)
        var offset: UInt64 = 0
        while true {
            let count = try file.read(at: offset, into: &window)
            guard count > 0 else { break }
            stream.update(window[..<count])
            offset += UInt64(count)
        }
        return Cryptography.hex(stream.finish())
    }

    /// Every file of a version's folder with its hash, made read-only and on the disk.
    static func seal(_ folder: borrowing Folder) throws(FileFault) -> [ModelFile] {
        var files: [ModelFile] = []
        try seal(folder, prefix: "", into: &files)
        return files
    }

    private static func seal(
        _ folder: borrowing Folder, prefix: String, into files: inout [ModelFile]
    ) throws(FileFault) {
        for item in try folder.items() {
            if try folder.facts(of: item.name).kind == .folder {
                let inner = try folder.folder(item.name)
                try seal(inner, prefix: prefix + item.name + "/", into: &files)
                continue
            }
            try folder.seal(item.name)
            let file = try folder.file(item.name)
            files.append(
                ModelFile(
                    name: prefix + item.name, byteCount: file.facts.byteCount,
                    sha256: try hash(file)))
        }
        try folder.synchronize()
    }
}
