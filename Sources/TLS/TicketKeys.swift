// The keys that session tickets are sealed with: shared by the contexts of one listener, rotated each hour; by their file
// also shared by several processes.

private import COpenSSL
private import Synchronization

/// Ticket keys for several contexts. A ticket of one is good at the others; a new `TicketKeys` (as a reload with other
/// authorities makes) forgets every ticket given out before.
///
/// May be used from any thread. The clock is the caller's: see `TLSServerContext`.
package final class TicketKeys: Sendable {
    /// A key's name travels in the ticket in clear (RFC 5077 section 4). Prints its name alone.
    package struct Key: Sendable, Equatable, CustomStringConvertible {
        package let name: [UInt8]
        let aes: [UInt8]
        let hmac: [UInt8]
        package let madeAt: Int64

        package init(madeAt: Int64) {
            self.init(
                madeAt: madeAt, name: Cryptography.randomBytes(16),
                aes: Cryptography.randomBytes(32), hmac: Cryptography.randomBytes(32))
        }

        init(madeAt: Int64, name: [UInt8], aes: [UInt8], hmac: [UInt8]) {
            self.madeAt = madeAt
            self.name = name
            self.aes = aes
            self.hmac = hmac
        }

        package var description: String { "ticket key " + Cryptography.hex(name) }
    }

    /// Keys that are kept at most: those of two lifetimes, and more when clocks jump.
    static let keysMax = 8

    /// The current one first; never empty.
    private let ring: Mutex<[Key]>
    private let lifetimeSeconds: Int64
    private let rotates: Bool

    /// - Parameter lifetimeSeconds: how long a key seals tickets; it opens them for as long again.
    package init(lifetimeSeconds: Int = 3_600, now: Int64 = TicketKeys.clock()) {
        self.lifetimeSeconds = Int64(lifetimeSeconds)
        rotates = true
        ring = Mutex([Key(madeAt: now)])
    }

    /// Keys that come from a file, the current one first, and are replaced by ``adopt(_:)`` alone.
    /// - Parameter keys: at least one.
    package init(shared keys: [Key], lifetimeSeconds: Int = 3_600) {
        precondition(!keys.isEmpty, "at least one key")
        self.lifetimeSeconds = Int64(lifetimeSeconds)
        rotates = false
        ring = Mutex(Array(keys.prefix(Self.keysMax)))
    }

    /// Seconds of the system's clock.
    package static func clock() -> Int64 { Int64(time(nil)) }

    /// Takes the keys that a file has now; none changes nothing.
    package func adopt(_ keys: [Key]) {
        guard !keys.isEmpty else { return }
        ring.withLock { $0 = Array(keys.prefix(Self.keysMax)) }
    }

    /// The key to seal a new ticket with; makes a new one when the current one is old (or the clock went back).
    package func sealing(now: Int64) -> Key {
        ring.withLock { ring in
            rotate(&ring, now: now)
            return ring[0]
        }
    }

    /// The key that a ticket names, and whether the ticket should be renewed; nil when it is not known (any more).
    package func opening(name: [UInt8], now: Int64) -> (key: Key, renew: Bool)? {
        ring.withLock { ring in
            rotate(&ring, now: now)
            guard let place = ring.firstIndex(where: { $0.name == name }),
                now - ring[place].madeAt < 2 * lifetimeSeconds
            else { return nil }
            return (ring[place], place > 0)
        }
    }

    private func rotate(_ ring: inout [Key], now: Int64) {
        let age = now - ring[0].madeAt
        guard rotates, age >= lifetimeSeconds || age < 0 else { return }
        let fresh = age >= 0 && age < 2 * lifetimeSeconds
        ring = fresh ? [Key(madeAt: now), ring[0]] : [Key(madeAt: now)]
    }
}

/// OpenSSL asks for the keys of a ticket (SSL_CTX_set_tlsext_ticket_key_evp_cb): 1 good, 2 good but renew,
/// 0 unknown, -1 failure.
@unsafe func ticketKeyCallback(
    ssl: OpaquePointer?, name: UnsafeMutablePointer<UInt8>?, iv: UnsafeMutablePointer<UInt8>?,
    cipher: OpaquePointer?, mac: OpaquePointer?, encrypt: Int32
) -> Int32 {
    guard let context = unsafe TLSServerContext.of(ssl), let name = unsafe name,
        let iv = unsafe iv
    else { return -1 }
    let now = TicketKeys.clock()
    let key: TicketKeys.Key
    var answer: Int32 = 1
    if encrypt == 1 {
        key = context.ticketKeys.sealing(now: now)
        guard unsafe RAND_bytes(iv, 16) == 1 else { return -1 }
        for index in 0..<16 { unsafe name[index] = key.name[index] }
    } else {
        let asked = unsafe [UInt8](UnsafeBufferPointer(start: name, count: 16))
        guard let found = context.ticketKeys.opening(name: asked, now: now) else { return 0 }
        key = found.key
        answer = found.renew ? 2 : 1
    }
    var hmac = key.hmac
    let ready = unsafe key.aes.withUnsafeBufferPointer { aes in
        unsafe hmac.withUnsafeMutableBufferPointer { hmac in
            unsafe COpenSSL_ticket_keys(
                cipher, mac, aes.baseAddress, hmac.baseAddress, iv, encrypt)
        }
    }
    return ready == 1 ? answer : -1
}
