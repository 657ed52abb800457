// A unary echo over TLS by grpc-swift 2: the least a gRPC server in Swift does for a call. No message is decoded and no model runs.
// Usage: echo-server CERTIFICATE KEY; prints `ready tls=HOST:PORT`.

import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix

/// The message is its bytes.
struct Bytes: MessageSerializer, MessageDeserializer {
    func serialize<Contiguous: GRPCContiguousBytes>(_ message: [UInt8]) -> Contiguous {
        Contiguous(message)
    }

    func deserialize<Contiguous: GRPCContiguousBytes>(_ bytes: Contiguous) -> [UInt8] {
        bytes.withUnsafeBytes { Array($0) }
    }
}

struct EchoService: RegistrableRPCService {
    func registerMethods(with router: inout RPCRouter<some ServerTransport>) {
        router.registerHandler(
            forMethod: MethodDescriptor(fullyQualifiedService: "peers.Echo", method: "Echo"),
            deserializer: Bytes(), serializer: Bytes()
        ) { request, _ in
            StreamingServerResponse(
                single: ServerResponse(message: try await ServerRequest(stream: request).message))
        }
    }
}

@main
struct EchoServer {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else {
            fatalError("usage: echo-server CERTIFICATE KEY")
        }
        let transport = HTTP2ServerTransport.Posix(
            address: .ipv4(host: "127.0.0.1", port: 0),
            transportSecurity: .tls(
                certificateChain: [.file(path: arguments[1], format: .pem)],
                privateKey: .file(path: arguments[2], format: .pem)))
        let server = GRPCServer(transport: transport, services: [EchoService()])
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.serve() }
            let address = try await transport.listeningAddress
            let ready = "ready tls=127.0.0.1:\(address.ipv4?.port ?? 0)\n"
            // print would keep it in its buffer.
            try FileHandle.standardOutput.write(contentsOf: Data(ready.utf8))
            try await group.next()
        }
    }
}
