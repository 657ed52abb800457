// The limits in force: a connection takes those of the moment it begins.

import Contract
import Synchronization

/// Read once for each connection, replaced by a reload of the settings.
final class LimitsBox: Sendable {
    private let limits: Mutex<Limits>

    init(_ limits: Limits) { self.limits = Mutex(limits) }

    var now: Limits { limits.withLock { $0 } }

    func replace(with new: Limits) { limits.withLock { $0 = new } }
}
