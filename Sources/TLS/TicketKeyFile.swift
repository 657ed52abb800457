// Ticket keys in a file, so that several processes resume each other's sessions. Whoever finds the current key old makes
// the next one, under a lock beside the file.

/// The file of shared ticket keys: a line that says what it is, then 88 bytes a key, the current one first: the time it was
/// made (8, big-endian, seconds since 1970), name (16), AES key (32), HMAC key (32). Mode 0600.
package struct TicketKeyFile: Sendable {
    package let path: String
    /// How long a key is the current one; it is kept for as long again.
    let lifetimeSeconds: Int64

    static let heading = Array("sluice ticket keys 1\n".utf8)
    static let keyBytes = 88
    /// How far a key may come from the future: clocks of two machines differ.
    static let skewSeconds: Int64 = 60

    package init(_ path: String, lifetimeSeconds: Int = 3_600) {
        self.path = path
        self.lifetimeSeconds = Int64(lifetimeSeconds)
    }

    /// The keys in force. Makes the file when there is none, and a new current key when that one is old. Blocks, while
    /// another process does the same.
    /// - Throws: `TLSError` when the file cannot be used, is malformed, or others than its owner may open it: then it is
    ///   never overwritten.
    package func keys(now: Int64 = TicketKeys.clock()) throws(TLSError) -> [TicketKeys.Key] {
        if let keys = try read(), isFresh(keys, now) { return alive(keys, now) }
        let lock = try FolderLock(path + ".lock")
        defer { lock.release() }
        // Another process may have been quicker.
        let before = try read() ?? []
        if isFresh(before, now) { return alive(before, now) }
        let keys = [TicketKeys.Key(madeAt: now)] + alive(before, now)
        let kept = Array(keys.prefix(TicketKeys.keysMax))
        try StateFiles.replace(path, with: TicketKeyFile.bytes(of: kept), mode: 0o600)
        return kept
    }

    private func isFresh(_ keys: [TicketKeys.Key], _ now: Int64) -> Bool {
        guard let current = keys.first else { return false }
        let age = now - current.madeAt
        return age < lifetimeSeconds && age >= -Self.skewSeconds
    }

    /// Those that may still open a ticket.
    private func alive(_ keys: [TicketKeys.Key], _ now: Int64) -> [TicketKeys.Key] {
        keys.filter {
            now - $0.madeAt < 2 * lifetimeSeconds && now - $0.madeAt >= -Self.skewSeconds
        }
    }

    /// Nil when there is no file.
    private func read() throws(TLSError) -> [TicketKeys.Key]? {
        guard StateFiles.exists(path) else { return nil }
        if let exposure = StateFiles.exposure(of: path) {
            throw TLSError(
                .ticketKeys,
                "the ticket keys \(path) cannot be used: \(exposure); "
                    + "remove the file to have one made, and restart")
        }
        let bytes: [UInt8]
        do throws(FileReason) {
            bytes = try StateFiles.content(of: path, bytesMax: 4_096)
        } catch {
            throw TLSError(
                .ticketKeys, "the ticket keys \(path) cannot be read", reasons: [error.text])
        }
        guard let keys = TicketKeyFile.keys(in: bytes) else {
            throw TLSError(
                .ticketKeys,
                "the ticket keys \(path) are no file of ticket keys; name another file, or "
                    + "remove this one to have it made")
        }
        return keys
    }

    /// Nil when the bytes are no such file.
    static func keys(in bytes: [UInt8]) -> [TicketKeys.Key]? {
        guard bytes.starts(with: heading) else { return nil }
        let body = bytes.dropFirst(heading.count)
        guard !body.isEmpty, body.count % keyBytes == 0,
            body.count / keyBytes <= TicketKeys.keysMax
        else { return nil }
        return stride(from: body.startIndex, to: body.endIndex, by: keyBytes).map { start in
            func part(_ from: Int, _ count: Int) -> [UInt8] {
                Array(body[start + from..<start + from + count])
            }
            let made = part(0, 8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return TicketKeys.Key(
                madeAt: Int64(clamping: made), name: part(8, 16), aes: part(24, 32),
                hmac: part(56, 32))
        }
    }

    static func bytes(of keys: [TicketKeys.Key]) -> [UInt8] {
        keys.reduce(into: heading) { bytes, key in
            let made = UInt64(clamping: key.madeAt)
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: made >> UInt64(shift)))
            }
            bytes += key.name + key.aes + key.hmac
        }
    }
}
