// Opens the doors behind TLS.

import BinaryDoor
import Contract
import JSONDoor
import Logging
import NIOCore
import Synchronization

/// Names connections for the logs of both sides: a random word of this process and a count.
final class ConnectionNames: Sendable {
    private let process = String(UInt32.random(in: .min ... .max), radix: 36)
    private let count = Atomic<UInt64>(0)

    func next() -> String {
        process + "-" + String(count.add(1, ordering: .relaxed).newValue, radix: 36)
    }
}

/// The doors of a gateway.
struct HouseDoors: Doors {
    let walk: Walk
    // Read when a connection begins, and its own from then on.
    let front: Latest<HTTPFront>
    let limits: Latest<Limits>
    let logger: Logger
    let names = ConnectionNames()

    func openBinaryDoor(on channel: any Channel, peer: Peer) throws {
        try channel.pipeline.syncOperations.addHandler(
            BinaryDoorHandler(
                desk: walk, peer: peer, limits: limits.now, connection: names.next(),
                server: "sluice/\(Version.text)", logger: logger))
    }

    func openJSONDoor(on channel: any Channel, peer: Peer) throws {
        try front.now.open(on: channel, peer: peer, connection: names.next())
    }
}
