// What is read out of a client's certificate: its digest, and its subject as text that is safe to compare and to log.

private import COpenSSL

enum PeerSubject {
    /// A longer subject is none, in bytes of text.
    static let textBytesMax = 4_096

    /// The certificate's subject by RFC 4514, in ASCII alone: commas and the like, control characters (NUL among them)
    /// and all bytes of other letters stand as `\` and two hexadecimal digits, values of types nobody knows as `#` and
    /// DER. So equal texts are equal names, whatever string types a certificate uses, and `openssl x509 -noout -subject
    /// -nameopt RFC2253` prints the same. Empty when there is none, or it is not well encoded or too long.
    @unsafe static func text(of certificate: OpaquePointer) -> String {
        unsafe text(ofName: X509_get_subject_name(certificate))
    }

    /// The same of any name (X509_NAME).
    @unsafe static func text(ofName name: OpaquePointer?) -> String {
        guard let bio = unsafe BIO_new(BIO_s_mem()) else { return "" }
        defer {
            unsafe BIO_free_all(bio)
            ERR_clear_error()
        }
        let flags = UInt(COpenSSL_subject_flags())
        guard unsafe X509_NAME_print_ex(bio, name, 0, flags) >= 0 else { return "" }
        var start: UnsafeMutablePointer<UInt8>?
        let count = unsafe COpenSSL_memory_bytes(bio, &start)
        guard count > 0, count <= textBytesMax else { return "" }
        let bytes = unsafe UnsafeBufferPointer(start: start, count: count)
        guard unsafe bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else { return "" }
        return unsafe String(decoding: bytes, as: UTF8.self)
    }

    /// SHA-256 of the certificate in DER (RFC 8705 section 3.1): 32 bytes.
    @unsafe static func digest(of certificate: OpaquePointer) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: 32) { output, count in
            var length: UInt32 = 0
            let result = unsafe X509_digest(
                certificate, EVP_sha256(), output.baseAddress, &length)
            count = result == 1 ? Int(length) : 0
        }
    }
}
