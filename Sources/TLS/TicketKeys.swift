// The keys that session tickets are sealed with: shared by the contexts of one listener, rotated each hour.

private import COpenSSL
private import Synchronization

/// Ticket keys for several contexts. A ticket of one is good at the others; a new `TicketKeys` (as each reload
/// makes) forgets every ticket given out before.
///
/// May be used from any thread. The clock is the caller's: see `TLSServerContext`.
package final class TicketKeys: Sendable {
    /// A key's name travels in the ticket in clear (RFC 5077 section 4).
    package struct Key: Sendable {
        package let name = Cryptography.randomBytes(16)
        let aes = Cryptography.randomBytes(32)
        let hmac = Cryptography.randomBytes(32)
        let madeAt: Int64
    }

    private struct Ring {
        var current: Key
        var previous: Key?
    }

    private let ring: Mutex<Ring>
    private let lifetimeSeconds: Int64

    /// - Parameter lifetimeSeconds: how long a key seals tickets; it opens them for as long again.
    package init(lifetimeSeconds: Int = 3_600, now: Int64 = TicketKeys.clock()) {
        self.lifetimeSeconds = Int64(lifetimeSeconds)
        ring = Mutex(Ring(current: Key(madeAt: now), previous: nil))
    }

    /// Seconds of the system's clock.
    package static func clock() -> Int64 { Int64(time(nil)) }

    /// The key to seal a new ticket with; makes a new one when the current one is old (or the clock went back).
    package func sealing(now: Int64) -> Key {
        ring.withLock { ring in
            rotate(&ring, now: now)
            return ring.current
        }
    }

    /// The key that a ticket names, and whether the ticket should be renewed; nil when it is not known (any more).
    package func opening(name: [UInt8], now: Int64) -> (key: Key, renew: Bool)? {
        ring.withLock { ring in
            rotate(&ring, now: now)
            if ring.current.name == name { return (ring.current, false) }
            if let previous = ring.previous, previous.name == name { return (previous, true) }
            return nil
        }
    }

    private func rotate(_ ring: inout Ring, now: Int64) {
        let age = now - ring.current.madeAt
        guard age >= lifetimeSeconds || age < 0 else { return }
        let fresh = age >= 0 && age < 2 * lifetimeSeconds
        ring.previous = fresh ? ring.current : nil
        ring.current = Key(madeAt: now)
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
