// What a load generator does: how many connections, how many calls at a time, at which rate, for how long.

import NIOCore
import SluiceMessages
import SluiceWire
import SwiftProtobuf

/// One run of `sluice bench`.
struct LoadPlan: Sendable {
    var connections = 8
    /// Calls open at a time on each connection. In an open loop: the most there may be.
    var inFlight = 32
    /// Calls a second over all connections, or nil for a closed loop: each answer starts the next call.
    var rate: Double?
    var warmUp = TimeAmount.seconds(2)
    var duration = TimeAmount.seconds(10)
    /// How long the generator waits for the last answers.
    var patience = TimeAmount.seconds(10)
    /// The frames of one call, with call id 0, to be patched.
    var call: CallTemplate
    /// A small call that is always open beside the others, one a connection; measured apart.
    var companion: CallTemplate?
    var hello: ByteBuffer
}

/// The bytes of one call, encoded once: only the id differs from call to call.
struct CallTemplate: Sendable {
    private let bytes: ByteBuffer
    /// Where each frame begins.
    private let starts: [Int]

    /// - Parameters:
    ///   - model, version: the call header's.
    ///   - message: an encoded `inference.ModelInferRequest`.
    ///   - frameBytes: `max_frame`; a longer message is cut.
    init(model: String, version: String, message: ByteBuffer, frameBytes: Int) throws {
        var header = Sluice_CallHeader()
        header.method = .infer
        header.model = model
        header.modelVersion = version
        header.messageLength = UInt64(message.readableBytes)
        let headerBytes: [UInt8] = try header.serializedBytes()
        var splitter = MessageSplitter(
            .call, call: 0, header: ByteBuffer(bytes: headerBytes), payload: message, ends: true)
        var bytes = ByteBuffer()
        var starts: [Int] = []
        while let frame = splitter.next(bodyMax: frameBytes) {
            starts.append(bytes.writerIndex)
            bytes.writeFrame(frame)
        }
        self.bytes = bytes
        self.starts = starts
    }

    var byteCount: Int { bytes.readableBytes }

    var frameCount: Int { starts.count }

    /// Appends one frame of the call.
    func write(frame: Int, of call: UInt32, into buffer: inout ByteBuffer) {
        let end = frame + 1 < starts.count ? starts[frame + 1] : bytes.writerIndex
        guard let frame = bytes.getSlice(at: starts[frame], length: end - starts[frame]) else {
            preconditionFailure("a frame lies whole in its template")
        }
        let start = buffer.writerIndex
        buffer.writeImmutableBuffer(frame)
        // The call's id stands behind length, type, flags and header length.
        buffer.setInteger(call, at: start + 8)
    }
}
