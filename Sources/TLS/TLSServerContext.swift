// The certificate, key and rules that every session of a listener is made from: an SSL_CTX and its owner.

private import COpenSSL
private import Synchronization

/// An immutable server context.
///
/// Safe to share between threads: the SSL_CTX is configured in `init` and only read afterwards; OpenSSL counts
/// its references with atomics. A session keeps the context it was made from alive.
@safe package final class TLSServerContext: @unchecked Sendable {
    /// The SSL_CTX; freed in `deinit`.
    let pointer: OpaquePointer
    let ticketKeys: TicketKeys
    /// The ALPN list as it travels: a length byte and the name, one after the other. Freed in `deinit`.
    private let protocols: UnsafeMutableBufferPointer<UInt8>
    private let byServerName: [String: TLSServerContext]
    /// When the certificate ends, in seconds since 1970.
    package let certificateExpiry: Int64

    /// Reads the files and checks that the key is the certificate's.
    /// - Parameters:
    ///   - ticketKeys: share one between the contexts whose tickets shall be good at each other.
    ///   - byServerName: contexts whose certificates are shown instead when the client asks (SNI) for that name,
    ///     in lower case.
    /// - Throws: `TLSError` that names the files and what to do.
    package init(
        _ settings: TLSServerSettings, ticketKeys: TicketKeys = TicketKeys(),
        byServerName: [String: TLSServerContext] = [:]
    ) throws(TLSError) {
        let protocols = try Self.wireForm(of: settings.applicationProtocols)
        ERR_clear_error()
        guard let pointer = unsafe SSL_CTX_new(TLS_server_method()) else {
            throw Self.failure(.library, "no TLS context could be made")
        }
        do {
            try unsafe Self.secure(pointer, settings)
            try unsafe Self.loadCertificate(pointer, settings)
            try unsafe Self.loadAuthority(pointer, settings)
        } catch {
            unsafe SSL_CTX_free(pointer)
            throw error
        }
        unsafe self.pointer = pointer
        self.ticketKeys = ticketKeys
        self.byServerName = byServerName
        unsafe self.protocols = UnsafeMutableBufferPointer.allocate(capacity: protocols.count)
        _ = unsafe self.protocols.initialize(from: protocols)
        certificateExpiry = unsafe COpenSSL_unix_time(
            X509_get0_notAfter(SSL_CTX_get0_certificate(pointer)))
        installCallbacks()
    }

    deinit {
        unsafe SSL_CTX_free(pointer)
        unsafe protocols.deallocate()
    }

    /// Several contexts with the same rules and tickets, for one on each event loop.
    package static func makeContexts(
        _ settings: TLSServerSettings, count: Int, ticketKeys: TicketKeys = TicketKeys(),
        byServerName: [String: TLSServerContext] = [:]
    ) throws(TLSError) -> [TLSServerContext] {
        precondition(count > 0, "at least one context")
        var contexts: [TLSServerContext] = []
        for _ in 0..<count {
            contexts.append(
                try TLSServerContext(settings, ticketKeys: ticketKeys, byServerName: byServerName))
        }
        return contexts
    }
}

// MARK: - Setting up

extension TLSServerContext {
    private static let suites12 =
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
        + ":ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
        + ":ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
    private static let suites13 =
        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    private static let groups = "X25519:P-256:P-384"

