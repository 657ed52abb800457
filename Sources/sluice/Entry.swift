// Where the process begins. An asynchronous `main` would hand the main thread to Dispatch, which ends it by unwinding it: that
// reads the whole binary's unwind tables, most of a megabyte which then stays resident. Nothing here needs a main actor.

import ArgumentParser
import Dispatch

@main
enum Entry {
    static func main() {
        let isDone = DispatchSemaphore(value: 0)
        Task.detached {
            await Sluice.main()
            isDone.signal()
        }
        isDone.wait()
    }
}
