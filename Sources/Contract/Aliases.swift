// How a call may name a version, and how an operator moves such names. Decided by Catalogue, carried by Messages.

/// A name that stands for a version, as an operator chose it: `prod`, `canary`. `[a-z][a-z0-9-]{0,63}`.
package struct AliasName: Sendable, Hashable, Comparable, CustomStringConvertible {
    package static let lengthMax = 64
    /// The one word that is no alias: it moves by itself.
    package static let latest = "latest"
    package let text: String

    /// The name, or nil when the text is not one, or is `latest`.
    package init?(_ text: String) {
        let bytes = text.utf8
        guard let first = bytes.first, bytes.count <= AliasName.lengthMax,
            AliasName.isLetter(first),
            bytes.allSatisfy({
                AliasName.isLetter($0) || $0 == UInt8(ascii: "-")
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
            }), text != AliasName.latest
        else { return nil }
        self.text = text
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
    }

    package static func < (left: AliasName, right: AliasName) -> Bool { left.text < right.text }
    package var description: String { text }
}

/// Which version of a model is meant.
package enum VersionChoice: Sendable, Hashable {
    /// Nothing was said, or `latest`.
    case latest
    case number(ModelVersion)
    case alias(AliasName)

    /// The choice, or nil when the text is none of these.
    package init?(_ text: String) {
        if text.isEmpty || text == AliasName.latest {
            self = .latest
        } else if let version = ModelVersion(text) {
            self = .number(version)
        } else if let alias = AliasName(text) {
            self = .alias(alias)
        } else {
            return nil
        }
    }
}

/// What an operator wants of an alias; the model is named by the call's header. Texts are unchecked.
package struct AliasMove: Sendable, Equatable {
    /// The numbers are `ModelAliasRequest.Action` on the wire.
    package enum Action: UInt32, Sendable, Hashable, CaseIterable {
        case set = 1
        case remove = 2
        case rollback = 3
    }

    package var action: Action
    /// Empty means `latest`.
    package var alias: String
    /// With ``Action/set`` only.
    package var version: String

    package init(_ action: Action, alias: String, version: String = "") {
        self.action = action
        self.alias = alias
        self.version = version
    }
}

/// What is known for the version that an alias was moved to; the numbers are `AliasProof` on the wire.
package enum AliasProof: UInt32, Sendable, Hashable, CaseIterable {
    /// Nothing was needed: the alias was removed.
    case none = 0
    /// It was loaded and its signature matched; its manifest has no golden case.
    case loaded = 1
    /// It was loaded and gave the right answers.
    case golden = 2
    /// It proved itself earlier, and its files are the same.
    case earlier = 3
}

/// What became of an alias.
package struct AliasChange: Sendable, Equatable {
    package var alias: String
    /// The versions before and after; empty for none.
    package var was: String
    package var now: String
    package var proof: AliasProof
    package var goldenCases: UInt32

    package init(
        alias: String, was: String, now: String, proof: AliasProof = .none, goldenCases: UInt32 = 0
    ) {
        self.alias = alias
        self.was = was
        self.now = now
        self.proof = proof
        self.goldenCases = goldenCases
    }
}
