// STATE/versions.json: every model's page, as it is kept over restarts. Bytes in and out only; who writes them is the house.

import Contract

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// The pages of all models that have something to remember, by name.
package struct VersionBooks: Sendable, Equatable {
    package static let fileName = "versions.json"
    package static let byteCountMax = 64 << 20
    private static let format = 1

    package var families: [String: FamilyBook] = [:]

    package init() {}
}

// MARK: - As they stand in the file

extension VersionBooks {
    private struct Written: Codable {
        struct Proof: Codable {
            var version: Int64
            var files: String
        }
        struct Target: Codable {
            var version: Int64
            var before: Int64?
        }
        struct Family: Codable {
            var latest: Proof?
            var before: Int64?
            var hold: Int64?
            var aliases: [String: Target]?
            var proved: [Proof]?
            var pinned: [Int64]?
            var pinnedEvery: Bool?

            enum CodingKeys: String, CodingKey {
                case latest, before, hold, aliases, proved, pinned
                case pinnedEvery = "pinned_every"
            }
        }
        var format: Int
        var models: [String: Family]
    }

    /// The file's bytes: the same books are the same bytes.
    package func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let written = Written(
            format: VersionBooks.format,
            models: families.filter { !$0.value.isEmpty }.mapValues(VersionBooks.written))
        return [UInt8](try encoder.encode(written))
    }

    private static func written(_ book: FamilyBook) -> Written.Family {
        var family = Written.Family()
        family.latest = book.latest.map {
            Written.Proof(version: $0.version, files: ContentKey.text($0.files))
        }
        family.before = book.before
        family.hold = book.hold
        if !book.aliases.isEmpty {
            family.aliases = Dictionary(
                uniqueKeysWithValues: book.aliases.map {
                    (
                        $0.key.text,
                        Written.Target(version: $0.value.version, before: $0.value.before)
                    )
                })
        }
        if !book.proofs.isEmpty {
            family.proved = book.proofs.sorted { $0.key < $1.key }.map {
                Written.Proof(version: $0.key, files: ContentKey.text($0.value))
            }
        }
        if !book.pins.isEmpty { family.pinned = book.pins.sorted() }
        if book.pinsEvery { family.pinnedEvery = true }
        return family
    }

    /// Throws what is wrong with the file, as half a sentence.
    package init(json: [UInt8]) throws(ModelFault) {
        let written: Written
        do {
            written = try JSONDecoder().decode(Written.self, from: Data(json))
        } catch {
            throw ModelFault("it is not what this program writes")
        }
        guard written.format == VersionBooks.format else {
            throw ModelFault(
                "its format is \(written.format), this program reads \(VersionBooks.format)")
        }
        for (name, family) in written.models {
            guard ModelName(name) != nil else {
                throw ModelFault("\(Wording.quoted(name)) is no model name")
            }
            families[name] = try VersionBooks.book(family, of: name)
        }
    }

    private static func book(
        _ family: Written.Family, of name: String
    ) throws(ModelFault) -> FamilyBook {
        var book = FamilyBook()
        let aliases = family.aliases ?? [:]
        let versions = max(family.proved?.count ?? 0, family.pinned?.count ?? 0)
        guard aliases.count <= FamilyBook.aliasesMax, versions <= FamilyBook.versionsMax else {
            throw ModelFault("model '\(name)' has more aliases, proofs or pins than there may be")
        }
        for (text, target) in aliases {
            guard let alias = AliasName(text) else {
                throw ModelFault("\(Wording.quoted(text)) of model '\(name)' is no alias")
            }
            book.aliases[alias] = FamilyBook.Target(version: target.version, before: target.before)
        }
        for proof in family.proved ?? [] {
            book.proofs[proof.version] = try key(proof.files, of: name)
        }
        if let latest = family.latest {
            book.latest = FamilyBook.Proof(
                version: latest.version, files: try key(latest.files, of: name))
        }
        book.before = family.before
        book.hold = family.hold
        book.pins = Set(family.pinned ?? [])
        book.pinsEvery = family.pinnedEvery ?? false
        return book
    }

    private static func key(_ text: String, of name: String) throws(ModelFault) -> UInt64 {
        guard let key = ContentKey.value(text) else {
            throw ModelFault("model '\(name)' has a proof that names no files")
        }
        return key
    }
}

/// Tells one content of a version's files from another. FNV-1a: no defence against an attacker, who could as well
/// write the state folder; what files hold is proved by their checksums when they are loaded.
enum ContentKey {
    private static let basis: UInt64 = 0xcbf2_9ce4_8422_2325

    /// By their checksums where a manifest gives them for all, so that a copy is the same; else by their facts.
    static func of(_ model: ScannedModel) -> UInt64 {
        var key = basis
        if !model.files.isEmpty, model.files.allSatisfy({ !$0.sha256.isEmpty }) {
            for file in model.files.sorted(by: { $0.name < $1.name }) {
                add(file.name.utf8, to: &key)
                add([0], to: &key)
                add(file.sha256.utf8, to: &key)
            }
        } else {
            for stamp in model.token.stamps {
                for shift in stride(from: 0, to: 64, by: 8) {
                    add([UInt8(truncatingIfNeeded: stamp >> UInt64(shift))], to: &key)
                }
            }
        }
        return key
    }

    private static func add(_ bytes: some Sequence<UInt8>, to key: inout UInt64) {
        for byte in bytes { key = (key ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }

    static func text(_ key: UInt64) -> String {
        let digits = String(key, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    static func value(_ text: String) -> UInt64? {
        text.utf8.count == 16 ? UInt64(text, radix: 16) : nil
    }
}
