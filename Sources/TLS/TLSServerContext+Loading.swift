// How a context takes its files in: certificate and chain, key, OCSP answer, authorities and revocation lists, each
// checked before it counts.

private import COpenSSL

extension TLSServerContext {
    private static let suites12 =
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
        + ":ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
        + ":ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
    private static let suites13 =
        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    private static let groups = "X25519:P-256:P-384"

    static let certificateMend =
        "give a PEM file with the server's certificate first, then its issuers"
    static let authorityMend =
        "give a PEM file with the certificates that sign the clients'"
    static let revocationMend =
        "give a PEM file with a revocation list of every authority of tls.client_ca"
    static let ocspMend = "give the answer of the certificate's OCSP responder in DER"

    static func secure(
        _ context: OpaquePointer, _ settings: TLSServerSettings
    ) throws(TLSError) {
        guard (0...8).contains(settings.tickets) else {
            throw TLSError(.setting, "tickets is \(settings.tickets); give 0 to 8")
        }
        guard (1...3_600).contains(settings.ticketLifetimeSeconds) else {
            throw TLSError(
                .setting,
                "the ticket lifetime is \(settings.ticketLifetimeSeconds) s; give 1 to 3600 s")
        }
        unsafe COpenSSL_CTX_harden(context)
        let version = settings.minimumVersion == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION
        guard unsafe COpenSSL_CTX_set_minimum_version(context, version) == 1,
            unsafe SSL_CTX_set_cipher_list(context, suites12) == 1,
            unsafe SSL_CTX_set_ciphersuites(context, suites13) == 1,
            unsafe COpenSSL_CTX_set_groups(context, groups) == 1,
            unsafe SSL_CTX_set_num_tickets(context, settings.tickets) == 1
        else { throw failure(.library, "OpenSSL does not know the suites or groups of Sluice") }
        unsafe SSL_CTX_set_timeout(context, settings.ticketLifetimeSeconds)
        if settings.tickets == 0 { unsafe COpenSSL_CTX_forbid_tickets(context) }
    }

    // MARK: The certificate

    /// Takes chain and key. Returns the certificate's DNS names.
    static func loadCertificate(
        _ context: OpaquePointer, _ pair: TLSMaterial.Pair, _ inventory: inout TLSInventory
    ) throws(TLSError) -> [String] {
        let file = pair.certificate
        let chain = unsafe PEMParts(file.bytes) { unsafe PEM_read_bio_X509($0, nil, nil, nil) }
        defer { unsafe chain.parts.forEach { unsafe X509_free($0) } }
        guard unsafe chain.isWhole, let leaf = unsafe chain.parts.first,
            unsafe SSL_CTX_use_certificate(context, leaf) == 1
        else {
            throw failure(
                .certificate, "the certificate \(file.path) cannot be used; \(certificateMend)")
        }
        for place in unsafe chain.parts.indices.dropFirst() {
            let issuer = unsafe chain.parts[place]
            guard unsafe X509_check_issued(issuer, chain.parts[place - 1]) == X509_V_OK else {
                throw failure(
                    .certificate,
                    "in \(file.path) the \(place + 1). certificate has not issued the \(place).; "
                        + certificateMend)
            }
            // The context owns what it is given: one reference is ours, one its own.
            unsafe X509_up_ref(issuer)
            guard unsafe COpenSSL_CTX_add_issuer(context, issuer) == 1 else {
                unsafe X509_free(issuer)
                throw failure(.certificate, "the issuers in \(file.path) cannot be used")
            }
        }
        try unsafe loadKey(context, pair)
        for place in unsafe chain.parts.indices {
            let part = unsafe chain.parts[place]
            unsafe inventory.add(.certificate, file.path, certificate: part)
        }
        return unsafe dnsNames(leaf)
    }

