// Message authentication under one key that is used again and again: the key is made ready once, which costs more than
// the hash of a short message.

private import COpenSSL
private import Synchronization

/// HMAC-SHA-256 (RFC 2104, FIPS 180-4) under a key that stays. May be used from any thread.
package final class KeyedHash: Sendable {
    private let context: Mutex<Context>

    /// - Parameter key: any length; it is copied into libcrypto's own memory and cleared there when this ends.
    package init(key: [UInt8]) { context = Mutex(Context(key: key)) }

    /// The code of `label`, a zero byte and `message`: 32 bytes. A label without a zero byte keeps the messages of two
    /// labels apart.
    package func code(label: String, message: [UInt8]) -> InlineArray<32, UInt8> {
        context.withLock { $0.code(label: label, message: message) }
    }
}

/// The context that holds the key.
@safe private struct Context: ~Copyable {
    private let pointer: OpaquePointer

    init(key: [UInt8]) {
        guard let pointer = unsafe EVP_MAC_CTX_new(Self.algorithm.pointer),
            unsafe COpenSSL_hmac_sha256_init(pointer, key, key.count) == 1
        else { preconditionFailure("libcrypto has no HMAC-SHA-256") }
        unsafe self.pointer = unsafe pointer
    }

    deinit { unsafe EVP_MAC_CTX_free(pointer) }

    mutating func code(label: String, message: [UInt8]) -> InlineArray<32, UInt8> {
        var label = label
        // Without a key: begins anew with the key of before.
        var good = unsafe EVP_MAC_init(pointer, nil, 0, nil) == 1
        label.withUTF8 { label in
            good = unsafe good && EVP_MAC_update(pointer, label.baseAddress, label.count) == 1
        }
        unsafe withUnsafePointer(to: UInt8(0)) { zero in
            good = unsafe good && EVP_MAC_update(pointer, zero, 1) == 1
        }
        good = unsafe good && EVP_MAC_update(pointer, message, message.count) == 1
        var code = InlineArray<32, UInt8>(repeating: 0)
        var bytes = code.mutableSpan
        unsafe bytes.withUnsafeMutableBufferPointer { output in
            var length = 0
            good =
                unsafe good
                && EVP_MAC_final(pointer, output.baseAddress, &length, output.count) == 1
                && length == 32
        }
        precondition(good, "libcrypto cannot compute HMAC-SHA-256")
        return code
    }

    private static let algorithm = Algorithm()

    /// Safe to share: an EVP_MAC is immutable once fetched, and never freed.
    @safe private struct Algorithm: @unchecked Sendable {
        let pointer: OpaquePointer

        init() {
            guard let pointer = unsafe EVP_MAC_fetch(nil, "HMAC", nil) else {
                preconditionFailure("libcrypto has no HMAC")
            }
            unsafe self.pointer = pointer
        }
    }
}
