// Which of the process's threads go first when there are too few cores. Decision 0019.

import COnnxRuntime

package enum ThreadRank {
    /// From now on the calling thread gives way to those that do not; it still gets a tenth of a core that others want.
    package static func giveWay() { COnnxRuntime_giveWay() }
}