    private static func loadKey(
        _ context: OpaquePointer, _ pair: TLSMaterial.Pair
    ) throws(TLSError) {
        let (certificate, file) = (pair.certificate.path, pair.key)
        let keys = unsafe PEMParts(file.bytes, most: 1) {
            unsafe PEM_read_bio_PrivateKey($0, nil, COpenSSL_no_passphrase, nil)
        }
        defer { unsafe keys.parts.forEach { unsafe EVP_PKEY_free($0) } }
        guard let key = unsafe keys.parts.first else {
            throw failure(
                .key,
                "the private key \(file.path) cannot be used; give a PEM file with the key of "
                    + "\(certificate), without a passphrase")
        }
        guard unsafe SSL_CTX_use_PrivateKey(context, key) == 1,
            unsafe SSL_CTX_check_private_key(context) == 1
        else {
            throw failure(
                .keyMismatch,
                "the private key \(file.path) does not belong to the certificate \(certificate); "
                    + "give the key that the certificate was issued for, or have a new "
                    + "certificate issued")
        }
    }

    private static func dnsNames(_ certificate: OpaquePointer) -> [String] {
        guard let names = unsafe COpenSSL_alternative_names(certificate) else { return [] }
        defer { unsafe GENERAL_NAMES_free(names) }
        var found: [String] = []
        for index in 0..<(unsafe COpenSSL_alternative_name_count(names)) {
            var length: Int32 = 0
            guard let start = unsafe COpenSSL_dns_name(names, index, &length), length > 0 else {
                continue
            }
            found.append(
                unsafe String(
                    decoding: UnsafeBufferPointer(start: start, count: Int(length)), as: UTF8.self))
        }
        return found
    }

    // MARK: The OCSP answer

    /// Checks that the answer is for this certificate and calls it good. Clients check the signature.
    static func loadStaple(
        _ context: OpaquePointer, _ pair: TLSMaterial.Pair, _ inventory: inout TLSInventory
    ) throws(TLSError) -> (answer: [UInt8], ends: Int64)? {
        guard let file = pair.ocsp, let leaf = unsafe SSL_CTX_get0_certificate(context) else {
            return nil
        }
        let answer = unsafe OCSPAnswer(der: file.bytes, for: leaf)
        ERR_clear_error()
        switch answer {
        case .bad(let why):
            throw TLSError(.ocsp, "the OCSP answer \(file.path) \(why); \(ocspMend)")
        case .good(let begins, let ends):
            inventory.items.append(
                TLSInventory.Item(
                    kind: .ocsp, path: file.path, name: unsafe PeerSubject.text(of: leaf),
                    begins: begins, ends: ends, digest: Cryptography.sha256(file.bytes)))
            return (file.bytes, ends)
        }
    }

    // MARK: Whose clients

    static func loadTrust(
        _ context: OpaquePointer, _ material: TLSMaterial, _ inventory: inout TLSInventory
    ) throws(TLSError) {
        // A ticket is good only under the same authorities and lists (SSL_CTX_set_session_id_context(3)), also when
        // its keys are shared with other processes.
        _ = unsafe SSL_CTX_set_session_id_context(
            context, material.trustDigest, UInt32(material.trustDigest.count))
        guard let file = material.authority else { return }
        let authorities = unsafe PEMParts(file.bytes) {
            unsafe PEM_read_bio_X509($0, nil, nil, nil)
        }
        defer { unsafe authorities.parts.forEach { unsafe X509_free($0) } }
        let store = unsafe SSL_CTX_get_cert_store(context)
        guard unsafe authorities.isWhole, unsafe !authorities.parts.isEmpty,
            unsafe authorities.parts.allSatisfy({ authority in
                unsafe X509_STORE_add_cert(store, authority) == 1
                    && SSL_CTX_add_client_CA(context, authority) == 1
            })
        else {
            throw failure(
                .clientAuthority, "the authorities \(file.path) cannot be used; \(authorityMend)")
        }
        let mode =
            material.settings.clientCertificates == .required
            ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER
        unsafe SSL_CTX_set_verify(context, mode, nil)
        if !inventory.items.contains(where: { $0.kind == .authority }) {
            for place in unsafe authorities.parts.indices {
                let part = unsafe authorities.parts[place]
                unsafe inventory.add(.authority, file.path, certificate: part)
            }
        }
        if let lists = material.revocation {
            try unsafe loadRevocation(context, lists, authorities.parts, &inventory)
        }
    }

