// ExportTraceServiceRequest (opentelemetry-proto 1.x, collector/trace/v1) as bytes, and what its answer says. Six messages are
// written and one is read: less than a generated coder and its runtime would be.

/// Who exports.
package struct TraceResource: Sendable, Equatable {
    /// `service.name`.
    package var service: String
    package var version: String
    /// `service.instance.id`: tells two processes of one service apart.
    package var instance: String

    package init(service: String, version: String, instance: String) {
        self.service = service
        self.version = version
        self.instance = instance
    }
}

package enum ExportRequest {
    /// The bytes of one request with these spans.
    package static func bytes(_ spans: [TraceSpan], of resource: TraceResource) -> [UInt8] {
        var request = ProtobufBytes()
        request.message(1) { resourceSpans in
            resourceSpans.message(1) { message in
                attribute("service.name", .text(resource.service), 1, &message)
                attribute("service.version", .text(resource.version), 1, &message)
                attribute("service.instance.id", .text(resource.instance), 1, &message)
                attribute("telemetry.sdk.name", .text("sluice"), 1, &message)
                attribute("telemetry.sdk.language", .text("swift"), 1, &message)
                attribute("telemetry.sdk.version", .text(resource.version), 1, &message)
            }
            resourceSpans.message(2) { scopeSpans in
                scopeSpans.message(1) { scope in
                    scope.text(1, "sluice")
                    scope.text(2, resource.version)
                }
                for span in spans {
                    scopeSpans.message(2) { message in write(span, &message) }
                }
            }
        }
        return request.bytes
    }

    private static func write(_ span: TraceSpan, _ message: inout ProtobufBytes) {
        message.bytes(1, span.trace)
        message.bytes(2, span.identifier)
        message.bytes(4, span.parent)
        message.text(5, span.name)
        message.number(6, span.kind.rawValue)
        message.fixed(7, span.start)
        message.fixed(8, span.end)
        for (key, value) in span.attributes { attribute(key, value, 9, &message) }
        if case .error(let why) = span.status {
            message.message(15) { status in
                status.text(2, why)
                status.number(3, 2)
            }
        }
        // Sampled; and that it is known whether the parent is remote, and whether it is.
        message.fixed(16, UInt32(0x101 | (span.isRemote ? 0x200 : 0)))
    }

    private static func attribute(
        _ key: String, _ value: TraceSpan.Value, _ field: UInt64, _ message: inout ProtobufBytes
    ) {
        message.message(field) { pair in
            pair.text(1, key)
            pair.message(2) { any in
                switch value {
                // An empty text or zero would be left out of a message, but is something here.
                case .text(let text): any.text(1, text, always: true)
                case .flag(let flag): any.number(2, flag ? 1 : 0, always: true)
                case .number(let number):
                    any.number(3, UInt64(bitPattern: number), always: true)
                }
            }
        }
    }
}

/// `ExportTraceServiceResponse`, as far as it matters.
package struct ExportResponse: Sendable, Equatable {
    /// Spans that the collector did not take, of those it was sent.
    package var rejected: UInt64 = 0

    /// Nil when it is no such message. An empty one says that all is well.
    package init?(_ bytes: [UInt8]) {
        guard let fields = ProtobufFields(bytes[...]) else { return nil }
        for case (1, .bytes(let partial)) in fields.all {
            guard let fields = ProtobufFields(partial) else { return nil }
            for case (1, .number(let count)) in fields.all {
                rejected = count > UInt64(Int64.max) ? 0 : count
            }
        }
    }
}
