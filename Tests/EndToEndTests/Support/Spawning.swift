// Starts processes one at a time. Foundation notices a process's end when the last copy of its end of a socket is closed;
// one that is started at the same moment would inherit a copy, and keep it as long as it lives.

import Foundation
import Synchronization

enum Spawning {
    private static let turn = Mutex(())

    static func start(_ process: Process) throws {
        try turn.withLock { _ in try process.run() }
    }
}
