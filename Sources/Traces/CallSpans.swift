// A call's record as spans: one for the whole call, as its caller may have asked for by a trace context, and one for each step
// that it took. Made when the call is over, by the exporter and not on an event loop.

package import Contract

package struct CallSpans: Sendable {
    private let anchor: WallAnchor
    private let identifiers: SpanIdentifiers

    package init(anchor: WallAnchor, identifiers: SpanIdentifiers = SpanIdentifiers()) {
        self.anchor = anchor
        self.identifiers = identifiers
    }

    /// The call's span first, then its steps in their order. Empty for a call that is not exported.
    package func spans(of call: CallRecord) -> [TraceSpan] {
        guard let own = call.span else { return [] }
        let whole = Phase("", from: call.received, to: call.arrived + call.total)
        var server = span(whole, own, parent: Array(call.trace?.spanID ?? []))
        server.identifier = Array(own.spanID)
        server.isRemote = call.trace != nil
        server.name = "sluice/\(call.method.name)"
        server.kind = .server
        server.attributes = CallSpans.attributes(of: call)
        server.status = CallSpans.status(call)
        var spans = [server]
        for phase in CallPhases(call).all {
            var step = span(phase, own, parent: server.identifier)
            step.attributes = phase.attributes
            let place = step.identifier
            spans.append(step)
            for part in phase.parts { spans.append(span(part, own, parent: place)) }
        }
        return spans
    }

    private func span(_ phase: Phase, _ own: TraceContext, parent: [UInt8]) -> TraceSpan {
        let number = identifiers.next()
        let start = anchor.time(of: phase.start)
        return TraceSpan(
            trace: Array(own.traceID),
            identifier: stride(from: 56, through: 0, by: -8).map {
                UInt8(truncatingIfNeeded: number >> UInt64($0))
            },
            parent: parent, name: phase.name, start: start,
            end: max(start, anchor.time(of: phase.end)))
    }

    /// OpenTelemetry's names where there are some; nothing that a caller wrote, but for the name its issuer knows it by.
    private static func attributes(of call: CallRecord) -> [(key: String, value: TraceSpan.Value)] {
        var attributes: [(key: String, value: TraceSpan.Value)] = [
            ("rpc.system", .text(call.door == .binary ? "sluice" : "http")),
            ("rpc.service", .text("sluice")),
            ("rpc.method", .text(call.method.name)),
            ("sluice.status", .text(call.code.name)),
            ("rpc.grpc.status_code", .number(Int64(call.code.rawValue))),
            ("sluice.cold", .flag(call.timing.cold)),
            ("sluice.request.bytes", .number(Int64(call.bytesIn))),
            ("sluice.response.bytes", .number(Int64(call.bytesOut))),
        ]
        func add(_ key: String, _ text: String) {
            if !text.isEmpty { attributes.append((key, .text(text))) }
        }
        add("sluice.model", call.model)
        add("sluice.version", call.version)
        add("sluice.reason", call.reason.rawValue)
        add("sluice.issuer", call.issuer)
        add("sluice.client", call.client)
        add("sluice.plan", call.plan)
        if call.code != .ok { add("error.type", call.code.name) }
        if call.timing.batch > 0 {
            attributes.append(("sluice.batch", .number(Int64(call.timing.batch))))
        }
        return attributes
    }

    /// The codes that are the server's fault, as OpenTelemetry says it of gRPC's servers: what a caller did wrong is no error of
    /// ours.
    private static func status(_ call: CallRecord) -> TraceSpan.Status {
        switch call.code {
        case .unknown, .deadlineExceeded, .unimplemented, .internal, .unavailable, .dataLoss:
            .error(call.reason.rawValue.isEmpty ? call.code.name : call.reason.rawValue)
        case .ok, .cancelled, .invalidArgument, .notFound, .alreadyExists, .permissionDenied,
            .resourceExhausted, .failedPrecondition, .aborted, .outOfRange, .unauthenticated:
            .unset
        }
    }
}

extension CallRecord {
    /// Its spans begin when its head came.
    var received: Instant { marks.map { min($0.received, arrived) } ?? arrived }
}
