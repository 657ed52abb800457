// The ends of a connection: close_notify both ways, truncation, forgery, and handlers that are taken away.

import COpenSSL
import NIOCore
import NIOEmbedded
import TLS
import Testing

@Suite struct ClosingTests {
    private func opened(
        _ version: Int32 = TLS1_3_VERSION,
        settings: TLSConnectionSettings = TLSConnectionSettings()
    ) throws -> Pair {
        let pair = try Pair(ClientOptions(maximumVersion: version), settings: settings)
        try pair.handshake()
        pair.recorder.log = []
        return pair
    }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func `the client's close_notify is answered and closes`(version: Int32) throws {
        let pair = try opened(version)
        try pair.client.send([1])
        pair.client.sayCloseNotify()
        pair.toServer(pair.client.take())
        #expect(pair.recorder.log == ["read 1", "inputClosed", "inactive"])
        _ = try pair.read()
        #expect(pair.client.finished)
        #expect(pair.recorder.errors.isEmpty)
    }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func `our close says close_notify after what was flushed`(version: Int32) throws {
        let pair = try opened(version)
        let sent = pair.write(pattern(50_000))
        let closed = pair.channel.close()
        try sent.wait()
        try closed.wait()
        #expect(try pair.read() == pattern(50_000))
        #expect(pair.client.finished)
        #expect(pair.recorder.log == ["inactive"])
    }

    @Test func `a missing close_notify is an error before the end`() throws {
        let pair = try opened()
        try pair.client.send([1, 2])
        pair.toServer(pair.client.take())
        let lost = pair.write([1], flush: false)
        pair.channel.pipeline.fireChannelInactive()
        #expect(pair.recorder.log == ["read 2", "error truncated", "inactive"])
        #expect(throws: ChannelError.ioOnClosedChannel) { try lost.wait() }
    }

    @Test func `the end of the socket's input alone is truncation too`() throws {
        let pair = try opened()
        pair.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(pair.recorder.log == ["error truncated", "inactive"])
    }

    @Test func `half a record at the end is truncation`() throws {
        let pair = try opened()
        try pair.client.send(pattern(100))
        pair.toServer(Array(pair.client.take().dropLast()))
        pair.channel.pipeline.fireChannelInactive()
        #expect(pair.recorder.log == ["error truncated", "inactive"])
        #expect(pair.recorder.bytes.isEmpty)
    }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func `a forged record is an error with an alert`(version: Int32) throws {
        let pair = try opened(version)
        try pair.client.send([1])
        try pair.client.send([2])
        var records = pair.client.take()
        records[records.count - 1] ^= 1
        pair.toServer(records)
        // What came whole before it is passed on.
        #expect(pair.recorder.log == ["read 1", "error session", "inactive"])
        pair.client.receive(try pair.fromServer())
        let failure = #expect(throws: ClientFailure.self) { try pair.client.read() }
        #expect(failure?.reason == SSL_R_SSLV3_ALERT_BAD_RECORD_MAC)
    }

    @Test func `bytes behind close_notify are not read`() throws {
        let pair = try opened()
        pair.client.sayCloseNotify()
        pair.toServer(pair.client.take() + pattern(500))
        #expect(pair.recorder.log == ["inputClosed", "inactive"])
    }

    // MARK: Half closure

    @Test func `with half closure the pipeline writes on`() throws {
        var settings = TLSConnectionSettings()
        settings.allowHalfClosure = true
        let pair = try opened(settings: settings)
        try pair.client.send([1])
        pair.client.sayCloseNotify()
        pair.toServer(pair.client.take())
        #expect(pair.recorder.log == ["read 1", "inputClosed"])
        pair.write([7, 8])
        #expect(pair.channel.isActive)
        try pair.channel.close(mode: .output).wait()
        #expect(pair.recorder.log == ["read 1", "inputClosed", "inactive"])
        // OpenSSL's client reads no more after its own close_notify; its peer's bytes were sent.
        #expect(pair.watch.writes.suffix(2).allSatisfy { $0 > 0 })
    }

    @Test func `after our half the pipeline reads on`() throws {
        let pair = try opened()
        pair.write([5])
        try pair.channel.close(mode: .output).wait()
        #expect(try pair.read() == [5])
        #expect(pair.client.finished)
        #expect(throws: ChannelError.outputClosed) { try pair.write([6]).wait() }
        #expect(throws: ChannelError.outputClosed) { try pair.channel.close(mode: .output).wait() }
        try pair.client.send([1, 2])
        pair.toServer(pair.client.take())
        #expect(pair.recorder.log == ["read 2"])
        pair.client.sayCloseNotify()
        pair.toServer(pair.client.take())
        #expect(pair.recorder.log == ["read 2", "inputClosed", "inactive"])
    }

    // MARK: At odd times

    @Test func `a close during the handshake closes at once`() throws {
        let pair = try Pair()
        _ = try pair.client.handshake()
        pair.toServer(pair.client.take())
        let held = pair.write([1])
        try pair.channel.close().wait()
        #expect(throws: ChannelError.ioOnClosedChannel) { try held.wait() }
        #expect(pair.recorder.log == ["inactive"])
    }

    @Test func `a close from within the completed event is in order`() throws {
        let pair = try Pair()
        pair.recorder.onCompleted = { context in
            context.writeAndFlush(NIOAny(ByteBuffer(string: "bye")), promise: nil)
            context.close(promise: nil)
        }
        var done = false
        while !done {
            done = try pair.client.handshake()
            try pair.shuttle()
        }
        #expect(try pair.read() == Array("bye".utf8))
        #expect(pair.client.finished)
        #expect(pair.recorder.log == ["completed", "inactive"])
    }

    @Test func `two closes are both answered`() throws {
        let pair = try opened()
        let first = pair.channel.close()
        let second = pair.channel.close()
        try first.wait()
        #expect(throws: ChannelError.alreadyClosed) { try second.wait() }
    }

    @Test func `a handler taken away lets nothing hang`() throws {
        let pair = try Pair()
        _ = try pair.client.handshake()
        pair.toServer(pair.client.take())
        let held = pair.write([1])
        let sync = pair.channel.pipeline.syncOperations
        let context = try sync.context(handlerType: TLSServerHandler.self)
        sync.removeHandler(context: context, promise: nil)
        pair.channel.embeddedEventLoop.run()
        #expect(throws: ChannelError.ioOnClosedChannel) { try held.wait() }
        pair.channel.embeddedEventLoop.advanceTime(by: .seconds(60))
        #expect(pair.recorder.errors.isEmpty)
    }

    @Test func `nothing is left of a closed connection`() throws {
        weak var handler: TLSServerHandler?
        weak var owner: TLSServerContext?
        do {
            let context = try TLSServerContext(Fixtures.settings())
            owner = context
            let pair = try Pair(context: context)
            handler = try pair.channel.pipeline.syncOperations.handler(type: TLSServerHandler.self)
            try pair.handshake()
            pair.write(pattern(100))
            try pair.channel.close().wait()
            pair.channel.embeddedEventLoop.run()
        }
        #expect(handler == nil)
        #expect(owner == nil)
    }
}
