// The header messages of every call: CallHeader out, ReplyHeader in (proto/sluice/v1/sluice.proto).

package import NIOCore

/// The numbers of `sluice.v1.Method`.
package enum CallMethod: UInt64, Sendable {
    case infer = 1
    case inferStream = 2
    case modelMetadata = 3
    case modelReady = 4
    case serverMetadata = 5
    case serverReady = 6
    case repositoryIndex = 7
    case repositoryLoad = 8
    case repositoryUnload = 9
    case modelStatistics = 10
    case healthWatch = 11
    case modelControl = 12
    case modelAccount = 13
    case modelAlias = 14
    case gatewayControl = 15
    case accessCheck = 16

    /// Answered by a stream of messages.
    package var isStream: Bool { self == .inferStream || self == .healthWatch }
}

/// One call as it is handed to the connection, the same for each attempt.
package struct CallRequest: Sendable {
    package var method: CallMethod
    package var model: String
    package var version: String
    package var wantsProgress = false
    package var options = CallOptions()
    /// The token of `options`, once it is known.
    package var token = ""
    /// The method's Open Inference Protocol message.
    package var payload = ByteBuffer()

    package init(method: CallMethod, model: String = "", version: String = "") {
        self.method = method
        self.model = model
        self.version = version
    }
}

extension CallRequest {
    /// Writes the CallHeader.
    ///
    /// - Parameters:
    ///   - timeout: what is left of the call's time, in microseconds, at least 1.
    ///   - attempt: 0 for the first.
    ///   - messageLength: only when the message is cut.
    package func writeHeader(
        to bytes: inout ByteBuffer, timeout: UInt64, attempt: Int, messageLength: Int
    ) {
        bytes.writeVarintField(1, method.rawValue)
        bytes.writeVarintField(2, timeout)
        bytes.writeStringField(3, model)
        bytes.writeStringField(4, version)
        if !options.trace.isEmpty {
            bytes.writeDelimitedHead(5, bytes: options.trace.count)
            bytes.writeBytes(options.trace)
        }
        bytes.writeVarintField(6, UInt64(messageLength))
        for entry in options.metadata {
            let key = entry.key.utf8.count
            let value = entry.value.utf8.count
            let size =
                (key == 0 ? 0 : ProtobufSize.delimited(key))
                + (value == 0 ? 0 : ProtobufSize.delimited(value))
            bytes.writeDelimitedHead(7, bytes: size)
            bytes.writeStringField(1, entry.key)
            bytes.writeStringField(2, entry.value)
        }
        bytes.writeVarintField(8, UInt64(max(0, attempt)))
        bytes.writeStringField(9, options.idempotencyKey)
        bytes.writeVarintField(10, UInt64(clamping: options.priority))
        bytes.writeStringField(11, token)
        bytes.writeVarintField(12, wantsProgress ? 1 : 0)
    }
}

/// A decoded ReplyHeader.
package struct ReplyHeader {
    package var status: SluiceError?
    package var messageLength: UInt64 = 0
    package var timing = Timing()
    package var rateLimit: RateLimit?

    package init() {}

    package init(_ bytes: ByteBuffer) throws(MalformedMessage) {
        var reader = ProtobufReader(bytes)
        var limit = ""
        var policy = ""
        while let (field, type) = try reader.next() {
            switch (field, type) {
            case (1, .delimited): status = try Self.status(try reader.delimited())
            case (2, .varint): messageLength = try reader.varint()
            case (3, .delimited):
                let (key, value) = try Self.metadata(try reader.delimited())
                if key == "ratelimit" { limit = value }
                if key == "ratelimit-policy" { policy = value }
            case (4, .delimited): timing = try Self.timing(try reader.delimited())
            default: try reader.skip(type)
            }
        }
        guard !limit.isEmpty else { return }
        rateLimit = RateLimit(limit: limit, policy: policy)
        status?.rateLimit = rateLimit
    }

    /// The error a Status means; nil when it says OK.
    private static func status(_ bytes: ByteBuffer) throws(MalformedMessage) -> SluiceError? {
        var error = SluiceError(.init(rawValue: 0), "")
        var reader = ProtobufReader(bytes)
        while let (field, type) = try reader.next() {
            switch (field, type) {
            case (1, .varint): error.code = .init(rawValue: Int(try reader.varint32()))
            case (2, .delimited): error.message = try reader.string()
            case (3, .delimited): error.reason = try reader.string()
            case (4, .delimited):
                let (key, value) = try metadata(try reader.delimited())
                error.details[key] = value
            case (5, .varint): error.notStarted = try reader.varint() != 0
            case (6, .varint):
                let milliseconds = try reader.varint32()
                error.retryAfter = milliseconds == 0 ? nil : .milliseconds(milliseconds)
            default: try reader.skip(type)
            }
        }
        return error.code.rawValue == 0 ? nil : error
    }

    private static func metadata(
        _ bytes: ByteBuffer
    ) throws(MalformedMessage) -> (String, String) {
        var key = ""
        var value = ""
        var reader = ProtobufReader(bytes)
        while let (field, type) = try reader.next() {
            switch (field, type) {
            case (1, .delimited): key = try reader.string()
            case (2, .delimited): value = try reader.string()
            default: try reader.skip(type)
            }
        }
        return (key, value)
    }

    private static func timing(_ bytes: ByteBuffer) throws(MalformedMessage) -> Timing {
        var timing = Timing()
        var reader = ProtobufReader(bytes)
        while let (field, type) = try reader.next() {
            guard type == .varint else {
                try reader.skip(type)
                continue
            }
            let value = try reader.varint()
            switch field {
            case 1: timing.authentication = .microseconds(Int64(clamping: value))
            case 2: timing.queue = .microseconds(Int64(clamping: value))
            case 3: timing.load = .microseconds(Int64(clamping: value))
            case 4: timing.run = .microseconds(Int64(clamping: value))
            case 5: timing.batch = Int(UInt32(truncatingIfNeeded: value))
            case 6: timing.isCold = value != 0
            default: break
            }
        }
        return timing
    }
}

extension CallRequest {
    /// The protocol's bounds for what a caller may put into the header; keeps it below the 65,535 bytes a
    /// frame's header can have, whatever the gateway allows.
    package func checkHeader() throws(SluiceError) {
        try check(model.utf8.count, 256, "model's name")
        try check(version.utf8.count, 256, "model's version")
        try check(options.idempotencyKey.utf8.count, 1_024, "idempotency key")
        try check(token.utf8.count, 16 << 10, "call's token")
        try check(options.metadata.count, 64, "call's metadata", unit: "entries")
        let metadata = options.metadata.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        try check(metadata, 8 << 10, "call's metadata")
        guard options.trace.isEmpty || options.trace.count == 25 else {
            throw SluiceError(
                .invalidArgument, reason: Reason.headerTooLarge,
                "A trace context has 25 bytes, not \(options.trace.count).")
        }
    }

    private func check(
        _ actual: Int, _ limit: Int, _ what: String, unit: String = "bytes"
    ) throws(SluiceError) {
        guard actual > limit else { return }
        throw SluiceError(
            .invalidArgument, reason: Reason.headerTooLarge,
            "The \(what) has \(actual) \(unit); the protocol allows \(limit).")
    }
}
