// What a bucket held when it last answered, kept in the cache folder: with it a gateway starts while the store is down, and
// reads no manifest twice. `known/listing` names the versions, `known/NAME@VERSION.json` are their manifests.

package import Catalogue
package import Contract
import Files
package import Logging
import TLS

/// One version as the bucket had it.
package struct KnownVersion: Sendable, Hashable {
    package var name: ModelName
    package var version: ModelVersion
    /// Tells this state of the version's objects from every other: names, sizes and ETags.
    package var token: ChangeToken
    /// Of the manifest's bytes, lower-case hexadecimal.
    package var sha256: String

    package init(
        name: ModelName, version: ModelVersion, token: ChangeToken, sha256: String
    ) {
        self.name = name
        self.version = version
        self.token = token
        self.sha256 = sha256
    }
}

/// Everything here blocks.
package final class KnownListing: Sendable {
    static let fileName = "listing"
    /// A line has some 300 bytes.
    static let bytesMax = 64 << 20
    private static let formatLine = "sluice listing 1"

    private let cache: CacheFolder
    private let source: String
    private let logger: Logger

    /// - Parameter source: which bucket where; a listing of another one is not believed.
    package init(_ cache: CacheFolder, source: String, logger: Logger) {
        self.cache = cache
        self.source = source
        self.logger = logger
    }

    private func folder() throws(FileFault) -> Folder {
        try Folder(linkFree: "\(cache.path)/\(CacheFolder.known)")
    }

    static func manifestName(_ name: String, _ version: String) -> String {
        "\(name)@\(version).json"
    }

    // MARK: - Reading

    /// The versions of the last listing that was kept; nil when there is none.
    func versions() -> [KnownVersion]? {
        do throws(FileFault) {
            let folder = try folder()
            guard
                let bytes = try folder.file(KnownListing.fileName)
                    .readAll(byteCountMax: KnownListing.bytesMax)
            else { return nil }
            return KnownListing.parse(bytes, source: source)
        } catch {
            if !error.isMissing {
                logger.warning(
                    "the kept listing of the bucket cannot be read", metadata: ["error": "\(error)"]
                )
            }
            return nil
        }
    }

    /// The manifest that goes with the listing; nil when it is not there as it was.
    func manifest(_ version: KnownVersion) -> [UInt8]? {
        do throws(FileFault) {
            let bytes = try manifest(version.name.text, version.version.description)
            guard let bytes, Cryptography.hex(Cryptography.sha256(bytes)) == version.sha256 else {
                return nil
            }
            return bytes
        } catch {
            logger.warning("a kept manifest cannot be read", metadata: ["error": "\(error)"])
            return nil
        }
    }

    func manifest(_ name: String, _ version: String) throws(FileFault) -> [UInt8]? {
        do throws(FileFault) {
            return try folder().file(KnownListing.manifestName(name, version))
                .readAll(byteCountMax: Manifest.byteCountMax)
        } catch {
            if error.isMissing { return nil }
            throw error
        }
    }

    // MARK: - Writing

    func keep(_ json: [UInt8], of name: ModelName, _ version: ModelVersion) throws(FileFault) {
        // Its hash stands in the listing, so that one lost with the power is noticed.
        try folder().replaceFile(
            KnownListing.manifestName(name.text, version.description), with: json,
            isLasting: false)
    }

    /// In one step. Manifests of versions that are gone are removed.
    func keep(_ versions: [KnownVersion], gone: [KnownVersion]) throws(FileFault) {
        let folder = try folder()
        try folder.replaceFile(
            KnownListing.fileName, with: KnownListing.text(versions, source: source))
        for old in gone {
            try folder.removeFile(
                KnownListing.manifestName(old.name.text, old.version.description))
        }
    }

    // MARK: - Its text

    package static func text(_ versions: [KnownVersion], source: String) -> [UInt8] {
        var text = "\(formatLine) \(source)\n"
        for version in versions {
            let stamps = version.token.stamps.map { String($0, radix: 16) }.joined(separator: ".")
            text += "\(version.name) \(version.version) \(stamps) \(version.sha256)\n"
        }
        return Array(text.utf8)
    }

    /// Nil when it is another bucket's, or not what we write.
    package static func parse(_ bytes: [UInt8], source: String) -> [KnownVersion]? {
        var lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")[...]
        guard lines.popFirst() == "\(formatLine) \(source)" else { return nil }
        var versions: [KnownVersion] = []
        for line in lines {
            let words = line.split(separator: " ").map { String($0) }
            guard words.count == 4, let name = ModelName(words[0]),
                let version = ModelVersion(words[1]), ContentKey.isKey(words[3])
            else { return nil }
            let stamps = words[2].split(separator: ".").map { UInt64($0, radix: 16) }
            guard stamps.allSatisfy({ $0 != nil }) else { return nil }
            versions.append(
                KnownVersion(
                    name: name, version: version,
                    token: ChangeToken(stamps.compactMap { $0 }), sha256: words[3]))
        }
        return versions
    }
}
