// Compressed bodies of the bridge.

import Compression
import Contract
import NIOCore
import NIOHTTP1
import Synchronization

/// A request's body being inflated. What it may become is bounded by `limits.message`, and by 200 times what came once it is
/// more than 4 MiB: a bomb costs its sender's own bytes' worth of work.
enum Inflation {
    /// About 1 ms of work.
    static let pieceBytes = 256 << 10

    /// The whole body, or nil when that is more than one piece.
    static func short(
        _ body: ByteBuffer, _ coding: ContentCoding, _ limits: Limits
    ) throws(CallFailure) -> ByteBuffer? {
        guard body.readableBytes <= pieceBytes else { return nil }
        return try inflate(body, coding, limits, pieces: 1)
    }

    /// The whole body, or nil when nobody wants it any more.
    static func long(
        _ body: ByteBuffer, _ coding: ContentCoding, _ limits: Limits, unless gone: Farewell
    ) -> Result<ByteBuffer?, CallFailure> {
        do throws(CallFailure) {
            return .success(try inflate(body, coding, limits, pieces: .max, unless: gone))
        } catch {
            return .failure(error)
        }
    }

    private static func inflate(
        _ body: ByteBuffer, _ coding: ContentCoding, _ limits: Limits, pieces: Int,
        unless gone: Farewell? = nil
    ) throws(CallFailure) -> ByteBuffer? {
        var input = body
        var output = ByteBuffer()
        let most = Inflater.bytesMax(compressed: body.readableBytes, most: limits.messageBytes)
        do throws(CompressionFault) {
            var inflater = try Inflater(coding, bytesMax: most)
            var done = 0
            while done < pieces, gone?.isSaid != true {
                switch try inflater.inflate(&input, into: &output, atMost: pieceBytes) {
                case .more: done += 1
                case .starved: throw .truncated
                case .ended: return output
                }
            }
            return nil
        } catch {
            throw failure(error)
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

/// Said by a caller that leaves, to who works for it on another thread.
final class Farewell: Sendable {
    private let said = Atomic<Bool>(false)

    var isSaid: Bool { said.load(ordering: .relaxed) }
    func say() { said.store(true, ordering: .relaxed) }
}

/// An answer being deflated.
enum Deflation {
    /// Bytes from which on it takes a millisecond or more, at the fastest level.
    static let longBytes = 64 << 10
    /// Smaller answers gain nothing; larger ones would cost more of this machine than they save of the line.
    static let worthwhile = 1 << 10...8 << 20

    /// The coding this answer should have; nil: none.
    static func coding(for answer: HTTPAnswer, _ request: HTTPRequest) -> ContentCoding? {
        guard let field = request.field(.acceptEncoding), worthwhile.contains(answer.byteCount)
        else { return nil }
        return ContentCoding.preferred(
            by: request.repeats(.acceptEncoding)
                ? request.head.headers["accept-encoding"] : [field])
    }

    /// The answer as it goes out; as it is when zlib has no memory.
    static func deflated(_ answer: HTTPAnswer, _ coding: ContentCoding) -> HTTPAnswer {
        guard var deflater = try? Deflater(coding) else { return answer }
        var (answer, output) = (answer, ByteBuffer())
        for piece in [answer.body] + answer.pieces { deflater.add(piece, into: &output) }
        deflater.finish(into: &output)
        answer.body = output
        answer.pieces = []
        answer.fields += [("content-encoding", coding.rawValue), ("vary", "Accept-Encoding")]
        return answer
    }
}

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
