// What is known of a call once it is over, and who wants to know: metrics, traces and logs. The walk hands it on at the call's
// one exit.

/// The alphabet a call came in.
package enum Door: String, Sendable, Hashable, CaseIterable {
    /// `sluice/1`, PROTOCOL.md.
    case binary
    /// The JSON bridge.
    case http
}

/// What a caller's calls have in common, mostly.
package struct CallTraits: Sendable {
    package var door: Door
    package var method: Method
    /// As the catalogue calls them; empty when the call named none or got no as far. Labels are made of these.
    package var model = ""
    package var version = ""
    /// As the caller wrote them: untrusted.
    package var asked: (model: String, version: String)
    package var code = StatusCode.ok
    package var reason = Reason.none
    /// Of the caller's token; empty before it was judged.
    package var issuer = ""
    package var client = ""
    /// The name of the caller's plan; empty without one, and for calls that were not admitted.
    package var plan = ""
    /// The caller's numeric address.
    package var address = ""
    /// The name of the connection in the logs of both sides.
    package var connection = ""

    package init(_ call: Call) {
        door = call.door
        method = call.method
        asked = (call.model, call.version)
    }
}

/// The traits of one or many calls. Calls that share it are alike, and whoever hears of them sees that by one comparison.
package final class CallKind: Sendable {
    package let traits: CallTraits

    package init(_ traits: CallTraits) { self.traits = traits }
}

/// A call that has been answered.
package struct CallRecord: Sendable {
    package private(set) var kind: CallKind
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
        _ kind: CallKind, trace: TraceContext? = nil, bytesIn: Int = 0, bytesOut: Int = 0,
        arrived: Instant, timing: Timing, answered: Instant
    ) {
        self.kind = kind
        self.trace = trace
        self.bytesIn = bytesIn
        self.bytesOut = bytesOut
        self.arrived = arrived
        total = answered.since(arrived)
        self.timing = timing
    }

    package var door: Door { kind.traits.door }
    package var method: Method { kind.traits.method }
    package var model: String { kind.traits.model }
    package var version: String { kind.traits.version }
    package var asked: (model: String, version: String) { kind.traits.asked }
    package var code: StatusCode { kind.traits.code }
    package var reason: Reason { kind.traits.reason }
    package var issuer: String { kind.traits.issuer }
    package var client: String { kind.traits.client }
    package var plan: String { kind.traits.plan }
    package var address: String { kind.traits.address }
    package var connection: String { kind.traits.connection }

    /// From now on it is of a kind of its own.
    package mutating func change(_ body: (inout CallTraits) -> Void) {
        var traits = kind.traits
        body(&traits)
        kind = CallKind(traits)
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
