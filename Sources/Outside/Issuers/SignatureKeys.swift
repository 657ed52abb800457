// Where keys do their work, and the only file that knows jwt-kit: signatures of others are checked, assertions of
// our own are signed. Tokens are read by SignedToken and claims by ClaimReader, so that jwt-kit sees bytes only
// and never chooses a key or an algorithm. Left out of the build without the package trait JWT (decision 0013).

package import Contract
import Foundation

#if JWT
    import JWTKit

    /// Whether this program can check and make signatures.
    package enum SignatureSupport {
        package static let isBuiltIn = true
    }

    extension KeySet.Key {
        /// True when `signature` is this key's over `bytes`. False also when the key is none, for example a
        /// point beside its curve.
        func verifies(
            _ signature: [UInt8], of bytes: [UInt8], by algorithm: SignatureAlgorithm
        ) async -> Bool {
            guard serves(algorithm) else { return false }
            do {
                let key = try await self.algorithm(algorithm)
                guard key.name == algorithm.rawValue else { return false }
                return try key.verify(signature, signs: bytes)
            } catch {
                return false
            }
        }

        private func algorithm(_ algorithm: SignatureAlgorithm) async throws -> any JWTAlgorithm {
            let keys = JWTKeyCollection()
            switch material {
            case .rsa(let modulus, let exponent):
                let key = try Insecure.RSA.PublicKey(modulus: modulus, exponent: exponent)
                let digest = algorithm.digest
                if algorithm.rawValue.hasPrefix("PS") {
                    await keys.add(pss: key, digestAlgorithm: digest)
                } else {
                    await keys.add(rsa: key, digestAlgorithm: digest)
                }
            case .elliptic(.p256, let x, let y):
                await keys.add(ecdsa: try ES256PublicKey(parameters: (x, y)))
            case .elliptic(.p384, let x, let y):
                await keys.add(ecdsa: try ES384PublicKey(parameters: (x, y)))
            case .elliptic(.p521, let x, let y):
                await keys.add(ecdsa: try ES512PublicKey(parameters: (x, y)))
            case .ed25519(let x):
                await keys.add(eddsa: try EdDSA.PublicKey(x: x, curve: .ed25519))
            }
            return try await keys.getKey()
        }
    }

    extension SignatureAlgorithm {
        fileprivate var digest: DigestAlgorithm {
            switch self {
            case .rs384, .ps384, .es384: .sha384
            case .rs512, .ps512, .es512: .sha512
            default: .sha256
            }
        }
    }

    /// A private key of our own. Sendable and without state.
    package struct AssertionKey: Sendable {
        package let algorithm: SignatureAlgorithm
        private let key: any JWTAlgorithm

        /// Reads a PEM text (PKCS #8, or the older forms of RSA and EC) and takes the algorithm from the key.
        /// - Parameters:
        ///   - wanted: For RSA, RS256 when nil; for others it must be what the key is.
        ///   - setting: For messages, like `auth.issuers.main`.
        package static func read(
            pem: Secret, algorithm wanted: SignatureAlgorithm?, setting: String
        ) async throws(GatewayError) -> AssertionKey {
            let text = pem.reveal { String(decoding: $0, as: UTF8.self) }
            let keys = JWTKeyCollection()
            let algorithm: SignatureAlgorithm
            if let key = try? ES256PrivateKey(pem: text) {
                algorithm = .es256
                await keys.add(ecdsa: key)
            } else if let key = try? ES384PrivateKey(pem: text) {
                algorithm = .es384
                await keys.add(ecdsa: key)
            } else if let key = try? EdDSA.PrivateKey(pem: text) {
                algorithm = .eddsa
                await keys.add(eddsa: key)
            } else if let key = try? Insecure.RSA.PrivateKey(pem: text) {
                algorithm = wanted == .ps256 ? .ps256 : .rs256
                if algorithm == .ps256 {
                    await keys.add(pss: key, digestAlgorithm: .sha256)
                } else {
                    await keys.add(rsa: key, digestAlgorithm: .sha256)
                }
            } else {
                throw GatewayError(
                    .configuration, "\(setting).key_file holds no private key that can be used",
                    mend: "It must be a PEM file without a passphrase: EC of P-256 or P-384, "
                        + "Ed25519, or RSA of 2048 bits or more")
            }
            guard wanted == nil || wanted == algorithm else {
                throw GatewayError(
                    .configuration,
                    "\(setting).assertion_algorithm does not suit the key, which makes "
                        + algorithm.rawValue)
            }
            do {
                return AssertionKey(algorithm: algorithm, key: try await keys.getKey())
            } catch {
                throw GatewayError(.configuration, "\(setting).key_file: \(error)")
            }
        }

        package func sign(_ bytes: [UInt8]) throws -> [UInt8] { try key.sign(bytes) }
    }
#else
    /// Whether this program can check and make signatures.
    package enum SignatureSupport {
        package static let isBuiltIn = false
    }

    extension KeySet.Key {
        /// Nothing is believed that cannot be checked.
        func verifies(
            _ signature: [UInt8], of bytes: [UInt8], by algorithm: SignatureAlgorithm
        ) async -> Bool { false }
    }

    /// A private key of our own; there can be none in this build.
    package struct AssertionKey: Sendable {
        package let algorithm: SignatureAlgorithm

        package static func read(
            pem: Secret, algorithm wanted: SignatureAlgorithm?, setting: String
        ) async throws(GatewayError) -> AssertionKey {
            throw SignatureSupport.missing(setting)
        }

        package func sign(_ bytes: [UInt8]) throws -> [UInt8] {
            throw SignatureSupport.missing("a signature")
        }
    }
#endif

extension SignatureSupport {
    /// What to say where signatures are wanted and cannot be had.
    package static let absence =
        "needs signed tokens, which this program was built without (package trait JWT)"

    static func missing(_ setting: String) -> GatewayError {
        GatewayError(.configuration, "\(setting) \(absence)")
    }

    /// Throws CONFIGURATION in a build without signatures.
    static func require(_ setting: String) throws(GatewayError) {
        guard isBuiltIn else { throw missing(setting) }
    }
}
