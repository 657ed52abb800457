// Server-sent events (WHATWG HTML, section 9.2): one request, many small answers, with an explicit end or error.

package import Contract
package import NIOCore
import NIOHTTP1

/// A stream of events over one exchange. Used on its event loop only.
///
/// Events are `progress`, `message`, `end` and `error`; the data of each is JSON. A stream without `end` or `error` was cut.
package final class EventStream {
    package static let mediaType = "text/event-stream"
    /// Silence that a proxy on the way may take for death.
    package static let keepAlive = TimeAmount.seconds(15)
    /// Progress is for people: while this much waits to be read, it is left out.
    package static let progressBacklogMax = 16 << 10

    private let exchange: HTTPExchange
    private var pulse: Scheduled<Void>?
    private var isOver = false

    /// Writes the head of the answer.
    package init(_ exchange: HTTPExchange, fields: [(name: String, value: String)] = []) {
        self.exchange = exchange
        exchange.start(
            HTTPAnswer(
                status: .ok, contentType: EventStream.mediaType + "; charset=utf-8",
                fields: fields, body: ByteBuffer()))
        beat()
    }

    /// False when nobody reads any more.
    package var isOpen: Bool { !isOver && exchange.isOpen }

    /// How far something has come; may be left out for a caller who reads slowly.
    package func progress(_ json: ByteBuffer) {
        guard isOpen, exchange.backlog <= EventStream.progressBacklogMax else { return }
        exchange.send(EventStream.event("progress", json))
    }

    /// What was asked for, or a part of it. When it cannot be taken in, the stream breaks off.
    package func message(_ json: ByteBuffer) {
        guard isOpen else { return }
        if !exchange.send(EventStream.event("message", json)) { breakOff() }
    }

    /// The stream is whole.
    ///
    /// - Parameter json: why it ended, when that says something.
    package func end(_ json: ByteBuffer = ByteBuffer(string: "{}")) {
        finish(EventStream.event("end", json))
    }

    /// The last event: what ``HTTPAnswer/failure(_:)`` says, its Retry-After too.
    package func fail(_ failure: CallFailure) {
        finish(EventStream.event("error", HTTPAnswer.event(of: failure)))
    }

    /// The caller has gone: nothing is written any more.
    package func stop() {
        isOver = true
        pulse?.cancel()
        pulse = nil
    }

    private func finish(_ event: ByteBuffer) {
        guard isOpen else { return stop() }
        stop()
        if exchange.send(event) { exchange.end() } else { exchange.breakOff() }
    }

    private func breakOff() {
        stop()
        exchange.breakOff()
    }

    /// A comment now and then, so that the way stays open and a caller who has gone is noticed.
    private func beat() {
        guard isOpen else { return }
        pulse = exchange.eventLoop.assumeIsolated().scheduleTask(in: EventStream.keepAlive) {
            [weak self] in
            guard let self, isOpen else { return }
            if exchange.backlog == 0 { exchange.send(ByteBuffer(string: ":\n\n")) }
            beat()
        }
    }

    /// One event. Whatever ends a line in the data begins another `data` line: nothing in it can end the event.
    package static func event(_ name: StaticString, _ json: ByteBuffer) -> ByteBuffer {
        var event = ByteBuffer()
        event.reserveCapacity(json.readableBytes + 32)
        event.writeStaticString("event: ")
        event.writeStaticString(name)
        event.writeStaticString("\n")
        var rest = json
        // One line feed at the end ends the text, not a line of it.
        let view = rest.readableBytesView
        if view.last == lineFeed {
            rest = rest.getSlice(at: rest.readerIndex, length: view.count - 1) ?? rest
        }
        repeat {
            event.writeStaticString("data: ")
            let bytes = rest.readableBytesView
            let end = bytes.firstIndex { $0 == lineFeed || $0 == carriageReturn } ?? bytes.endIndex
            event.writeBytes(bytes[..<end])
            event.writeStaticString("\n")
            guard end < bytes.endIndex else { break }
            rest.moveReaderIndex(forwardBy: end - bytes.startIndex + 1)
            if bytes[end] == carriageReturn, rest.readableBytesView.first == lineFeed {
                rest.moveReaderIndex(forwardBy: 1)
            }
        } while true
        event.writeStaticString("\n")
        return event
    }

    private static let lineFeed = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")
}

@available(*, unavailable) extension EventStream: Sendable {}
