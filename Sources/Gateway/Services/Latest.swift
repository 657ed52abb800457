// What is in force now of something that a reload of the settings replaces.

import Synchronization

/// Read once by each connection when it begins, which keeps what it read.
final class Latest<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) { self.value = Mutex(value) }

    var now: Value { value.withLock { $0 } }

    func replace(with new: Value) { value.withLock { $0 = new } }
}
