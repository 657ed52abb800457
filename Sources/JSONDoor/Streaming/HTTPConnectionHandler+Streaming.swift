// An answer that is written piece by piece: its head, its chunks, its end.

import NIOCore
import NIOHTTP1

/// An answer whose head is written.
struct Streamed {
    var status: UInt
    var isChunked: Bool
    /// Of the pieces so far.
    var byteCount = 0
}

extension HTTPConnectionHandler {
    func start(_ head: HTTPAnswer, of exchange: HTTPExchange) {
        guard exchange === self.exchange, let context else { return }
        if !isReading { now = clock(context) }
        let isChunked = request?.version != .http1_0
        machine.stream(untilClose: !isChunked)
        let isLast = machine.answer(closes: head.closes)
        writeHead(head, length: isChunked ? .chunked : .untilClose, isLast: isLast)
        streamed = Streamed(status: head.status.code, isChunked: isChunked)
        guard !isHead else {
            // The head is all that was asked for.
            streamed?.isChunked = false
            exchange.cancel()
            finishStream(isWhole: true)
            pump()
            return settle()
        }
        append(piece: head.body)
        settle()
    }

    func send(_ piece: ByteBuffer, of exchange: HTTPExchange) -> Bool {
        guard exchange === self.exchange, streamed != nil, let context,
            out.byteCount <= front.limits.streamBytes
        else { return false }
        if !isReading { now = clock(context) }
        append(piece: piece)
        settle()
        return true
    }

    /// - Parameter isWhole: false: the caller must see that something is missing.
    func endStream(of exchange: HTTPExchange, isWhole: Bool) {
        guard exchange === self.exchange, let context else { return }
        if !isReading { now = clock(context) }
        finishStream(isWhole: isWhole)
        pump()
        settle()
    }

    func finishStream(isWhole: Bool) {
        guard let streamed else { return }
        if !isWhole {
            machine.makeLast()
        } else if streamed.isChunked {
            out.write { $0.writeStaticString("0\r\n\r\n") }
        }
        noteAnswer(status: streamed.status, bytesOut: streamed.byteCount)
        forgetRequest()
    }

    private func append(piece: ByteBuffer) {
        streamed?.byteCount += piece.readableBytes
        if streamed?.isChunked == true {
            AnswerWriting.writeChunk(piece, into: &out)
        } else {
            out.append(piece)
        }
    }
}
