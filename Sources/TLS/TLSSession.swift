// One TLS session as a value: bytes in, bytes out. It owns the SSL and its window and knows no channel.

private import COpenSSL
package import NIOCore

/// The server's side of one TLS session.
///
/// Belongs to one thread at a time (an event loop). Pointers into buffers live only inside one call: the window is
/// pointed at them before an SSL_* call and at nothing after it.
@safe package struct TLSSession: ~Copyable {
    /// How a read ended.
    package enum Reading: Sendable {
        /// All input has been taken; there is more when more arrives.
        case more
        /// The peer has sent close_notify; what follows it is not read.
        case finished
    }

    /// The longest plaintext of one record (RFC 8446 section 5.1), in bytes.
    package static let recordBytes = 16_384
    /// More than any record adds to its plaintext here: header, explicit nonce, tag, content type; with room for
    /// a KeyUpdate before it.
    package static let recordOverheadBytes = 96

    /// Handshake messages and alerts that a session may see before it has moved a mebibyte.
    private static let controlMessagesMax = 32

    private let ssl: OpaquePointer
    private let window: UnsafeMutablePointer<COpenSSL_Window>
    /// OpenSSL's callbacks find it through the SSL: it must not go first.
    private let context: TLSServerContext
    /// Ciphertext of an unfinished record that OpenSSL holds, in bytes: for sizing only.
    private var carriedBytes = 0
    private var receivedBytes = 0

    package init(_ context: TLSServerContext) throws(TLSError) {
        ERR_clear_error()
        guard let window = unsafe COpenSSL_window_new() else {
            throw TLSError(.library, "no memory for a TLS session")
        }
        guard let ssl = unsafe SSL_new(context.pointer) else {
            unsafe COpenSSL_window_free(window)
            throw TLSError(
                .library, "no TLS session could be made", reasons: LibraryErrors.drain().texts)
        }
        guard unsafe COpenSSL_attach(ssl, WindowMethod.shared.pointer, window) == 1 else {
            unsafe SSL_free(ssl)
            unsafe COpenSSL_window_free(window)
            throw TLSError(.library, "no memory for a TLS session")
        }
        unsafe COpenSSL_SSL_set_owner(ssl, Unmanaged.passUnretained(context).toOpaque())
        unsafe SSL_set_accept_state(ssl)
        unsafe self.ssl = ssl
        unsafe self.window = window
        self.context = context
    }

    deinit {
        unsafe SSL_free(ssl)
        unsafe COpenSSL_window_free(window)
    }

    // MARK: Bytes

    /// Goes on with the handshake. Answers, and the alert of a failure, are appended to `outbound`.
    /// - Returns: whether the handshake is done; then `inbound` may still hold the first records.
    package mutating func handshake(
        from inbound: inout ByteBuffer, answering outbound: inout ByteBuffer
    ) throws(TLSError) -> Bool {
        var room = 4_096
        while true {
            let status = advance(&inbound, &outbound, room: room)
            switch status {
            case SSL_ERROR_NONE:
                unsafe window.pointee.control_messages = 0
                return true
            case SSL_ERROR_WANT_READ:
                return false
            case SSL_ERROR_WANT_WRITE:
                // Only "window full": there is no other reason.
                room *= 2
            default:
                throw TLSError.handshake(LibraryErrors.drain(), status: status)
            }
        }
    }

    /// Opens all of `inbound`, appending to `plaintext`. Alerts are appended to `outbound`.
    package mutating func read(
        from inbound: inout ByteBuffer, into plaintext: inout ByteBuffer,
        answering outbound: inout ByteBuffer
    ) throws(TLSError) -> Reading {
        let arrived = inbound.readableBytes
        let before = plaintext.readableBytes
        defer {
            let opened = plaintext.readableBytes - before
            receivedBytes += opened
            carriedBytes =
                unsafe SSL_has_pending(ssl) == 0
                ? 0 : min(max(carriedBytes + arrived - opened, 0), Self.recordBytes + 512)
        }
        while true {
            let status = open(&inbound, &plaintext)
            spill(into: &outbound)
            switch status {
            case SSL_ERROR_NONE, SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
                let messages = unsafe window.pointee.control_messages
                guard messages <= Self.controlMessagesMax + (receivedBytes >> 20) else {
                    throw TLSError(
                        .controlFlood,
                        "\(messages) KeyUpdate or renegotiation messages; the limit is "
                            + "\(Self.controlMessagesMax), and one more a mebibyte")
                }
                if status == SSL_ERROR_WANT_READ { return .more }
                if status == SSL_ERROR_NONE, inbound.readableBytes == 0,
                    unsafe SSL_has_pending(ssl) == 0
                {
                    return .more
                }
            case SSL_ERROR_ZERO_RETURN:
                return .finished
            default:
                throw TLSError.session(LibraryErrors.drain())
            }
        }
    }

    /// Seals the first `count` bytes of `plaintext`, one record at most, appending to `outbound`.
    package mutating func seal(
        _ count: Int, of plaintext: inout ByteBuffer, into outbound: inout ByteBuffer
    ) throws(TLSError) {
        precondition(count > 0 && count <= Self.recordBytes, "a record holds 1 to 16384 bytes")
        precondition(count <= plaintext.readableBytes, "more asked for than there is")
        var room = count + Self.recordOverheadBytes
        while true {
            let status = close(count, &plaintext, &outbound, room: room)
            spill(into: &outbound)
            switch status {
            case SSL_ERROR_NONE: return
            case SSL_ERROR_WANT_WRITE: room *= 2
            default: throw TLSError.session(LibraryErrors.drain())
            }
        }
    }

    /// Says close_notify, appended to `outbound`. Nothing can be sealed after it.
    package mutating func finish(into outbound: inout ByteBuffer) {
        let status = unsafe COpenSSL_shutdown(ssl)
        if status != SSL_ERROR_NONE { _ = LibraryErrors.drain() }
        spill(into: &outbound)
    }

    // MARK: One call each

    private func advance(
        _ inbound: inout ByteBuffer, _ outbound: inout ByteBuffer, room: Int
    ) -> Int32 {
        var status: Int32 = 0
        let ssl = unsafe self.ssl
        let window = unsafe self.window
        _ = unsafe inbound.readWithUnsafeReadableBytes { source in
            _ = unsafe outbound.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { target in
                unsafe COpenSSL_window_point(
                    window, source.baseAddress, source.count, target.baseAddress, target.count)
                unsafe status = COpenSSL_handshake(ssl)
                return unsafe window.pointee.out_written
            }
            return unsafe window.pointee.in_consumed
        }
        unsafe COpenSSL_window_point(window, nil, 0, nil, 0)
        spill(into: &outbound)
        return status
    }

    private func open(_ inbound: inout ByteBuffer, _ plaintext: inout ByteBuffer) -> Int32 {
        var status: Int32 = 0
        let ssl = unsafe self.ssl
        let window = unsafe self.window
        let room = max(inbound.readableBytes + carriedBytes, Int(unsafe SSL_pending(ssl)), 64)
        _ = unsafe inbound.readWithUnsafeReadableBytes { source in
            unsafe COpenSSL_window_point(window, source.baseAddress, source.count, nil, 0)
            _ = unsafe plaintext.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { target in
                guard let start = target.baseAddress else { return 0 }
                var filled = 0
                repeat {
                    var count = 0
                    unsafe status = COpenSSL_read(
                        ssl, start + filled, target.count - filled, &count)
                    filled += count
                } while unsafe status == SSL_ERROR_NONE && filled < target.count
                    && (window.pointee.in_consumed < source.count || SSL_has_pending(ssl) != 0)
                return filled
            }
            return unsafe window.pointee.in_consumed
        }
        unsafe COpenSSL_window_point(window, nil, 0, nil, 0)
        return status
    }

    private func close(
        _ count: Int, _ plaintext: inout ByteBuffer, _ outbound: inout ByteBuffer, room: Int
    ) -> Int32 {
        var status: Int32 = 0
        let ssl = unsafe self.ssl
        let window = unsafe self.window
        _ = unsafe plaintext.readWithUnsafeReadableBytes { source in
            var taken = 0
            _ = unsafe outbound.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { target in
                unsafe COpenSSL_window_point(
                    window, nil, 0, target.baseAddress, target.count)
                unsafe status = COpenSSL_write(ssl, source.baseAddress, count, &taken)
                return unsafe window.pointee.out_written
            }
            return taken
        }
        unsafe COpenSSL_window_point(window, nil, 0, nil, 0)
        return status
    }

    /// Moves what did not fit the window behind what did.
    private func spill(into outbound: inout ByteBuffer) {
        let count = unsafe window.pointee.spill_count
        guard count > 0 else { return }
        unsafe outbound.writeBytes(
            UnsafeRawBufferPointer(start: window.pointee.spill, count: count))
        unsafe window.pointee.spill_count = 0
    }
}

