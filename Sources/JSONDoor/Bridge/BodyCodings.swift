// Compressed bodies of the bridge, a bounded piece at a time.

import Compression
import Contract
import NIOCore
import NIOHTTP1

/// A request's body being inflated. What it may become is bounded by `limits.message`, and by 200 times what came once it is
/// more than 4 MiB: a bomb costs its sender's own bytes' worth of work.
final class Inflation {
    /// About 1 ms of work.
    static let pieceBytes = 256 << 10

    private var inflater: Inflater
    private var input: ByteBuffer
    private var output = ByteBuffer()

    init(_ body: ByteBuffer, _ coding: ContentCoding, limits: Limits) throws(CallFailure) {
        input = body
        let most = Inflater.bytesMax(compressed: body.readableBytes, most: limits.messageBytes)
        do throws(CompressionFault) {
            inflater = try Inflater(coding, bytesMax: most)
        } catch {
            throw Inflation.failure(error)
        }
    }

    /// Inflates a piece; the whole body when it was the last.
    func step() throws(CallFailure) -> ByteBuffer? {
        do throws(CompressionFault) {
            switch try inflater.inflate(&input, into: &output, atMost: Inflation.pieceBytes) {
            case .more: return nil
            case .starved: throw .truncated
            case .ended: return output
            }
        } catch {
            throw Inflation.failure(error)
        }
    }

    private static func failure(_ fault: CompressionFault) -> CallFailure {
        func bad(_ what: String) -> CallFailure {
            CallFailure(.invalidArgument, .badMessage, what, notStarted: true)
        }
        return switch fault {
        case .corrupt: bad("the body is not what its Content-Encoding says")
        case .truncated: bad("the compressed body ends too early")
        case .trailing: bad("bytes follow the compressed body's end")
        case .tooLarge(let most):
            CallFailure(
                .resourceExhausted, .messageTooLarge,
                "the body is more than \(most) bytes when it is inflated (limits.message, and 200 times "
                    + "the compressed body beyond 4 MiB)", notStarted: true)
        case .memory:
            CallFailure(
                .unavailable, .none, "there is no memory to inflate the body", notStarted: true,
                retryAfter: .seconds(1))
        }
    }
}

@available(*, unavailable) extension Inflation: Sendable {}

/// An answer being deflated.
final class Deflation {
    /// About 1 ms of work at the fastest level.
    static let pieceBytes = 64 << 10
    /// Smaller answers gain nothing; larger ones would cost more of this machine than they save of the line.
    static let worthwhile = 1 << 10...8 << 20

    private var deflater: Deflater
    private var answer: HTTPAnswer
    private let coding: ContentCoding
    private var left: CircularBuffer<ByteBuffer>
    private var output = ByteBuffer()

    /// nil when zlib has no memory: the answer goes as it is.
    init?(_ answer: HTTPAnswer, _ coding: ContentCoding) {
        guard let deflater = try? Deflater(coding) else { return nil }
        self.deflater = deflater
        self.answer = answer
        self.coding = coding
        left = CircularBuffer([answer.body] + answer.pieces)
    }

    /// The coding this answer should have; nil: none.
    static func coding(for answer: HTTPAnswer, _ request: HTTPRequest) -> ContentCoding? {
        guard let field = request.field(.acceptEncoding), worthwhile.contains(answer.byteCount)
        else { return nil }
        return ContentCoding.preferred(
            by: request.repeats(.acceptEncoding)
                ? request.head.headers["accept-encoding"] : [field])
    }

    /// Deflates a piece; the whole answer when it was the last.
    func step() -> HTTPAnswer? {
        var room = Deflation.pieceBytes
        while room > 0, !left.isEmpty {
            let first = left.startIndex
            if let piece = left[first].readSlice(length: min(room, left[first].readableBytes)) {
                deflater.add(piece, into: &output)
                room -= piece.readableBytes
            }
            if left[first].readableBytes == 0 { left.removeFirst() }
        }
        guard left.isEmpty else { return nil }
        deflater.finish(into: &output)
        answer.body = output
        answer.pieces = []
        answer.fields += [("content-encoding", coding.rawValue), ("vary", "Accept-Encoding")]
        return answer
    }
}

@available(*, unavailable) extension Deflation: Sendable {}

extension HTTPRequest {
    /// How the body is compressed; the connection has refused what the route does not take.
    var contentCoding: ContentCoding? {
        field(.contentEncoding).flatMap { ContentCoding(name: $0) }
    }

    /// `Inference-Header-Content-Length`: bytes of the JSON before the tensors', uncompressed (OIP 4.1); nil when the request
    /// has none and is all JSON.
    func tensorHeaderLength() throws(CallFailure) -> Int? {
        guard let text = field(.inferenceHeaderLength) else { return nil }
        guard !repeats(.inferenceHeaderLength), !text.isEmpty, text.utf8.count <= 18,
            text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(text)
        else {
            throw CallFailure(
                .invalidArgument, .badMessage,
                "Inference-Header-Content-Length must be one number of bytes, not below 0",
                notStarted: true)
        }
        // Nobody means a tensor's bytes by that: a client whose header is wrong is told, instead of being run on its text.
        guard length > 0 || mediaType != HTTPAnswer.json else {
            throw CallFailure(
                .invalidArgument, .badMessage,
                "Inference-Header-Content-Length 0 announces a raw tensor, whose type is "
                    + "application/octet-stream, not application/json", notStarted: true)
        }
        // A chunked or a compressed body is counted when it is there.
        if contentCoding == nil, case .length(let whole) = announced, length > whole {
            throw CallFailure(
                .invalidArgument, .badMessage,
                "Inference-Header-Content-Length is \(length), the body has \(whole) bytes",
                notStarted: true)
        }
        return length
    }
}
