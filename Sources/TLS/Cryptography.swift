// Hashes, message authentication and randomness by libcrypto: the only hashing in the server. No keys are kept
// here.

private import COpenSSL

/// Stateless functions over libcrypto; every one may be called from any thread. What comes in parts is hashed by
/// ``SHA256Stream``.
package enum Cryptography {
    /// For the kit's own streams.
    static var sha256Algorithm: OpaquePointer { unsafe Fetched.sha256.pointer }

    /// SHA-256 (FIPS 180-4) of `bytes`: 32 bytes.
    package static func sha256(_ bytes: [UInt8]) -> [UInt8] {
        let digest = unsafe [UInt8](unsafeUninitializedCapacity: 32) { output, count in
            var length: UInt32 = 0
            let result = unsafe bytes.withUnsafeBytes { input in
                unsafe EVP_Digest(
                    input.baseAddress, input.count, output.baseAddress, &length,
                    Fetched.sha256.pointer, nil)
            }
            precondition(result == 1 && length == 32, "libcrypto has no SHA-256")
            count = 32
        }
        return digest
    }

    /// HMAC-SHA-256 (RFC 2104) of `message` under `key`: 32 bytes.
    package static func hmacSHA256(key: [UInt8], message: [UInt8]) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: 32) { output, count in
            var length: UInt32 = 0
            let result = unsafe key.withUnsafeBytes { key in
                unsafe message.withUnsafeBufferPointer { message in
                    // A nil key would mean "the key of before" to HMAC: give it an address always.
                    unsafe withUnsafePointer(to: UInt8(0)) { none in
                        unsafe HMAC(
                            Fetched.sha256.pointer,
                            key.baseAddress ?? UnsafeRawPointer(none), Int32(key.count),
                            message.baseAddress ?? none, message.count, output.baseAddress,
                            &length)
                    }
                }
            }
            precondition(unsafe result != nil && length == 32, "libcrypto has no HMAC-SHA-256")
            count = 32
        }
    }

    /// `count` bytes from libcrypto's generator, seeded by the system. Traps when there is no randomness: nothing
    /// safe can be done without.
    package static func randomBytes(_ count: Int) -> [UInt8] {
        precondition(count >= 0, "a count of bytes is not negative")
        return unsafe [UInt8](unsafeUninitializedCapacity: count) { output, initialized in
            if count > 0 {
                let result = unsafe RAND_bytes(output.baseAddress, Int32(count))
                precondition(result == 1, "libcrypto has no randomness")
            }
            initialized = count
        }
    }

    /// Lower-case hexadecimal, two characters a byte.
    package static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// base64url without padding (RFC 4648 section 5, RFC 7515 section 2).
    package static func base64URL(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count * 4 + 2) / 3)
        var bits: UInt32 = 0
        var held = 0
        for byte in bytes {
            bits = (bits << 8) | UInt32(byte)
            held += 8
            while held >= 6 {
                held -= 6
                text.append(digits[Int((bits >> UInt32(held)) & 63)])
            }
        }
        if held > 0 {
            text.append(digits[Int((bits << UInt32(6 - held)) & 63)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}

/// Algorithms fetched once: an implicit fetch for each use takes a lock and costs more than the hash.
///
/// Safe to share: an EVP_MD is immutable once fetched, and never freed.
@safe private struct Fetched: @unchecked Sendable {
    static let sha256 = Fetched()

    let pointer: OpaquePointer

    private init() {
        guard let pointer = unsafe EVP_MD_fetch(nil, "SHA256", nil) else {
            preconditionFailure("libcrypto has no SHA-256")
        }
        unsafe self.pointer = pointer
    }
}
