// One TLS context per event loop, so that two loops never meet at a lock of OpenSSL.

import NIOCore
import TLS

/// Finds the context of a loop. The contexts themselves can be replaced while connections come in.
struct LoopContexts: Sendable {
    let box: TLSContextBox
    private let places: [ObjectIdentifier: Int]

    init(box: TLSContextBox, group: any EventLoopGroup) {
        self.box = box
        var places: [ObjectIdentifier: Int] = [:]
        for (place, loop) in group.makeIterator().enumerated() {
            places[ObjectIdentifier(loop)] = place
        }
        self.places = places
    }

    func context(for loop: any EventLoop) -> TLSServerContext {
        box.context(for: places[ObjectIdentifier(loop), default: 0])
    }
}
