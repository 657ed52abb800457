// Whether the machine's clock is right, as the kernel was told by whoever sets it.

internal import CFiles

/// What the kernel knows of the system's clock: adjtimex(2).
package struct SystemClock: Sendable, Equatable {
    /// True when a time service sets the clock and has done so lately: STA_UNSYNC is not set.
    package var isSynchronised: Bool
    /// How wrong the clock may be, as the time service estimates; means nothing while nobody sets it.
    package var estimatedError: Duration

    package init(isSynchronised: Bool, estimatedError: Duration) {
        self.isSynchronised = isSynchronised
        self.estimatedError = estimatedError
    }

    /// Asks the kernel, and changes nothing. Nil where it does not say: some containers refuse the question. Any thread.
    package static func current() -> SystemClock? {
        var microseconds: Int64 = 0
        // SAFETY: the function fills the number it is given and keeps no pointer.
        let isSet = unsafe CFiles_clockIsSet(&microseconds)
        guard isSet >= 0 else { return nil }
        return SystemClock(isSynchronised: isSet == 1, estimatedError: .microseconds(microseconds))
    }
}
