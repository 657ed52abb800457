// The certificate of a gateway that was given none: made at first start, kept in the state folder, trusted by
// clients as its own authority.

private import COpenSSL

/// A self-signed certificate and its key in a folder, as `cert.pem` and `key.pem`.
package enum SelfSignedCertificate {
    /// Where the pair lies.
    package struct Files: Sendable, Hashable {
        package let certificate: String
        package let key: String
        /// Whether this call made the pair.
        package let isNew: Bool
    }

    /// How long a certificate is good for. Apple's limit for trusted TLS certificates is 825 days.
    static let lifetimeDays = 825
    /// The organization by which a certificate of ours is told from the operator's.
    static let organization = "Sluice self-signed"

    /// Keeps the pair in `folder` if it is good for another day, and makes one otherwise: P-256, SHA-256, 825 days,
    /// for localhost, 127.0.0.1, ::1, the machine's name and `names`.
    ///
    /// Two processes that start at once agree by a lock in the folder; files are renamed into place when whole.
    /// Blocks; for the start of the process only.
    /// - Parameters:
    ///   - folder: made, with its parents, when it is not there.
    ///   - names: more host names or addresses of the gateway.
    /// - Throws: `TLSError`; also when the folder holds a certificate that is not ours and no longer good.
    package static func ensure(
        folder: String, names: [String] = [], now: Int64 = TicketKeys.clock()
    ) throws(TLSError) -> Files {
        let certificate = folder + "/cert.pem"
        let key = folder + "/key.pem"
        try StateFiles.makeFolder(folder)
        let lock = try FolderLock(folder + "/.lock")
        defer { lock.release() }
        switch state(certificate: certificate, key: key, now: now) {
        case .good:
            return Files(certificate: certificate, key: key, isNew: false)
        case .foreign(let why):
            throw TLSError(
                .certificate,
                "the certificate \(certificate) was not made by Sluice and \(why); replace it, or "
                    + "remove \(certificate) and \(key) to have one made")
        case .absent, .stale:
            let pair = try make(names: defaultNames() + names, now: now)
            // The key first: a certificate without its key would be worse than a key without its certificate.
            try StateFiles.replace(key, with: pair.key, mode: 0o600)
            try StateFiles.replace(certificate, with: pair.certificate, mode: 0o644)
            try StateFiles.synchronize(folder)
            return Files(certificate: certificate, key: key, isNew: true)
        }
    }

    private enum State {
        case absent
        case good
        /// Ours, but ended, unreadable or without its key: made again.
        case stale
        case foreign(String)
    }

    private static func state(certificate: String, key: String, now: Int64) -> State {
        ERR_clear_error()
        defer { ERR_clear_error() }
        guard let file = unsafe BIO_new_file(certificate, "r") else { return .absent }
        defer { unsafe BIO_free_all(file) }
        guard let x509 = unsafe PEM_read_bio_X509(file, nil, nil, nil) else {
            return .foreign("cannot be read")
        }
        defer { unsafe X509_free(x509) }
        let why: String
        if unsafe COpenSSL_unix_time(X509_get0_notAfter(x509)) < now + 86_400 {
            why = "has ended"
        } else if unsafe !keyMatches(x509, key) {
            why = "has no key in \(key)"
        } else {
            return .good
        }
        return unsafe isOurs(x509) ? .stale : .foreign(why)
    }

    private static func keyMatches(_ certificate: OpaquePointer, _ file: String) -> Bool {
        guard let bio = unsafe BIO_new_file(file, "r") else { return false }
        defer { unsafe BIO_free_all(bio) }
        guard
            let key = unsafe PEM_read_bio_PrivateKey(bio, nil, COpenSSL_no_passphrase, nil)
        else { return false }
        defer { unsafe EVP_PKEY_free(key) }
        return unsafe X509_check_private_key(certificate, key) == 1
    }

    private static func isOurs(_ certificate: OpaquePointer) -> Bool {
        let name = unsafe X509_get_subject_name(certificate)
        let found = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { text in
            let count = unsafe X509_NAME_get_text_by_NID(
                name, NID_organizationName, text.baseAddress, 128)
            guard count > 0, let start = text.baseAddress else { return "" }
            return unsafe String(cString: start)
        }
        return found == organization
    }

    private static func defaultNames() -> [String] {
        let names = ["localhost", "127.0.0.1", "::1"]
        guard let host = StateFiles.hostName(), SubjectName(host) != nil else { return names }
        return names + [host]
    }
}

