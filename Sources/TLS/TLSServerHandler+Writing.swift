// The handler's way out: writes gather to full records, a flush sends what is there in one write to the channel.

package import NIOCore

extension TLSServerHandler {
    package func write(
        context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?
    ) {
        var bytes = unwrapOutboundIn(data)
        switch phase {
        case .handshaking:
            let count = gathered.readableBytes + bytes.readableBytes
            guard count <= settings.heldBytesMax else {
                promise?.fail(
                    TLSError(
                        .heldWrites,
                        "\(count) bytes written before the handshake was done; the limit is "
                            + "\(settings.heldBytesMax) (heldBytesMax)"))
                return
            }
            gathered.writeBuffer(&bytes)
            wait(promise)
        case .open where !outputFinished:
            wait(promise)
            do {
                try seal(&bytes, context)
            } catch {
                fail(error, context)
            }
        case .open:
            promise?.fail(ChannelError.outputClosed)
        case .leaving, .gone:
            promise?.fail(ChannelError.ioOnClosedChannel)
        }
    }

    package func flush(context: ChannelHandlerContext) {
        switch phase {
        case .handshaking:
            flushHeld = true
        case .open:
            guard sealGathered(context) else { return }
            sendSealed(context)
        case .leaving, .gone:
            context.flush()
        }
    }

    /// One write to the channel stands for many of the pipeline's: the first promise goes with it and the others
    /// follow the first.
    private func wait(_ promise: EventLoopPromise<Void>?) {
        guard let promise else { return }
        if let waiting {
            waiting.futureResult.cascade(to: promise)
        } else {
            waiting = promise
        }
    }

    func failWaiting(_ error: any Error) {
        let promise = waiting
        waiting = nil
        promise?.fail(error)
    }

    /// Seals every full record of what was gathered and `bytes`; the rest is gathered.
    private func seal(
        _ bytes: inout ByteBuffer, _ context: ChannelHandlerContext
    ) throws(TLSError) {
        let record = TLSSession.recordBytes
        let held = gathered.readableBytes
        guard held + bytes.readableBytes >= record else {
            gather(&bytes)
            return
        }
        if held > 0 {
            if var head = bytes.readSlice(length: record - held) { gathered.writeBuffer(&head) }
            try sealRecord(of: &gathered, record, expecting: record + bytes.readableBytes, context)
            emptyGathered()
        }
        while bytes.readableBytes >= record {
            try sealRecord(of: &bytes, record, expecting: bytes.readableBytes, context)
        }
        gather(&bytes)
    }

    private func gather(_ bytes: inout ByteBuffer) {
        guard bytes.readableBytes > 0 else { return }
        gathered.writeBuffer(&bytes)
    }

    private func emptyGathered() {
        if gathered.capacity > Self.keptBytesMax {
            gathered = ByteBuffer()
        } else {
            gathered.clear()
        }
    }

    /// Seals one record. Sealed bytes beyond a piece go to the channel unflushed, so that its writability counts
    /// them and no buffer grows by copying.
    private func sealRecord(
        of bytes: inout ByteBuffer, _ count: Int, expecting: Int, _ context: ChannelHandlerContext
    ) throws(TLSError) {
        let needed = count + TLSSession.recordOverheadBytes
        if sealed.readableBytes > 0, sealed.readableBytes + needed > Self.pieceBytes {
            let piece = takeSealed()
            context.write(wrapOutboundOut(piece), promise: nil)
        }
        if sealed.readableBytes == 0 {
            let records = min(
                (expecting + TLSSession.recordBytes - 1) / TLSSession.recordBytes,
                Self.pieceRecords)
            let ahead = min(expecting, Self.pieceRecords * TLSSession.recordBytes)
            prepareSealed(room: ahead + records * TLSSession.recordOverheadBytes)
        }
        try session.seal(count, of: &bytes, into: &sealed)
    }

    /// Seals all that was gathered, the last record short. False when that failed and the connection is ending.
    func sealGathered(_ context: ChannelHandlerContext) -> Bool {
        guard gathered.readableBytes > 0, !outputFinished else { return true }
        do {
            while gathered.readableBytes > 0 {
                let count = min(gathered.readableBytes, TLSSession.recordBytes)
                try sealRecord(
                    of: &gathered, count, expecting: gathered.readableBytes, context)
            }
        } catch {
            fail(error, context)
            return false
        }
        emptyGathered()
        return true
    }

    /// Makes `sealed` ready to be appended to, without copying what the channel may still hold of it.
    func prepareSealed(room: Int) {
        guard sealed.readableBytes == 0 else { return }
        if room > sealed.capacity || sealed.capacity > max(room, Self.keptBytesMax) {
            sealed = ByteBuffer()
        }
        sealed.clear(minimumCapacity: room)
    }

    /// Takes the sealed bytes out. The storage stays for the next ones, if the channel lets go of it.
    private func takeSealed() -> ByteBuffer {
        let taken = sealed
        if sealed.capacity > Self.keptBytesMax {
            sealed = ByteBuffer()
        } else {
            sealed.moveReaderIndex(to: sealed.writerIndex)
        }
        return taken
    }

    /// Sends the sealed bytes, and everything before them, in one write and flush.
    func sendSealed(_ context: ChannelHandlerContext) {
        // Promises of bytes that are still gathered wait on.
        let promise = gathered.readableBytes == 0 ? waiting : nil
        if promise != nil { waiting = nil }
        guard sealed.readableBytes > 0 || promise != nil else {
            context.flush()
            return
        }
        let bytes = takeSealed()
        context.writeAndFlush(wrapOutboundOut(bytes), promise: promise)
    }
}
