// An issuer's public keys (RFC 7517), read strictly from JSON. Values only: what is done with a key is
// SignatureKeys' business, when keys are fetched is KeyCare's.

/// Why a text is no set of keys.
package enum KeySetFault: Error, Equatable, CustomStringConvertible {
    case json(JSONFault)
    case noKeys
    case tooMany(Int)
    case sameID(String)
    /// Keys there are, but none that checks signatures here, and why not.
    case noneUsable([String])

    package var description: String {
        switch self {
        case .json(let fault): "bad JSON (\(fault.kind.rawValue) at byte \(fault.position))"
        case .noKeys: "'keys' is missing, is no list or is empty"
        case .tooMany(let count): "\(count) keys, \(KeySet.keysMax) are allowed"
        case .sameID(let id): "two keys have the kid '\(id)'"
        case .noneUsable(let why): "no key can be used: \(why.joined(separator: "; "))"
        }
    }
}

package struct KeySet: Sendable, Equatable {
    package static let keysMax = 64

    package enum Curve: String, Sendable, CaseIterable {
        case p256 = "P-256"
        case p384 = "P-384"
        case p521 = "P-521"

        /// Bytes of one coordinate.
        var byteCount: Int {
            switch self {
            case .p256: 32
            case .p384: 48
            case .p521: 66
            }
        }
    }

    /// The numbers of a public key in base64url, checked for form and size.
    package enum Material: Sendable, Equatable {
        case rsa(modulus: String, exponent: String)
        case elliptic(Curve, x: String, y: String)
        case ed25519(x: String)
    }

    package struct Key: Sendable, Equatable {
        /// `kid`.
        package var id: String?
        /// `alg`: when the issuer names one, the key serves no other.
        package var algorithm: SignatureAlgorithm?
        package var material: Material

        package func serves(_ wanted: SignatureAlgorithm) -> Bool {
            if let algorithm, algorithm != wanted { return false }
            return switch (material, wanted.family) {
            case (.rsa, .rsa): true
            case (.elliptic(let curve, _, _), .elliptic(let other)): curve == other
            case (.ed25519, .ed25519): true
            default: false
            }
        }
    }

    package private(set) var keys: [Key] = []
    /// Why keys of the set are not used, a sentence each.
    package private(set) var skipped: [String] = []

    /// Throws when nothing of it could ever be used: then older keys stay.
    package static func read(_ bytes: [UInt8]) throws(KeySetFault) -> KeySet {
        let value: JSONValue
        do {
            value = try JSONReader.read(bytes)
        } catch {
            throw .json(error)
        }
        guard case .array(let elements)? = value["keys"], !elements.isEmpty else { throw .noKeys }
        guard elements.count <= keysMax else { throw .tooMany(elements.count) }
        var set = KeySet()
        for (number, element) in elements.enumerated() {
            let key: Key
            do throws(Unusable) {
                key = try self.key(element)
            } catch {
                set.skipped.append("key \(number) \(error.why)")
                continue
            }
            if let id = key.id, set.keys.contains(where: { $0.id == id }) { throw .sameID(id) }
            set.keys.append(key)
        }
        guard !set.keys.isEmpty else { throw .noneUsable(Array(set.skipped.prefix(4))) }
        return set
    }

    /// The one key for a token, or nil. A token that names no key means the only one that serves its algorithm:
    /// keys are not tried in turn.
    package func key(id: String?, for algorithm: SignatureAlgorithm) -> Key? {
        let serving = keys.filter { $0.serves(algorithm) }
        guard let id else { return serving.count == 1 ? serving[0] : nil }
        return serving.first { $0.id == id }
    }
}

// MARK: - One key

extension KeySet {
    private struct Unusable: Error {
        var why: String

        static func because(_ why: String) -> Unusable { Unusable(why: why) }
    }

    private static func key(_ value: JSONValue) throws(Unusable) -> Key {
        guard case .object = value else { throw .because("is no object") }
        guard let type = try text(value, "kty") else { throw .because("has no kty") }
        if let use = try text(value, "use"), use != "sig" {
            throw .because("is not for signatures")
        }
        if let operations = value["key_ops"] {
            guard case .array(let list) = operations, list.contains(.string("verify")) else {
                throw .because("is not for verifying (key_ops)")
            }
        }
        // A private key that is published is nobody's secret any more.
        guard value["d"] == nil, value["k"] == nil else { throw .because("is not public") }
        var algorithm: SignatureAlgorithm?
        if let name = try text(value, "alg") {
            guard let known = SignatureAlgorithm(rawValue: name) else {
                throw .because("has an alg that is not used here")
            }
            algorithm = known
        }
        let key = Key(
            id: try text(value, "kid"), algorithm: algorithm, material: try material(value, type))
        guard algorithm.map(key.serves) ?? true else { throw .because("does not suit its alg") }
        return key
    }

    private static func material(_ value: JSONValue, _ type: String) throws(Unusable) -> Material {
        switch type {
        case "RSA":
            let (modulus, n) = try number(value, "n")
            let (exponent, e) = try number(value, "e")
            let bits = bitCount(n)
            guard (2_048...8_192).contains(bits) else {
                throw .because("is RSA of \(bits) bits, 2048 to 8192 are allowed")
            }
            // RFC 8017 section 3.1: odd, and large enough; the library below takes at most 33 bits.
            guard let last = e.last, last & 1 == 1, bitCount(e) <= 33, bitCount(e) > 1 else {
                throw .because("has an RSA exponent that is not allowed")
            }
            return .rsa(modulus: modulus, exponent: exponent)
        case "EC":
            guard let name = try text(value, "crv"), let curve = Curve(rawValue: name) else {
                throw .because("has a curve that is not used here")
            }
            let (x, xBytes) = try number(value, "x")
            let (y, yBytes) = try number(value, "y")
            guard xBytes.count == curve.byteCount, yBytes.count == curve.byteCount else {
                throw .because("has coordinates of the wrong length")
            }
            return .elliptic(curve, x: x, y: y)
        case "OKP":
            guard try text(value, "crv") == "Ed25519" else {
                throw .because("has a curve that is not used here")
            }
            let (x, bytes) = try number(value, "x")
            guard bytes.count == 32 else { throw .because("has the wrong length") }
            return .ed25519(x: x)
        default: throw .because("has a kty that is not used here")
        }
    }

    private static func text(_ value: JSONValue, _ member: String) throws(Unusable) -> String? {
        guard let found = value[member] else { return nil }
        guard case .string(let text) = found, ClaimReader.isReadable(text) else {
            throw .because("has a '\(member)' that is no text")
        }
        return text
    }

    private static func number(
        _ value: JSONValue, _ member: String
    ) throws(Unusable) -> (text: String, bytes: [UInt8]) {
        guard case .string(let text)? = value[member], let bytes = Base64URL.decode(text.utf8),
            !bytes.isEmpty
        else { throw .because("has a '\(member)' that is no base64url") }
        return (text, bytes)
    }

    /// Bits of a big-endian number, leading zeros not counted.
    private static func bitCount(_ bytes: [UInt8]) -> Int {
        guard let first = bytes.firstIndex(where: { $0 != 0 }) else { return 0 }
        return (bytes.count - first) * 8 - bytes[first].leadingZeroBitCount
    }
}
