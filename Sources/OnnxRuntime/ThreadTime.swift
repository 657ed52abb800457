// How much CPU time the calling thread has had. Runs stay on the thread that calls the engine (intraThreads: 1), so the difference
// around one is what it took; helpers of a pool are not seen.

import COnnxRuntime
package import Contract

package enum ThreadTime {
    /// CPU time of this thread since it began; zero where it cannot be read. A call into the kernel.
    package static func now() -> Nanoseconds { Nanoseconds(COnnxRuntime_threadTime()) }
}
