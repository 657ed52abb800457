// Waits for the end of the TLS handshake and opens the door the client asked for by ALPN.

import Contract
import NIOCore
import TLS

/// Puts a door's handlers behind TLS.
protocol Doors: Sendable {
    /// `sluice/1`.
    func openBinaryDoor(on channel: any Channel, peer: Peer) throws
    /// `http/1.1`, also for a client that names no protocol.
    func openJSONDoor(on channel: any Channel, peer: Peer) throws
}

/// Lives from the TCP connection to the end of the handshake, then makes way.
final class DoorSelector: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let doors: any Doors
    private let address: String
    private let handshakeDone: (_ resumed: Bool) -> Void

    /// - Parameter handshakeDone: called when it is; not when the connection ends before.
    init(
        doors: any Doors, address: String, handshakeDone: @escaping (_ resumed: Bool) -> Void
    ) {
        self.doors = doors
        self.address = address
        self.handshakeDone = handshakeDone
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let handshake = event as? TLSHandshakeCompleted else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        handshakeDone(handshake.resumed)
        let peer = Peer(
            address: address, serverName: handshake.serverName ?? "",
            certificateDigest: handshake.peerCertificateDigest,
            certificateSubject: handshake.peerCertificateSubject)
        do {
            if handshake.applicationProtocol == "sluice/1" {
                try doors.openBinaryDoor(on: context.channel, peer: peer)
            } else {
                try doors.openJSONDoor(on: context.channel, peer: peer)
            }
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        } catch {
            context.fireErrorCaught(error)
            context.close(promise: nil)
        }
    }

    /// TLS delivers nothing before the handshake event, which has replaced this handler by then.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
