// The seam between a door and the walk. A door turns bytes into calls and outcomes into bytes; the walk does
// everything between. Both run on the connection's event loop and talk by plain calls: no task, no lock.

package import NIOCore

/// The door's side of one call: where the walk sends what the caller shall see. Every method is called on the
/// connection's event loop; `finish` exactly once, possibly before `begin` has returned.
package protocol Exchange: AnyObject {
    func progress(_ progress: Progress)
    /// What the caller's plan has left, to be told with the answer; before `finish`, at most once.
    func allow(_ allowance: Allowance)
    /// The call is exported as this span; before `finish`, more than once when it is told early.
    func trace(as span: TraceContext)
    /// One message of a server stream; `finish` ends the stream.
    func send(_ message: Answer)
    /// The caller's answer. When `workContinues`, the call's slot stays taken until `workEnded` (a run that is
    /// being stopped after its deadline or a cancel, for example).
    func finish(_ result: Result<Answer, CallFailure>, timing: Timing, workContinues: Bool)
    /// The work behind a finished call has stopped; only after a `finish` with `workContinues`, once.
    func workEnded()
}

extension Exchange {
    /// For doors whose answers have no place for it.
    package func trace(as span: TraceContext) {}
}

/// The walk's side of one call, kept by the door while the call is open.
package protocol CallHandle: AnyObject {
    /// The caller is no longer interested. `finish` still comes, with CANCELLED unless the answer was faster.
    func cancel()
}

/// The walk's side of one connection: who is calling. Used on the connection's event loop only.
package protocol CallerSession: AnyObject {
    /// Takes the token of a HELLO or AUTH frame. `done` is called on the event loop, once: with the seconds
    /// the token is still valid for (nil: unknown), or why it was refused. Calls begun meanwhile wait.
    func authenticate(
        _ token: Secret?, done: @escaping (Result<Nanoseconds?, CallFailure>) -> Void)
    /// Why a call would be refused for who asks or for the model it names, before its body is there; nil: not for that.
    /// Takes nothing from the caller's plan. The call itself is judged again when it begins.
    func objection(to method: Method, model: String, version: String) -> CallFailure?
    /// Starts a call. Returns nil when it has already been finished.
    func begin(_ call: Call, exchange: any Exchange) -> (any CallHandle)?
    /// Everything that arrived together has been begun: batched work may be handed on. A door calls this at the
    /// end of each read of the channel.
    func turnEnded()
    /// The connection has gone; its calls have been cancelled one by one before.
    func close()
}

extension CallerSession {
    package func objection(to method: Method, model: String, version: String) -> CallFailure? {
        nil
    }
}

/// What the walk offers to doors.
package protocol FrontDesk: Sendable {
    /// A connection has passed its TLS handshake.
    func session(from peer: Peer, on eventLoop: any EventLoop) -> any CallerSession
}

/// What the house tells a connection, from any thread, by `channel.triggerUserOutboundEvent`.
package enum DoorCommand: Sendable {
    /// Take no new calls soon, finish the open ones within this time, then close.
    case drain(within: Nanoseconds)
    /// Answer what is open with UNAVAILABLE (STOPPING) and close.
    case stop
}

/// The other end of a connection.
package struct Peer: Sendable, Hashable {
    /// Numeric address without the port; empty when unknown.
    package var address: String
    /// The name the client asked for by SNI, or empty.
    package var serverName: String
    /// SHA-256 of the client's certificate (RFC 8705 section 3.1), or empty when there is none.
    package var certificateDigest: [UInt8]
    /// The subject of that certificate, which the settings' authority has signed (RFC 4514, for example
    /// `CN=app1,O=Example`), or empty.
    package var certificateSubject: String

    package init(
        address: String, serverName: String = "", certificateDigest: [UInt8] = [],
        certificateSubject: String = ""
    ) {
        self.certificateSubject = certificateSubject
        self.address = address
        self.serverName = serverName
        self.certificateDigest = certificateDigest
    }
}
