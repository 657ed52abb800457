// Starts processes one at a time. Foundation notices a process's end when the last copy of its end of a socket is closed;
// one that is started at the same moment would inherit a copy, and keep it as long as it lives.

import Foundation
import Synchronization

enum Spawning {
    private static let turn = Mutex(())

    /// The files that the process writes to are its own from here on. A `Process` keeps them open here for ever, and with some
    /// 1,360 descriptors Foundation reads beyond its list of them when it starts the next one.
    static func start(_ process: Process) throws {
        defer {
            for output in [process.standardOutput, process.standardError] {
                if let file = output as? FileHandle, file !== FileHandle.nullDevice {
                    try? file.close()
                }
            }
        }
        try turn.withLock { _ in try process.run() }
    }
}