/// A name that a certificate can be for. Checked before OpenSSL sees it: its syntax for extensions would read a
/// comma as the start of another.
struct SubjectName: Hashable {
    /// As OpenSSL writes it (x509v3_config(5)): `DNS:localhost`, `IP:::1`.
    let text: String

    /// Nil when `name` is neither a host name (at most 253 of letters, digits, `-`, `_`, `.`, with `*` allowed)
    /// nor an address.
    init?(_ name: String) {
        let bytes = Array(name.utf8)
        guard (1...253).contains(bytes.count) else { return nil }
        if let address = unsafe a2i_IPADDRESS(name) {
            unsafe ASN1_OCTET_STRING_free(address)
            text = "IP:" + name
            return
        }
        ERR_clear_error()
        let allowed = bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: "."), UInt8(ascii: "*"):
                true
            default: false
            }
        }
        guard allowed else { return nil }
        text = "DNS:" + name
    }
}

// MARK: - Making

extension SelfSignedCertificate {
    /// A fresh pair in PEM.
    private static func make(
        names: [String], now: Int64
    ) throws(TLSError) -> (certificate: [UInt8], key: [UInt8]) {
        var subjects: [String] = []
        for name in names {
            guard let subject = SubjectName(name) else {
                throw TLSError(
                    .setting, "\"\(name)\" is no host name or address to make a certificate for")
            }
            if !subjects.contains(subject.text) { subjects.append(subject.text) }
        }
        ERR_clear_error()
        guard let key = unsafe COpenSSL_make_p256_key() else { throw broken("no key") }
        defer { unsafe EVP_PKEY_free(key) }
        guard let certificate = unsafe X509_new() else { throw broken("no certificate") }
        defer { unsafe X509_free(certificate) }
        guard unsafe fill(certificate, key, subjects, now: now),
            unsafe X509_sign(certificate, key, EVP_sha256()) > 0
        else { throw broken("no self-signed certificate") }
        let publicText = try unsafe pem { unsafe PEM_write_bio_X509($0, certificate) }
        let privateText = try unsafe pem {
            unsafe PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil)
        }
        return (publicText, privateText)
    }

    private static func broken(_ what: String) -> TLSError {
        TLSError(.library, "\(what) could be made", reasons: LibraryErrors.drain().texts)
    }

    private static func fill(
        _ certificate: OpaquePointer, _ key: OpaquePointer, _ subjects: [String], now: Int64
    ) -> Bool {
        var serial = Cryptography.randomBytes(16)
        serial[0] = serial[0] & 0x7f | 0x40
        guard let number = unsafe BN_bin2bn(serial, 16, nil) else { return false }
        defer { unsafe BN_free(number) }
        guard unsafe X509_set_version(certificate, 2) == 1,
            unsafe BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nil,
            // An hour back, for clients whose clock is slow.
            unsafe ASN1_TIME_set(X509_getm_notBefore(certificate), Int(now) - 3_600) != nil,
            unsafe ASN1_TIME_set(
                X509_getm_notAfter(certificate), Int(now) + lifetimeDays * 86_400) != nil,
            unsafe X509_set_pubkey(certificate, key) == 1,
            let name = unsafe X509_get_subject_name(certificate),
            unsafe X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, organization, -1, -1, 0)
                == 1,
            unsafe X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, "sluice", -1, -1, 0) == 1,
            unsafe X509_set_issuer_name(certificate, name) == 1
        else { return false }
        // An authority and a server at once, so that clients can be given this very file as the root to trust.
        let extensions: [(Int32, String)] = [
            (NID_subject_key_identifier, "hash"),
            (NID_authority_key_identifier, "keyid:always"),
            (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"),
            (NID_key_usage, "critical,digitalSignature,keyCertSign"),
            (NID_ext_key_usage, "serverAuth"),
            (NID_subject_alt_name, subjects.joined(separator: ",")),
        ]
        return extensions.allSatisfy { kind, value in
            unsafe COpenSSL_add_extension(certificate, kind, value) == 1
        }
    }

    private static func pem(_ write: (OpaquePointer) -> Int32) throws(TLSError) -> [UInt8] {
        guard let bio = unsafe BIO_new(BIO_s_secmem()) else { throw broken("no text") }
        defer { unsafe BIO_free_all(bio) }
        guard unsafe write(bio) == 1 else { throw broken("no text") }
        var start: UnsafeMutablePointer<UInt8>?
        let count = unsafe COpenSSL_memory_bytes(bio, &start)
        return unsafe [UInt8](UnsafeBufferPointer(start: start, count: count))
    }
}
