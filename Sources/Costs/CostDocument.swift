// The two YAML files of `sluice cost`, price table and plan, as a tree that says what is wrong and where: file, line, key, what
// was found and what is allowed.

import Contract
import Yams

/// A value of a document and its place.
struct CostNode {
    static let byteCountMax = 256 << 10

    private let node: Node
    private let file: String
    /// Dots between keys; empty for the root.
    let path: String

    private init(_ node: Node, file: String, path: String) {
        self.node = node
        self.file = file
        self.path = path
    }

    /// The root of a document. Throws DATA when the text is too long or no YAML.
    static func root(_ yaml: String, file: String) throws(GatewayError) -> CostNode {
        guard yaml.utf8.count <= byteCountMax else {
            throw GatewayError(
                .data,
                "'\(file)' has \(yaml.utf8.count) bytes, \(byteCountMax) are allowed")
        }
        let node: Node?
        do {
            node = try Yams.compose(yaml: yaml, .basic)
        } catch let error as YamlError {
            throw GatewayError(.data, "'\(file)' \(CostNode.words(error))")
        } catch {
            throw GatewayError(.data, "'\(file)' is not YAML")
        }
        guard let node else { throw GatewayError(.data, "'\(file)' is empty") }
        return CostNode(node, file: file, path: "")
    }

    private static func words(_ error: YamlError) -> String {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            "line \(mark.line) is not YAML: \(problem)"
        case .duplicatedKeysInMapping(let duplicates, let context):
            "line \(context.mark.line): \(duplicates.sorted().joined(separator: ", ")) is given twice"
        default: "is not YAML"
        }
    }

    /// An error about this place.
    func fault(_ message: String) -> GatewayError {
        let line = node.mark.map { ", line \($0.line)" } ?? ""
        let key = path.isEmpty ? "" : ": '\(path)'"
        return GatewayError(.data, "'\(file)'\(line)\(key) \(message)")
    }

    /// The values of a map by their keys. Throws when it is none or has a key beside `allowed` (nil: any).
    func map(_ allowed: [String]? = nil) throws(GatewayError) -> [String: CostNode] {
        guard let mapping = node.mapping else { throw fault("must hold keys and values") }
        var values: [String: CostNode] = [:]
        for (key, value) in mapping {
            guard let word = key.scalar?.string, !word.isEmpty else {
                throw fault("has a key that is no word")
            }
            let place = CostNode(
                value, file: file, path: path.isEmpty ? word : "\(path).\(word)")
            if let allowed, !allowed.contains(word) {
                throw place.fault(
                    "is not known; allowed are \(allowed.sorted().joined(separator: ", "))")
            }
            guard values.updateValue(place, forKey: word) == nil else {
                throw place.fault("is given twice")
            }
        }
        return values
    }

    func list() throws(GatewayError) -> [CostNode] {
        guard let sequence = node.sequence else { throw fault("must be a list") }
        return sequence.enumerated().map { number, element in
            CostNode(element, file: file, path: "\(path).\(number)")
        }
    }

    func text() throws(GatewayError) -> String {
        guard let text = node.scalar?.string, !text.isEmpty, text.utf8.count <= 1_024 else {
            throw fault("must be a text of 1 to 1,024 bytes")
        }
        return text
    }

    /// A number that is finite and not negative.
    func number() throws(GatewayError) -> Double {
        let text = try text()
        guard let number = Double(text), number.isFinite else {
            throw fault("is '\(text.prefix(40))'; a number is needed")
        }
        guard number >= 0 else { throw fault("is \(text.prefix(40)); it cannot be negative") }
        guard number <= 1e15 else { throw fault("is \(text.prefix(40)); at most 10^15 is allowed") }
        return number
    }

    /// A number above 0.
    func positive() throws(GatewayError) -> Double {
        let number = try number()
        guard number > 0 else { throw fault("is 0; it must be more") }
        return number
    }

    func count() throws(GatewayError) -> Int {
        let number = try number()
        guard number >= 1, number <= 100_000, let count = Int(exactly: number) else {
            throw fault("must be a whole number from 1 to 100,000")
        }
        return count
    }

    func flag() throws(GatewayError) -> Bool {
        switch try text() {
        case "true": true
        case "false": false
        default: throw fault("must be true or false")
        }
    }

    /// Seconds, from `200ms`, `20s`, `5m` or `1h`.
    func seconds() throws(GatewayError) -> Double {
        try measured(
            [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3_600)], "a time such as 200ms or 20s")
    }

    /// Megabytes, from `500KB`, `2400MB` or `2.4GB`, 1,024 of each to the next.
    func megabytes() throws(GatewayError) -> Double {
        try measured(
            [("KB", 1 / 1_024), ("MB", 1), ("GB", 1_024)], "a size such as 500MB or 2.5GB")
    }

    private func measured(
        _ units: [(String, Double)], _ example: String
    ) throws(GatewayError) -> Double {
        let text = try text()
        for (unit, factor) in units where text.hasSuffix(unit) {
            guard let number = Double(text.dropLast(unit.utf8.count).filter { $0 != " " }),
                number.isFinite
            else { continue }
            guard number >= 0 else { throw fault("is \(text.prefix(40)); it cannot be negative") }
            guard number * factor <= 1e12 else { throw fault("is \(text.prefix(40)): too much") }
            return number * factor
        }
        throw fault("is '\(text.prefix(40))'; it must be \(example)")
    }

    /// `2026-11-23`.
    func date() throws(GatewayError) -> String {
        let text = try text()
        guard text.wholeMatch(of: #/\d{4}-\d{2}-\d{2}/#) != nil else {
            throw fault("is '\(text.prefix(40))'; a date such as 2026-11-23 is needed")
        }
        return text
    }
}
