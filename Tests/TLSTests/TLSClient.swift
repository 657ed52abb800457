// A TLS client over memory, straight on OpenSSL: independent of everything under test.

import COpenSSL
import NIOCore
import TLS
import Testing

/// What a test's client wants.
struct ClientOptions {
    var minimumVersion: Int32 = TLS1_2_VERSION
    var maximumVersion: Int32 = TLS1_3_VERSION
    var protocols: [String] = []
    var serverName: String?
    /// OpenSSL's cipher list for TLS 1.2 and before.
    var ciphers: String?
    /// PEM files of a client certificate.
    var certificate: (certificate: String, key: String)?
    /// Trusted authorities; nil accepts any certificate.
    var trust: String?
    /// A session of an earlier client, to be resumed.
    var resuming: TLSClient?
}

struct ClientFailure: Error, CustomStringConvertible {
    var reason: Int32
    var description: String
}

/// The other end of a handler under test. Ciphertext goes in by `receive` and comes out by `take`.
@safe final class TLSClient {
    let context: OpaquePointer
    let ssl: OpaquePointer
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer

    init(_ options: ClientOptions = ClientOptions()) throws {
        guard let context = unsafe SSL_CTX_new(TLS_client_method()),
            let incoming = unsafe BIO_new(BIO_s_mem()), let outgoing = unsafe BIO_new(BIO_s_mem())
        else { throw ClientFailure(reason: 0, description: "no memory") }
        unsafe self.context = context
        _ = unsafe COpenSSL_CTX_set_minimum_version(context, options.minimumVersion)
        _ = unsafe COpenSSL_CTX_set_maximum_version(context, options.maximumVersion)
        if let ciphers = options.ciphers {
            #expect(unsafe SSL_CTX_set_cipher_list(context, ciphers) == 1)
        }
        if let pair = options.certificate {
            #expect(unsafe SSL_CTX_use_certificate_chain_file(context, pair.certificate) == 1)
            #expect(
                unsafe SSL_CTX_use_PrivateKey_file(context, pair.key, SSL_FILETYPE_PEM) == 1)
        }
        if let trust = options.trust {
            #expect(unsafe SSL_CTX_load_verify_file(context, trust) == 1)
            unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        }
        guard let ssl = unsafe SSL_new(context) else {
            throw ClientFailure(reason: 0, description: "no memory")
        }
        unsafe self.ssl = ssl
        unsafe self.incoming = incoming
        unsafe self.outgoing = outgoing
        unsafe SSL_set_bio(ssl, incoming, outgoing)
        unsafe SSL_set_connect_state(ssl)
        if let name = options.serverName { _ = unsafe COpenSSL_SSL_set_host_name(ssl, name) }
        if !options.protocols.isEmpty {
            let list = options.protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
            #expect(unsafe SSL_set_alpn_protos(ssl, list, UInt32(list.count)) == 0)
        }
        if let earlier = options.resuming {
            let session = unsafe SSL_get1_session(earlier.ssl)
            #expect(unsafe SSL_set_session(ssl, session) == 1)
            unsafe SSL_SESSION_free(session)
        }
    }

    deinit {
        unsafe SSL_free(ssl)
        unsafe SSL_CTX_free(context)
    }

    /// Ciphertext from the server.
    func receive(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        #expect(unsafe BIO_write(incoming, bytes, Int32(bytes.count)) == Int32(bytes.count))
    }

    /// Ciphertext for the server.
    func take() -> [UInt8] {
        var all: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe BIO_read(outgoing, &piece, Int32(piece.count))
            guard count > 0 else { return all }
            all.append(contentsOf: piece[0..<Int(count)])
        }
    }

    private func check(_ status: Int32) throws -> Bool {
        switch status {
        case SSL_ERROR_NONE: return true
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return false
        default:
            let code = ERR_get_error()
            let text = unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) }
            ERR_clear_error()
            throw ClientFailure(
                reason: COpenSSL_error_reason(code), description: text ?? "status \(status)")
        }
    }

    /// Goes on with the handshake; true when done.
    func handshake() throws -> Bool { try check(unsafe COpenSSL_handshake(ssl)) }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        #expect(unsafe try check(COpenSSL_write(ssl, bytes, bytes.count, &sent)))
        #expect(sent == bytes.count)
    }

    /// All plaintext there is.
    func read() throws -> [UInt8] {
        var all: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16_384)
        while !finished {
            var count = 0
            let status = unsafe COpenSSL_read(ssl, &piece, piece.count, &count)
            if status == SSL_ERROR_ZERO_RETURN { return all }
            guard try check(status) else { return all }
            all.append(contentsOf: piece[0..<count])
        }
        return all
    }

    /// Whether the server has said close_notify.
    var finished: Bool { unsafe SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN != 0 }

    func sayCloseNotify() { _ = unsafe COpenSSL_shutdown(ssl) }

    /// Sends a KeyUpdate (RFC 8446 section 4.6.3).
    func updateKeys(requested: Bool) throws {
        let kind = requested ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED
        #expect(unsafe SSL_key_update(ssl, kind) == 1)
        _ = try handshake()
    }

    func renegotiate() throws -> Bool {
        #expect(unsafe SSL_renegotiate(ssl) == 1)
        return try handshake()
    }

    var isResumed: Bool { unsafe SSL_session_reused(ssl) == 1 }

    /// The common name in the server's certificate.
    var serverCommonName: String {
        guard let certificate = unsafe SSL_get1_peer_certificate(ssl) else { return "" }
        defer { unsafe X509_free(certificate) }
        var text = [CChar](repeating: 0, count: 128)
        let count = unsafe X509_NAME_get_text_by_NID(
            X509_get_subject_name(certificate), NID_commonName, &text, 128)
        return String(decoding: text.prefix(Int(max(count, 0))).map(UInt8.init), as: UTF8.self)
    }
}