    private static func loadRevocation(
        _ context: OpaquePointer, _ file: TLSMaterial.File, _ authorities: [OpaquePointer],
        _ inventory: inout TLSInventory
    ) throws(TLSError) {
        let lists = unsafe PEMParts(file.bytes) {
            unsafe PEM_read_bio_X509_CRL($0, nil, nil, nil)
        }
        defer { unsafe lists.parts.forEach { unsafe X509_CRL_free($0) } }
        guard unsafe lists.isWhole, unsafe !lists.parts.isEmpty else {
            throw failure(
                .clientRevocation,
                "the revocation lists \(file.path) cannot be used; \(revocationMend)")
        }
        let isFirst = !inventory.items.contains { $0.kind == .revocationList }
        for place in unsafe lists.parts.indices {
            let list = unsafe lists.parts[place]
            let isOurs = unsafe authorities.contains { authority in
                unsafe X509_NAME_cmp(
                    X509_CRL_get_issuer(list), X509_get_subject_name(authority)) == 0
                    && X509_CRL_verify(list, X509_get0_pubkey(authority)) == 1
            }
            guard isOurs, unsafe X509_CRL_get0_nextUpdate(list) != nil,
                unsafe X509_STORE_add_crl(SSL_CTX_get_cert_store(context), list) == 1
            else {
                throw failure(
                    .clientRevocation,
                    "a revocation list in \(file.path) is not signed by an authority of "
                        + "tls.client_ca, or says no next update; \(revocationMend)")
            }
            if isFirst { unsafe inventory.add(file.path, list: list) }
        }
        // Of every certificate in the chain: an authority between can be revoked too.
        unsafe X509_VERIFY_PARAM_set_flags(
            SSL_CTX_get0_param(context),
            UInt(X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL))
    }
}

// MARK: - Reading

/// The parts of a PEM text, owned by whoever made this: to be freed.
@unsafe private struct PEMParts {
    var parts: [OpaquePointer] = unsafe []
    /// Whether all that was there could be read.
    var isWhole = false

    /// More parts than this in a file are not meant; revocation lists and authorities are few.
    static let partsMax = 4_096

    init(_ bytes: [UInt8], most: Int = partsMax, _ read: (OpaquePointer) -> OpaquePointer?) {
        guard !bytes.isEmpty else { return }
        ERR_clear_error()
        unsafe bytes.withUnsafeBytes { all in
            guard let bio = unsafe BIO_new_mem_buf(all.baseAddress, Int32(all.count)) else {
                return
            }
            defer { unsafe BIO_free_all(bio) }
            while unsafe parts.count < most, let part = unsafe read(bio) {
                unsafe parts.append(part)
            }
        }
        unsafe isWhole = unsafe !parts.isEmpty && COpenSSL_pem_has_ended() == 1
    }
}

extension TLSInventory {
    @unsafe fileprivate mutating func add(
        _ kind: Kind, _ path: String, certificate: OpaquePointer
    ) {
        var serial: [UInt8] = []
        if let number = unsafe ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nil) {
            serial = [UInt8](repeating: 0, count: Int((unsafe BN_num_bits(number) + 7) / 8))
            unsafe BN_bn2bin(number, &serial)
            unsafe BN_free(number)
        }
        unsafe items.append(
            Item(
                kind: kind, path: path, name: PeerSubject.text(of: certificate),
                begins: COpenSSL_unix_time(X509_get0_notBefore(certificate)),
                ends: COpenSSL_unix_time(X509_get0_notAfter(certificate)),
                digest: PeerSubject.digest(of: certificate), serial: Cryptography.hex(serial)))
    }

    @unsafe fileprivate mutating func add(_ path: String, list: OpaquePointer) {
        let digest = unsafe [UInt8](unsafeUninitializedCapacity: 32) { output, count in
            var length: UInt32 = 0
            let result = unsafe X509_CRL_digest(list, EVP_sha256(), output.baseAddress, &length)
            count = result == 1 ? Int(length) : 0
        }
        unsafe items.append(
            Item(
                kind: .revocationList, path: path,
                name: PeerSubject.text(ofName: X509_CRL_get_issuer(list)),
                begins: COpenSSL_unix_time(X509_CRL_get0_lastUpdate(list)),
                ends: COpenSSL_unix_time(X509_CRL_get0_nextUpdate(list)), digest: digest))
    }
}
