// What happens to a connection between accept and TLS: it is counted, a listed proxy says whom it speaks for, and TLS and
// the choice of the door come behind.

import Contract
import Logging
import NIOCore
import TLS

/// Receives the connections of one listener. Shared by all event loops.
struct Reception: Sendable {
    let book: ConnectionBook
    let handshakes: Handshakes
    let contexts: LoopContexts
    /// Each connection has the limits of the moment it begins.
    let limits: Latest<Limits>
    let doors: any Doors
    /// Whose connections begin with a PROXY header.
    let proxies: [AddressBlock]
    let logger: Logger

    /// On the channel's event loop. Throws when the connection is not let in: it is closed then.
    func receive(_ channel: any Channel) throws {
        let text = channel.remoteAddress?.ipAddress ?? ""
        let address = NetworkAddress(text)
        guard let address, proxies.contains(where: { $0.contains(address) }) else {
            let shown = address.map(\.description) ?? text
            guard book.enter(channel, address: address?.counted.description ?? shown) else {
                throw refusal(shown)
            }
            return try welcome(channel, address, shown: shown)
        }
        // The proxy's own address has no limit: it speaks for many.
        guard book.enter(channel, address: nil) else { throw refusal("\(address)") }
        let logger = logger
        try channel.pipeline.syncOperations.addHandler(
            ProxyHandler(
                welcome: { header in
                    guard case .caller(let caller, _) = header else {
                        return try welcome(channel, nil, shown: "\(address)")
                    }
                    guard book.settle(channel, address: caller.counted.description) else {
                        throw refusal("\(caller)")
                    }
                    try welcome(channel, caller, shown: "\(caller)")
                },
                refuse: { why in
                    logger.debug(
                        "a proxy's connection was ended",
                        metadata: ["proxy": "\(address)", "why": "\(why)"])
                }))
    }

    /// Puts TLS and the door's chooser behind what is there.
    /// - Parameter address: nil for a proxy's own connection, which has no rate.
    private func welcome(
        _ channel: any Channel, _ address: NetworkAddress?, shown: String
    ) throws {
        guard let number = handshakes.begin(channel, from: address, at: .now()) else {
            throw GatewayError(.unavailable, "too many handshakes from \(shown)")
        }
        var tls = TLSConnectionSettings()
        tls.handshakeTimeout = .nanoseconds(Int64(limits.now.handshakeTime.count))
        let handlers = channel.pipeline.syncOperations
        try handlers.addHandler(
            TLSServerHandler(context: contexts.context(for: channel.eventLoop), settings: tls))
        try handlers.addHandler(
            DoorSelector(doors: doors, address: shown) { [handshakes] resumed in
                handshakes.succeed(number, resumed: resumed)
            })
    }

    private func refusal(_ address: String) -> GatewayError {
        GatewayError(.unavailable, "too many connections from \(address)")
    }
}
