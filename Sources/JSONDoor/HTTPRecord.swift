// A request that was answered without becoming a call: refused before, or asking for a page. The access log wants to know; calls
// have records of their own (Contract, CallRecord).

package import Contract
import NIOHTTP1

package struct HTTPRecord: Sendable {
    /// As the request said; empty when its head could not be read.
    package var method = ""
    /// The route as its table has it, for example `/v2/models/{model}/infer`: never the path itself, which may say anything.
    /// Empty when none was found.
    package var route = ""
    /// 499: the caller had gone.
    package var status: UInt
    /// Of the failure behind the answer; nil when there was none.
    package var code: StatusCode?
    package var reason: Reason
    /// The caller's numeric address.
    package var address: String
    package var connection: String
    /// What names the request in the logs of both sides; empty when its head could not be read.
    package var request = ""
    package var trace: TraceContext?
    /// The bodies' bytes: what was read, and what was written or would have been.
    package var bytesIn = 0
    package var bytesOut: Int
    /// When the head was whole.
    package var arrived: Instant
    /// From there to the answer.
    package var total = Nanoseconds.zero

    package init(
        status: UInt, code: StatusCode?, reason: Reason, address: String, connection: String,
        bytesOut: Int, answered: Instant
    ) {
        self.status = status
        self.code = code
        self.reason = reason
        self.address = address
        self.connection = connection
        self.bytesOut = bytesOut
        arrived = answered
    }
}

/// Told of every request that was answered and was no call. Called on the connection's event loop: it counts or hands on, and
/// never waits.
package protocol HTTPObserver: Sendable {
    /// False while its setting is off: no record is made.
    var wantsRequests: Bool { get }
    func answered(_ request: HTTPRecord)
}

extension HTTPConnectionHandler {
    func tellObserver(status: UInt, code: StatusCode?, reason: Reason, bytesOut: Int) {
        guard let observer = front.observer, observer.wantsRequests, exchange?.isCall != true
        else { return }
        var record = HTTPRecord(
            status: status, code: code, reason: reason, address: peer.address,
            connection: connection, bytesOut: bytesOut, answered: now)
        if let request {
            record.method = request.method.rawValue
            record.route = place?.route.path ?? ""
            record.request = request.id
            record.trace = request.trace
            record.bytesIn = machine.bodyCount
            record.arrived = request.arrived
            record.total = now.since(request.arrived)
        }
        observer.answered(record)
    }
}
