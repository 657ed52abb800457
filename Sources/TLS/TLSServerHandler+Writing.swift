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
                try seal(&bytes)
            } catch {
                fail(error, context)
            }
            givePieces(context)
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

    /// Seals every full record of what was gathered and `bytes`; the rest is gathered. Calls nobody: whoever
    /// writes again from a call of ours finds everything in order.
    private func seal(_ bytes: inout ByteBuffer) throws(TLSError) {
        let record = TLSSession.recordBytes
        let held = gathered.readableBytes
        guard held + bytes.readableBytes >= record else {
            gather(&bytes)
            return
        }
        if held > 0 {
            if var head = bytes.readSlice(length: record - held) { gather(&head) }
            makeRoom(record, expecting: record + bytes.readableBytes)
            try session.seal(record, of: &gathered, into: &sealed)
            emptyGathered()
        }
        while bytes.readableBytes >= record {
            makeRoom(record, expecting: bytes.readableBytes)
            try session.seal(record, of: &bytes, into: &sealed)
        }
        gather(&bytes)
    }

    /// Seals all that was gathered, the last record short. False when that failed and the connection is ending.
    func sealGathered(_ context: ChannelHandlerContext) -> Bool {
        guard gathered.readableBytes > 0, !outputFinished else { return true }
        do {
            while gathered.readableBytes > 0 {
                let count = min(gathered.readableBytes, TLSSession.recordBytes)
                makeRoom(count, expecting: gathered.readableBytes)
                try session.seal(count, of: &gathered, into: &sealed)
            }
        } catch {
            fail(error, context)
            return false
        }
        emptyGathered()
        return true
    }

    private func gather(_ bytes: inout ByteBuffer) {
        let count = gathered.readableBytes + bytes.readableBytes
        guard bytes.readableBytes > 0 else { return }
        if count > gathered.capacity {
            // Grows in three steps, not by doubling from nothing.
            let small = Self.keptBytesMax
            gathered.reserveCapacity(
                count <= small
                    ? small : count <= 4 * small ? 4 * small : max(count, TLSSession.recordBytes))
        }
        gathered.writeBuffer(&bytes)
    }

    private func emptyGathered() {
        if gathered.capacity > Self.keptBytesMax {
            gathered = ByteBuffer()
        } else {
            gathered.clear()
        }
    }

    /// Makes room for a record of `count` bytes, of `expecting` in all. Full pieces queue for the channel, so
    /// that its writability counts them and no buffer grows by copying.
    private func makeRoom(_ count: Int, expecting: Int) {
        let needed = count + TLSSession.recordOverheadBytes
        if sealed.readableBytes > 0, sealed.readableBytes + needed > Self.pieceBytes {
            pieces.append(Piece(bytes: takeSealed(), promise: nil, flush: false))
        }
        if sealed.readableBytes == 0 {
            let ahead = min(expecting, Self.pieceRecords * TLSSession.recordBytes)
            let records = (ahead + TLSSession.recordBytes - 1) / TLSSession.recordBytes
            prepareSealed(room: ahead + records * TLSSession.recordOverheadBytes)
        }
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
        guard sealed.readableBytes > 0 || promise != nil || !pieces.isEmpty else {
            context.flush()
            return
        }
        send(Piece(bytes: takeSealed(), promise: promise, flush: true), context)
    }

    /// Gives a piece to the channel behind all others.
    func send(_ piece: Piece, _ context: ChannelHandlerContext) {
        guard !pieces.isEmpty else {
            give(piece, context)
            return
        }
        pieces.append(piece)
        givePieces(context)
    }

    /// Gives what has queued. The channel may call the pipeline from within, and the pipeline may write and flush
    /// again: that call finds the pieces that are still ahead of its own, gives them first, and leaves none to
    /// the outer call. So the channel counts every byte at once, and its writability is true.
    private func givePieces(_ context: ChannelHandlerContext) {
        while piecesGiven < pieces.count {
            let piece = pieces[piecesGiven]
            pieces[piecesGiven].bytes = ByteBuffer()
            piecesGiven += 1
            if piecesGiven == pieces.count {
                pieces = []
                piecesGiven = 0
            }
            give(piece, context)
        }
    }

    private func give(_ piece: Piece, _ context: ChannelHandlerContext) {
        if piece.flush {
            context.writeAndFlush(wrapOutboundOut(piece.bytes), promise: piece.promise)
        } else {
            context.write(wrapOutboundOut(piece.bytes), promise: piece.promise)
        }
    }
}