// MARK: - What the handshake agreed on

/// The end of a handshake, fired through the pipeline as a user event before the first bytes.
package struct TLSHandshakeCompleted: Sendable, Hashable {
    /// The ALPN name agreed on, or nil when the client named none.
    package var applicationProtocol: String?
    /// The name the client asked for (SNI), or nil.
    package var serverName: String?
    /// For example `TLSv1.3`.
    package var version: String
    /// OpenSSL's name of the suite, for example `TLS_AES_128_GCM_SHA256`.
    package var cipher: String
    /// Whether the session continued an earlier one by a ticket.
    package var resumed: Bool
    /// SHA-256 of the client's certificate in DER (RFC 8705 section 3.1): 32 bytes, or empty when there is none.
    package var peerCertificateDigest: [UInt8]
    /// The subject of that certificate when an authority of the settings has signed it (RFC 4514, in ASCII: see
    /// `PeerSubject`), or empty.
    package var peerCertificateSubject: String
}

extension TLSSession {
    /// What was agreed on; only after the handshake.
    package func agreement() -> TLSHandshakeCompleted {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        unsafe SSL_get0_alpn_selected(ssl, &name, &count)
        let chosen: String? =
            if let start = unsafe name, count > 0 {
                unsafe String(
                    decoding: UnsafeBufferPointer(start: start, count: Int(count)), as: UTF8.self)
            } else { nil }
        let certificate = unsafe SSL_get1_peer_certificate(ssl)
        defer { unsafe X509_free(certificate) }
        return unsafe TLSHandshakeCompleted(
            applicationProtocol: chosen,
            serverName: SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)
                .map { unsafe String(cString: $0) },
            version: String(cString: SSL_get_version(ssl)),
            cipher: String(cString: COpenSSL_SSL_cipher_name(ssl)),
            resumed: SSL_session_reused(ssl) == 1,
            peerCertificateDigest: certificate.map { unsafe PeerSubject.digest(of: $0) } ?? [],
            // A session that continues an earlier one has its certificate, and what came of verifying it.
            peerCertificateSubject: SSL_get_verify_result(ssl) == Int(X509_V_OK)
                ? certificate.map { unsafe PeerSubject.text(of: $0) } ?? "" : "")
    }
}

/// The kind of BIO that every session has.
///
/// Safe to share: made once, never changed or freed.
@safe private struct WindowMethod: @unchecked Sendable {
    static let shared = WindowMethod()

    let pointer: OpaquePointer

    private init() {
        guard let pointer = unsafe COpenSSL_window_method_new() else {
            preconditionFailure("no memory for a BIO method")
        }
        unsafe self.pointer = pointer
    }
}
