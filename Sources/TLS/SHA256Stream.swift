// The hash of something too long to hold: a file of gigabytes, a download as it arrives.

private import COpenSSL

/// SHA-256 (FIPS 180-4) over bytes that come in parts. One owner, one thread at a time.
@safe package struct SHA256Stream: ~Copyable {
    private let context: OpaquePointer

    package init() {
        guard let context = unsafe EVP_MD_CTX_new(),
            unsafe EVP_DigestInit_ex2(context, Cryptography.sha256Algorithm, nil) == 1
        else { preconditionFailure("libcrypto has no SHA-256") }
        unsafe self.context = unsafe context
    }

    deinit { unsafe EVP_MD_CTX_free(context) }

    /// The next part.
    package mutating func update(_ bytes: ArraySlice<UInt8>) {
        let result = unsafe bytes.withUnsafeBytes { input in
            unsafe EVP_DigestUpdate(context, input.baseAddress, input.count)
        }
        precondition(result == 1, "libcrypto cannot go on with a hash")
    }

    /// The hash of all parts: 32 bytes.
    package consuming func finish() -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: 32) { output, count in
            var length: UInt32 = 0
            let result = unsafe EVP_DigestFinal_ex(context, output.baseAddress, &length)
            precondition(result == 1 && length == 32, "libcrypto cannot end a hash")
            count = 32
        }
    }
}
