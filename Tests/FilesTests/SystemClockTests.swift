// The clock, as this machine's kernel tells it.

import Files
import Testing

@Suite struct SystemClockTests {
    @Test func theKernelAnswersAndChangesNothing() throws {
        // A container may refuse the question; then there is no answer at all, twice.
        guard let first = SystemClock.current() else {
            #expect(SystemClock.current() == nil)
            return
        }
        let second = try #require(SystemClock.current())
        #expect(first.isSynchronised == second.isSynchronised)
        #expect(first.estimatedError >= .zero && first.estimatedError < .seconds(3_600))
    }
}
