// What the tests share: a generator with a seed, messages of the gateway, waiting with a deadline.

import NIOCore
import SluiceClient
import SluiceMessages
import SluiceWire
import SwiftProtobuf
import Testing

/// SplitMix64: small, fast, the same everywhere for a seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

struct TestTimeout: Error, CustomStringConvertible {
    var description: String
}

/// Runs `body`, for 10 s at most.
func within<Value: Sendable>(
    _ what: String, seconds: Int64 = 10, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: .seconds(seconds))
            throw TestTimeout(description: "waited \(seconds) s for \(what)")
        }
        guard let first = try await group.next() else { throw TestTimeout(description: what) }
        group.cancelAll()
        return first
    }
}

/// The error `body` throws.
func failure(_ body: () async throws -> Void) async throws -> SluiceError {
    do {
        try await body()
    } catch let error as SluiceError {
        return error
    }
    throw TestTimeout(description: "nothing was thrown")
}

/// A point in time of the tests, in milliseconds.
func at(_ milliseconds: Int64) -> NIODeadline {
    .uptimeNanoseconds(1_000_000_000_000) + .milliseconds(milliseconds)
}

extension ByteBuffer {
    var array: [UInt8] { [UInt8](readableBytesView) }
}

// MARK: - The gateway's messages

enum Messages {
    static func hello(
        maxFrame: UInt32 = 256 << 10, maxMessage: UInt64 = 64 << 20, calls: UInt32 = 256,
        auth: Sluice_Status? = nil
    ) throws -> Frame {
        var hello = Sluice_ServerHello()
        hello.maxFrame = maxFrame
        hello.maxMessage = maxMessage
        hello.maxHeader = 16 << 10
        hello.maxConcurrentCalls = calls
        hello.minPingIntervalMs = 1
        hello.connectionID = "c1"
        hello.server = "fake/1"
        if let auth {
            hello.auth.status = auth
        } else {
            hello.auth.expiresInMs = 1_000
        }
        return Frame(.hello, header: try HelloCoding.encoded(hello))
    }

    static func status(
        _ code: SluiceError.Code, _ reason: String = "", notStarted: Bool = false,
        retryAfter: UInt32 = 0
    ) -> Sluice_Status {
        var status = Sluice_Status()
        status.code = UInt32(code.rawValue)
        status.reason = reason
        status.message = "said by the fake gateway"
        status.notStarted = notStarted
        status.retryAfterMs = retryAfter
        return status
    }

    static func replyHeader(
        _ status: Sluice_Status? = nil, messageLength: Int = 0
    ) throws -> ByteBuffer {
        var header = Sluice_ReplyHeader()
        if let status { header.status = status }
        header.messageLength = UInt64(messageLength)
        header.timing.authUs = 1
        header.timing.queueUs = 2
        header.timing.loadUs = 3
        header.timing.runUs = 4
        header.timing.cold = true
        return try HelloCoding.encoded(header)
    }

    static func reply(
        _ call: UInt32, _ status: Sluice_Status? = nil, payload: ByteBuffer = ByteBuffer()
    ) throws -> Frame {
        Frame(.reply, .end, call: call, header: try replyHeader(status), payload: payload)
    }

    static func goAway(
        last: UInt32, code: Sluice_GoAwayCode = .goAwayNoError, reason: String = ""
    ) throws -> Frame {
        var message = Sluice_GoAway()
        message.lastCall = last
        message.code = code
        message.reason = reason
        return Frame(.goAway, header: try HelloCoding.encoded(message))
    }

    static func authResult(_ status: Sluice_Status? = nil) throws -> Frame {
        var result = Sluice_AuthResult()
        if let status { result.status = status }
        return Frame(.auth, header: try HelloCoding.encoded(result))
    }

    static func health(_ serving: Bool) throws -> ByteBuffer {
        var health = Sluice_HealthStatus()
        health.serving = serving
        return try HelloCoding.encoded(health)
    }

    /// A ModelInferResponse that gives the inputs of a ModelInferRequest back as outputs.
    static func echo(_ request: ByteBuffer) throws -> ByteBuffer {
        let request = try Inference_ModelInferRequest(serializedBytes: request.array)
        var response = Inference_ModelInferResponse()
        response.modelName = request.modelName
        response.modelVersion = "7"
        response.outputs = request.inputs.map { input in
            var output = Inference_ModelInferResponse.InferOutputTensor()
            output.name = input.name
            output.datatype = input.datatype
            output.shape = input.shape
            return output
        }
        response.rawOutputContents = request.rawInputContents
        return try HelloCoding.encoded(response)
    }
}
