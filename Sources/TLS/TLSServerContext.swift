// The certificate, key and rules that every session of a listener is made from: an SSL_CTX and its owner.

private import COpenSSL

/// An immutable server context.
///
/// Safe to share between threads: the SSL_CTX is configured in `init` and only read afterwards; OpenSSL counts
/// its references with atomics. A session keeps the context it was made from alive, and that one the others.
@safe package final class TLSServerContext: @unchecked Sendable {
    /// The SSL_CTX; freed in `deinit`.
    let pointer: OpaquePointer
    let ticketKeys: TicketKeys
    /// The ALPN list as it travels: a length byte and the name, one after the other. Freed in `deinit`.
    private let protocols: UnsafeMutableBufferPointer<UInt8>
    /// Contexts whose certificates are shown instead for the names that the table has for them.
    private let others: [TLSServerContext]
    private let names: ServerNames<Int>
    /// The DNS names in the certificate.
    package let certificateNames: [String]
    /// An OCSP answer for the certificate, and when it ends in seconds since 1970.
    private let staple: (answer: [UInt8], ends: Int64)?
    /// When the certificate ends, in seconds since 1970.
    package let certificateExpiry: Int64

    /// Reads the files and checks that the key is the certificate's.
    /// - Parameters:
    ///   - ticketKeys: share one between the contexts whose tickets shall be good at each other.
    ///   - byServerName: contexts whose certificates are shown instead when the client asks (SNI) for that name.
    /// - Throws: `TLSError` that names the files and what to do.
    package convenience init(
        _ settings: TLSServerSettings, ticketKeys: TicketKeys = TicketKeys(),
        byServerName: [String: TLSServerContext] = [:]
    ) throws(TLSError) {
        let material = try TLSMaterial(reading: settings)
        var inventory = TLSInventory()
        let others = Array(byServerName)
        try self.init(
            material, material.pairs[0], ticketKeys: ticketKeys, &inventory,
            others: others.map(\.value),
            names: { _ in
                var names = ServerNames<Int>()
                for (place, other) in others.enumerated() { names.add(other.key, place) }
                return names
            })
    }

    /// - Parameter names: makes the table from the names of this context's own certificate; below 0 is this one.
    init(
        _ material: TLSMaterial, _ pair: TLSMaterial.Pair, ticketKeys: TicketKeys,
        _ inventory: inout TLSInventory, others: [TLSServerContext] = [],
        names: ([String]) -> ServerNames<Int> = { _ in ServerNames() }
    ) throws(TLSError) {
        let protocols = try Self.wireForm(of: material.settings.applicationProtocols)
        ERR_clear_error()
        guard let pointer = unsafe SSL_CTX_new(TLS_server_method()) else {
            throw Self.failure(.library, "no TLS context could be made")
        }
        do throws(TLSError) {
            try unsafe Self.secure(pointer, material.settings)
            certificateNames = try unsafe Self.loadCertificate(pointer, pair, &inventory)
            staple = try unsafe Self.loadStaple(pointer, pair, &inventory)
            try unsafe Self.loadTrust(pointer, material, &inventory)
        } catch {
            unsafe SSL_CTX_free(pointer)
            throw error
        }
        unsafe self.pointer = pointer
        self.ticketKeys = ticketKeys
        self.others = others
        self.names = names(certificateNames)
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

    /// Tells the keys of one context from another's.
    package var ticketKeysID: ObjectIdentifier { ObjectIdentifier(ticketKeys) }

    /// Several contexts with the same rules and tickets, for one on each event loop.
    package static func makeContexts(
        _ settings: TLSServerSettings, count: Int, ticketKeys: TicketKeys = TicketKeys()
    ) throws(TLSError) -> [TLSServerContext] {
        try TLSMaterial(reading: settings)
            .makeContexts(count: count, ticketKeys: ticketKeys).contexts
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

    static func failure(_ code: TLSError.Code, _ message: String) -> TLSError {
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
        _ = unsafe SSL_CTX_set_session_ticket_cb(
            pointer, nil, { _, session, _, _, status, _ in unsafe ticketOpened(session, status) },
            nil)
        // Also without protocols: a context shown for its server name chooses from those of the first.
        unsafe SSL_CTX_set_alpn_select_cb(
            pointer,
            { ssl, chosen, chosenCount, offered, offeredCount, _ in
                guard let context = unsafe TLSServerContext.of(ssl) else {
                    return SSL_TLSEXT_ERR_ALERT_FATAL
                }
                return unsafe context.chooseProtocol(chosen, chosenCount, offered, offeredCount)
            }, nil)
        guard staple != nil else { return }
        // The context whose certificate is shown, which need not be the session's own.
        unsafe COpenSSL_CTX_set_status_callback(
            pointer,
            { ssl, owner in
                guard let owner = unsafe owner else { return SSL_TLSEXT_ERR_NOACK }
                let context = unsafe Unmanaged<TLSServerContext>.fromOpaque(owner)
                    .takeUnretainedValue()
                return unsafe context.statusAsked(ssl, now: TicketKeys.clock())
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// The context that a session was made from; the session keeps it alive.
    static func of(_ ssl: OpaquePointer?) -> TLSServerContext? {
        guard let ssl = unsafe ssl, let owner = unsafe COpenSSL_SSL_owner(ssl) else { return nil }
        return unsafe Unmanaged<TLSServerContext>.fromOpaque(owner).takeUnretainedValue()
    }

    /// Accepts any name, so that it is recorded, and shows that name's certificate when there is one.
    private func serverNameAsked(_ ssl: OpaquePointer?) -> Int32 {
        guard !others.isEmpty else { return SSL_TLSEXT_ERR_OK }
        guard let name = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name),
            let place = unsafe names.find(String(cString: name)), others.indices.contains(place)
        else { return SSL_TLSEXT_ERR_OK }
        return unsafe SSL_set_SSL_CTX(ssl, others[place].pointer) == nil
            ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_OK
    }

    /// Staples the OCSP answer while it is good (RFC 6066 section 8).
    private func statusAsked(_ ssl: OpaquePointer?, now: Int64) -> Int32 {
        guard let staple, staple.ends > now,
            unsafe COpenSSL_SSL_staple(ssl, staple.answer, staple.answer.count) == 1
        else { return SSL_TLSEXT_ERR_NOACK }
        return SSL_TLSEXT_ERR_OK
    }

    /// The server's first choice among the client's; none in common is fatal (RFC 7301 section 3.2).
    private func chooseProtocol(
        _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
        _ chosenCount: UnsafeMutablePointer<UInt8>?,
        _ offered: UnsafePointer<UInt8>?, _ offeredCount: UInt32
    ) -> Int32 {
        guard unsafe !protocols.isEmpty else { return SSL_TLSEXT_ERR_NOACK }
        var selected: UnsafeMutablePointer<UInt8>?
        let result = unsafe SSL_select_next_proto(
            &selected, chosenCount, protocols.baseAddress, UInt32(protocols.count), offered,
            offeredCount)
        guard result == OPENSSL_NPN_NEGOTIATED else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        unsafe chosen?.pointee = UnsafePointer(selected)
        return SSL_TLSEXT_ERR_OK
    }
}

/// What is done with a ticket that one of our keys has opened (SSL_CTX_set_session_ticket_cb(3)). One whose client
/// certificate has ended since is not used: the client is asked for it again, however often it was renewed.
@unsafe private func ticketOpened(
    _ session: OpaquePointer?, _ status: SSL_TICKET_STATUS
) -> SSL_TICKET_RETURN {
    switch status {
    case SSL_TICKET_SUCCESS, SSL_TICKET_SUCCESS_RENEW:
        if let session = unsafe session, let peer = unsafe SSL_SESSION_get0_peer(session),
            unsafe COpenSSL_unix_time(X509_get0_notAfter(peer)) <= TicketKeys.clock()
        {
            return SSL_TICKET_RETURN_IGNORE_RENEW
        }
        // A client of TLS 1.3 uses a ticket once (RFC 8446 appendix C.4): it gets the next one on the connection it resumed.
        let isOld = unsafe SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION
        return isOld && status == SSL_TICKET_SUCCESS
            ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW
    case SSL_TICKET_EMPTY, SSL_TICKET_NO_DECRYPT: return SSL_TICKET_RETURN_IGNORE_RENEW
    default: return SSL_TICKET_RETURN_ABORT
    }
}
