// Who is connected: limits before TLS costs anything, and the list a stopping gateway has to say goodbye to.

import Contract
import NIOCore
import Synchronization

/// The open connections by address, bounded in all and per address.
final class ConnectionBook: Sendable {
    private struct Entry {
        var channel: any Channel
        /// Nil while nobody knows for whom it is, and for a proxy's own.
        var address: String?
    }

    private struct Pages {
        var channels: [ObjectIdentifier: Entry] = [:]
        var perAddress: [String: Int] = [:]
        var closed = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let pages = Mutex(Pages())
    private let limits: Latest<Limits>

    init(limits: Latest<Limits>) { self.limits = limits }

    var count: Int { pages.withLock { $0.channels.count } }

    /// Notes a new connection; false when a limit is reached or the gateway is leaving, and nothing is noted.
    /// - Parameter address: nil counts for no address, until ``settle(_:address:)``.
    func enter(_ channel: any Channel, address: String?) -> Bool {
        let limits = limits.now
        let entered = pages.withLock { pages in
            guard !pages.closed, pages.channels.count < limits.connections,
                count(address, in: &pages, limits)
            else { return false }
            pages.channels[ObjectIdentifier(channel)] = Entry(channel: channel, address: address)
            return true
        }
        guard entered else { return false }
        channel.closeFuture.whenComplete { [weak self] _ in self?.leave(ObjectIdentifier(channel)) }
        return true
    }

    /// Counts a connection that has entered without an address for this one; false when the address has all it may.
    func settle(_ channel: any Channel, address: String) -> Bool {
        let limits = limits.now
        return pages.withLock { pages in
            let id = ObjectIdentifier(channel)
            guard let entry = pages.channels[id], entry.address == nil,
                count(address, in: &pages, limits)
            else { return false }
            pages.channels[id]?.address = address
            return true
        }
    }

    private func count(_ address: String?, in pages: inout Pages, _ limits: Limits) -> Bool {
        guard let address else { return true }
        let here = pages.perAddress[address, default: 0]
        guard here < limits.connectionsPerAddress else { return false }
        pages.perAddress[address] = here + 1
        return true
    }

    private func leave(_ channel: ObjectIdentifier) {
        let waiters = pages.withLock { pages in
            guard let entry = pages.channels.removeValue(forKey: channel) else {
                return [CheckedContinuation<Void, Never>]()
            }
            if let address = entry.address {
                let here = pages.perAddress[address, default: 1] - 1
                pages.perAddress[address] = here > 0 ? here : nil
            }
            guard pages.closed, pages.channels.isEmpty else { return [] }
            defer { pages.waiters = [] }
            return pages.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// From now on nobody enters. Returns who is here.
    func close() -> [any Channel] {
        pages.withLock { pages in
            pages.closed = true
            return pages.channels.values.map(\.channel)
        }
    }

    /// Returns when the book is closed and the last connection has left, or when the task is cancelled.
    func empty() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                let isOver = pages.withLock { pages in
                    if Task.isCancelled || (pages.closed && pages.channels.isEmpty) { return true }
                    pages.waiters.append(waiter)
                    return false
                }
                if isOver { waiter.resume() }
            }
        } onCancel: {
            let waiters = pages.withLock { pages in
                defer { pages.waiters = [] }
                return pages.waiters
            }
            for waiter in waiters { waiter.resume() }
        }
    }
}
