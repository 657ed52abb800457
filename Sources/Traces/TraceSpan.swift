// A span as it is exported (OpenTelemetry, trace.proto): a name, two times, and what is known of what happened between them.

/// One step of one call, or the whole of it.
package struct TraceSpan: Sendable, Equatable {
    package enum Kind: UInt64, Sendable { case `internal` = 1, server = 2 }

    package enum Value: Sendable, Equatable {
        case text(String)
        case number(Int64)
        case flag(Bool)
    }

    /// Whether it failed, and why, in one word; `unset` is what OpenTelemetry wants of what did not.
    package enum Status: Sendable, Equatable {
        case unset
        case error(String)
    }

    /// 16 and 8 bytes.
    package var trace: [UInt8]
    package var identifier: [UInt8]
    /// Empty for the first span of a trace.
    package var parent: [UInt8] = []
    /// The parent is somebody else's.
    package var isRemote = false
    package var name: String
    package var kind = Kind.internal
    /// Nanoseconds since 1970; the end is never before the start.
    package var start: UInt64
    package var end: UInt64
    package var attributes: [(key: String, value: Value)] = []
    package var status = Status.unset

    package init(
        trace: [UInt8], identifier: [UInt8], parent: [UInt8] = [], name: String, start: UInt64,
        end: UInt64
    ) {
        self.trace = trace
        self.identifier = identifier
        self.parent = parent
        self.name = name
        self.start = start
        self.end = end
    }

    package func attribute(_ key: String) -> Value? {
        attributes.first { $0.key == key }?.value
    }

    package static func == (left: TraceSpan, right: TraceSpan) -> Bool {
        left.trace == right.trace && left.identifier == right.identifier
            && left.parent == right.parent && left.isRemote == right.isRemote
            && left.name == right.name && left.kind == right.kind && left.start == right.start
            && left.end == right.end && left.status == right.status
            && left.attributes.map(\.key) == right.attributes.map(\.key)
            && left.attributes.map(\.value) == right.attributes.map(\.value)
    }
}
