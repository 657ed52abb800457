// Who is connected: limits before TLS costs anything, and the list a stopping gateway has to say goodbye to.

import Contract
import NIOCore
import Synchronization

/// The open connections by address, bounded in all and per address.
final class ConnectionBook: Sendable {
    private struct Pages {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var perAddress: [String: Int] = [:]
        var closed = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let pages = Mutex(Pages())
    private let connectionsMaximum: Int
    private let perAddressMaximum: Int

    init(limits: Limits) {
        connectionsMaximum = limits.connections
        perAddressMaximum = limits.connectionsPerAddress
    }

    var count: Int { pages.withLock { $0.channels.count } }

    /// Notes a new connection; false when a limit is reached or the gateway is leaving, and nothing is noted.
    func enter(_ channel: any Channel, address: String) -> Bool {
        let entered = pages.withLock { pages in
            let here = pages.perAddress[address, default: 0]
            guard !pages.closed, pages.channels.count < connectionsMaximum,
                here < perAddressMaximum
            else { return false }
            pages.perAddress[address] = here + 1
            pages.channels[ObjectIdentifier(channel)] = channel
            return true
        }
        guard entered else { return false }
        channel.closeFuture.whenComplete { [weak self] _ in
            self?.leave(ObjectIdentifier(channel), address: address)
        }
        return true
    }

    private func leave(_ channel: ObjectIdentifier, address: String) {
        let waiters = pages.withLock { pages in
            guard pages.channels.removeValue(forKey: channel) != nil else {
                return [CheckedContinuation<Void, Never>]()
            }
            let here = pages.perAddress[address, default: 1] - 1
            pages.perAddress[address] = here > 0 ? here : nil
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
            return Array(pages.channels.values)
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
