// What an HTTP connection may take: bytes, time and waiting requests. Each has a test which reaches it.

package import Contract

/// The limits of one HTTP connection. Those of a route's body stand at the route.
package struct HTTPLimits: Sendable, Equatable {
    /// Request line and fields together, and any one of them.
    package var headBytes = 16 << 10
    package var headFields = 100
    /// From the first byte of a head to its last.
    package var headTime = Nanoseconds.seconds(10)
    /// From a head to the last byte of its body.
    package var bodyTime = Nanoseconds.seconds(60)
    /// Between an answer and the next request, and before the first.
    package var idleTime = Nanoseconds.seconds(75)
    /// Between two moments in which a caller takes some of what was written for it: 256 KiB, or the rest.
    package var writeTime = Nanoseconds.seconds(30)
    /// Bytes of a streamed answer that may wait for a caller who reads too slowly; one more piece may come on top.
    package var streamBytes = 1 << 20
    /// Parts (heads, pieces of bodies, ends) of pipelined requests that wait for their turn. 2 KiB are parsed at once, and nothing
    /// more while some wait, so that nobody should reach it.
    package var partsWaiting = 4_096

    /// Requests that came at once and are begun in one turn of the event loop, before other connections have theirs.
    package var requestsPerTurn = 16
    /// A request that is refused by its head counts as so many of them: a flood of made-up tokens waits longer than calls do.
    package var refusalWeight = 4

    package init() {}
}
