// What is known of a call once it is over, and who wants to know: metrics, traces and logs. The walk hands it on at the call's
// one exit.

/// The alphabet a call came in.
package enum Door: String, Sendable, Hashable, CaseIterable {
    /// `sluice/1`, PROTOCOL.md.
    case binary
    /// The JSON bridge.
    case http
}

/// A call that has been answered.
package struct CallRecord: Sendable {
    package var door: Door
    package var method: Method
    /// As the catalogue calls them; empty when the call named none or got no as far. Labels are made of these.
    package var model: String
    package var version: String
    /// As the caller wrote them: untrusted.
    package var asked: (model: String, version: String)
    package var code: StatusCode
    package var reason: Reason
    /// Of the caller's token; empty before it was judged.
    package var issuer: String
    package var client: String
    /// The name of the caller's plan; empty without one, and for calls that were not admitted.
    package var plan: String
    /// The caller's numeric address.
    package var address: String
    /// The name of the connection in the logs of both sides.
    package var connection: String
    /// Of the caller (W3C trace context), when it sent one.
    package var trace: TraceContext?
    /// The span that the gateway exports this call as; nil when it exports none. Set before observers are told.
    package var span: TraceContext?
    /// When the call came through which door of the house; nil when there are no traces.
    package var marks: CallMarks?
    /// The message's bytes, and those of the tensors in the answer.
    package var bytesIn: Int
    package var bytesOut: Int
    package var arrived: Instant
    /// From the arrival to the answer.
    package var total: Nanoseconds
    /// Parts of `total`. When the work goes on after the answer, what it took until then.
    package var timing: Timing

    package init(
        _ call: Call, model: String = "", version: String = "", failure: CallFailure? = nil,
        issuer: String = "", client: String = "", plan: String = "", address: String,
        connection: String = "", bytesOut: Int = 0, timing: Timing, answered: Instant
    ) {
        door = call.door
        method = call.method
        self.model = model
        self.version = version
        asked = (call.model, call.version)
        code = failure?.code ?? .ok
        reason = failure?.reason ?? .none
        self.issuer = issuer
        self.client = client
        self.plan = plan
        self.address = address
        self.connection = connection
        trace = call.trace
        bytesIn = call.body.byteCount
        self.bytesOut = bytesOut
        arrived = call.arrived
        total = answered.since(call.arrived)
        self.timing = timing
    }
}

/// The steps of a call before it came to the shards, for traces. Nobody reads a clock for them when there are none.
package struct CallMarks: Sendable, Equatable {
    /// Its head has come.
    package var received: Instant
    /// The walk has it.
    package var begun: Instant
    /// The issuer was asked who shows the token, and answered; both or none.
    package var asked: Instant?
    package var told: Instant?
    package var admitted: Instant?
    /// The model is found and the tensors fit it.
    package var prepared: Instant?

    package init(received: Instant, begun: Instant) {
        self.received = received
        self.begun = begun
    }
}
