// What became of an alias (the protocol's MODEL_ALIAS).

/// An alias, the version it stood for and the one it stands for now.
public struct AliasChange: Sendable, Hashable {
    /// What is known for the version an alias was moved to. New ones may come: keep a default branch.
    public struct Proof: RawRepresentable, Hashable, Sendable {
        public let rawValue: String

        public init(rawValue: String) { self.rawValue = rawValue }

        /// Nothing was needed: the alias was removed.
        public static let none = Proof(rawValue: "none")
        /// It was loaded and its signature matched; its manifest has no golden case.
        public static let loaded = Proof(rawValue: "loaded")
        /// It was loaded and gave the right answers.
        public static let golden = Proof(rawValue: "golden")
        /// It proved itself earlier, and its files are the same.
        public static let earlier = Proof(rawValue: "earlier")
    }

    public let alias: String
    /// Nil when it stood for nothing.
    public let was: String?
    /// Nil when it is gone.
    public let now: String?
    public let proof: Proof
    /// How many golden cases the version has passed.
    public let goldenCases: Int

    public init(alias: String, was: String?, now: String?, proof: Proof, goldenCases: Int = 0) {
        self.alias = alias
        self.was = was
        self.now = now
        self.proof = proof
        self.goldenCases = goldenCases
    }
}

extension AliasChange: CustomStringConvertible {
    /// For people, for example `prod is version 2, was 1 (it passed its 3 golden cases)`.
    public var description: String {
        guard let now else { return "\(alias) is gone, was version \(was ?? "unknown")" }
        var text = "\(alias) is version \(now)"
        if let was, was != now { text += ", was \(was)" }
        switch proof {
        case .golden:
            text +=
                " (it passed its \(goldenCases == 1 ? "golden case" : "\(goldenCases) golden cases"))"
        case .loaded:
            text += " (it was loaded and its signature matched; its manifest has no golden case)"
        case .earlier: text += " (it proved itself earlier)"
        default: break
        }
        return text
    }
}
