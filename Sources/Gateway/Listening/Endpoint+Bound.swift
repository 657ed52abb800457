// A listener's endpoint after the system has chosen what was left open.

import NIOCore

extension Endpoint {
    /// This endpoint with the port that was really bound.
    func bound(to address: SocketAddress?) -> Endpoint {
        Endpoint(host: host, port: address?.port ?? port)
    }
}