    private static func secure(
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
        unsafe COpenSSL_CTX_never_ask(context)
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

    private static func loadCertificate(
        _ context: OpaquePointer, _ settings: TLSServerSettings
    ) throws(TLSError) {
        let certificate = settings.certificateFile
        let key = settings.keyFile
        guard unsafe SSL_CTX_use_certificate_chain_file(context, certificate) == 1 else {
            throw failure(
                .certificate,
                "the certificate \(certificate) cannot be used; give a PEM file with the server's "
                    + "certificate first, then its issuers")
        }
        if unsafe SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 {
            let errors = LibraryErrors.drain()
            if errors.reason == X509_R_KEY_VALUES_MISMATCH
                || errors.reason == X509_R_KEY_TYPE_MISMATCH
            {
                throw mismatch(certificate, key, errors)
            }
            throw TLSError(
                .key,
                "the private key \(key) cannot be used; give a PEM file with the key of "
                    + "\(certificate), without a passphrase", reasons: errors.texts)
        }
        guard unsafe SSL_CTX_check_private_key(context) == 1 else {
            throw mismatch(certificate, key, LibraryErrors.drain())
        }
    }

    private static func mismatch(
        _ certificate: String, _ key: String, _ errors: LibraryErrors
    ) -> TLSError {
        TLSError(
            .keyMismatch,
            "the private key \(key) does not belong to the certificate \(certificate); give the "
                + "key that the certificate was issued for, or have a new certificate issued",
            reasons: errors.texts)
    }

    private static func loadAuthority(
        _ context: OpaquePointer, _ settings: TLSServerSettings
    ) throws(TLSError) {
        // A ticket is good only under the same authorities (SSL_CTX_set_session_id_context(3)).
        var identity = Cryptography.sha256(Array((settings.clientAuthorityFile ?? "").utf8))
        _ = unsafe SSL_CTX_set_session_id_context(context, &identity, UInt32(identity.count))
        guard settings.clientCertificates != .off else { return }
        guard let file = settings.clientAuthorityFile else {
            throw TLSError(
                .clientAuthority,
                "client certificates are asked for, but no file says who may sign them; "
                    + "set tls.client_ca")
        }
        guard unsafe SSL_CTX_load_verify_file(context, file) == 1,
            let names = unsafe SSL_load_client_CA_file(file)
        else {
            throw failure(
                .clientAuthority,
                "the authorities \(file) cannot be used; give a PEM file with the certificates "
                    + "that sign the clients'")
        }
        unsafe SSL_CTX_set_client_CA_list(context, names)
        let mode =
            settings.clientCertificates == .required
            ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER
        unsafe SSL_CTX_set_verify(context, mode, nil)
    }

    private static func wireForm(of protocols: [String]) throws(TLSError) -> [UInt8] {
        var bytes: [UInt8] = []
        for name in protocols {
            guard (1...255).contains(name.utf8.count) else {
                throw TLSError(.setting, "an ALPN name has 1 to 255 bytes, not \"\(name)\"")
            }
            bytes.append(UInt8(name.utf8.count))
            bytes.append(contentsOf: name.utf8)
        }
        return bytes
    }

    private static func failure(_ code: TLSError.Code, _ message: String) -> TLSError {
        TLSError(code, message, reasons: LibraryErrors.drain().texts)
    }
}

// MARK: - What OpenSSL asks during a handshake

extension TLSServerContext {
    private func installCallbacks() {
        unsafe COpenSSL_CTX_set_server_name_callback(pointer) { ssl, _, _ in
            guard let context = unsafe TLSServerContext.of(ssl) else {
                return SSL_TLSEXT_ERR_ALERT_FATAL
            }
            return unsafe context.serverNameAsked(ssl)
        }
        _ = unsafe SSL_CTX_set_tlsext_ticket_key_evp_cb(pointer) {
            ssl, name, iv, cipher, mac, encrypt in
            unsafe ticketKeyCallback(
                ssl: ssl, name: name, iv: iv, cipher: cipher, mac: mac, encrypt: encrypt)
        }
        guard unsafe !protocols.isEmpty else { return }
        unsafe SSL_CTX_set_alpn_select_cb(
            pointer,
            { ssl, chosen, chosenCount, offered, offeredCount, _ in
                guard let context = unsafe TLSServerContext.of(ssl) else {
                    return SSL_TLSEXT_ERR_ALERT_FATAL
                }
                return unsafe context.chooseProtocol(chosen, chosenCount, offered, offeredCount)
            }, nil)
    }

    /// The context that a session was made from; the session keeps it alive.
    static func of(_ ssl: OpaquePointer?) -> TLSServerContext? {
        guard let ssl = unsafe ssl, let owner = unsafe COpenSSL_SSL_owner(ssl) else { return nil }
        return unsafe Unmanaged<TLSServerContext>.fromOpaque(owner).takeUnretainedValue()
    }

    /// Accepts any name, so that it is recorded, and shows that name's certificate when there is one.
    private func serverNameAsked(_ ssl: OpaquePointer?) -> Int32 {
        guard !byServerName.isEmpty else { return SSL_TLSEXT_ERR_OK }
        guard let name = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name),
            let other = unsafe byServerName[String(cString: name).lowercased()]
        else { return SSL_TLSEXT_ERR_OK }
        return unsafe SSL_set_SSL_CTX(ssl, other.pointer) == nil
            ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_OK
    }

    /// The server's first choice among the client's; none in common is fatal (RFC 7301 section 3.2).
    private func chooseProtocol(
        _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
        _ chosenCount: UnsafeMutablePointer<UInt8>?,
        _ offered: UnsafePointer<UInt8>?, _ offeredCount: UInt32
    ) -> Int32 {
        var selected: UnsafeMutablePointer<UInt8>?
        let result = unsafe SSL_select_next_proto(
            &selected, chosenCount, protocols.baseAddress, UInt32(protocols.count), offered,
            offeredCount)
        guard result == OPENSSL_NPN_NEGOTIATED else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        unsafe chosen?.pointee = UnsafePointer(selected)
        return SSL_TLSEXT_ERR_OK
    }
}

// MARK: - Reload

/// The contexts in force, one for each event loop. New connections read theirs; a reload replaces all of them at
/// once, and sessions that are open keep the one they have. May be used from any thread.
package final class TLSContextBox: Sendable {
    private let contexts: Mutex<[TLSServerContext]>

    /// - Parameter contexts: at least one.
    package init(_ contexts: [TLSServerContext]) {
        precondition(!contexts.isEmpty, "at least one context")
        self.contexts = Mutex(contexts)
    }

    /// The context for the event loop with this index.
    package func context(for index: Int = 0) -> TLSServerContext {
        contexts.withLock { contexts in contexts[index % contexts.count] }
    }

    /// Takes new contexts, already checked by having been made.
    package func replace(with fresh: [TLSServerContext]) {
        precondition(!fresh.isEmpty, "at least one context")
        contexts.withLock { contexts in contexts = fresh }
    }

    /// When the certificate in force ends, in seconds since 1970.
    package var certificateExpiry: Int64 { context().certificateExpiry }
}
