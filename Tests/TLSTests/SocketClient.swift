// A blocking TLS client over a real socket, for the tests that need the kernel between the two ends.

import COpenSSL
import Glibc
import Testing

/// Connects to 127.0.0.1 and blocks; used on a thread of the test's own.
@safe final class SocketClient {
    private let context: OpaquePointer
    private let ssl: OpaquePointer
    private let socket: Int32

    struct Failure: Error {
        let what: String
    }

    /// A TCP connection and nothing more; the caller closes it.
    static func connectPlain(port: Int) throws -> Int32 {
        let file = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard file >= 0 else { throw Failure(what: "socket") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let connected = unsafe withUnsafePointer(to: &address) { address in
            unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe connect(file, address, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else {
            Glibc.close(file)
            throw Failure(what: "connect \(errno)")
        }
        return file
    }

    init(port: Int, trust: String, protocols: [String] = ["sluice/1"]) throws {
        let file = try Self.connectPlain(port: port)
        guard let context = unsafe SSL_CTX_new(TLS_client_method()) else {
            Glibc.close(file)
            throw Failure(what: "SSL_CTX_new")
        }
        _ = unsafe SSL_CTX_load_verify_file(context, trust)
        unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        guard let ssl = unsafe SSL_new(context) else { throw Failure(what: "SSL_new") }
        let list = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        _ = unsafe SSL_set_alpn_protos(ssl, list, UInt32(list.count))
        _ = unsafe SSL_set_fd(ssl, file)
        unsafe self.context = context
        unsafe self.ssl = ssl
        socket = file
        guard unsafe SSL_connect(ssl) == 1 else {
            ERR_clear_error()
            throw Failure(what: "handshake")
        }
    }

    deinit {
        unsafe SSL_free(ssl)
        unsafe SSL_CTX_free(context)
        Glibc.close(socket)
    }

    func write(_ bytes: [UInt8]) throws {
        guard unsafe SSL_write(ssl, bytes, Int32(bytes.count)) == Int32(bytes.count) else {
            ERR_clear_error()
            throw Failure(what: "write")
        }
    }

    /// At least one byte, or none at the server's close_notify.
    func read(most: Int = 65_536) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: most)
        let count = unsafe SSL_read(ssl, &bytes, Int32(most))
        if count > 0 { return Array(bytes[0..<Int(count)]) }
        guard unsafe SSL_get_error(ssl, count) == SSL_ERROR_ZERO_RETURN else {
            ERR_clear_error()
            throw Failure(what: "read")
        }
        return []
    }

    func read(exactly count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let more = try read(most: count - bytes.count)
            guard !more.isEmpty else { throw Failure(what: "early end") }
            bytes += more
        }
        return bytes
    }

    func sayCloseNotify() { _ = unsafe SSL_shutdown(ssl) }
}
