// The way back from the shards to one event loop: the first note wakes the loop, those that follow ride along.

import Contract
import NIOCore
import Synchronization

/// Which call of a desk a note is about; stale when the place has been given to another call.
struct DeskPlace: Sendable, Equatable {
    var slot: Int
    var generation: UInt32
}

/// One piece of news for a desk.
enum Note: Sendable {
    case progress(DeskPlace, Progress)
    case finished(
        DeskPlace, Result<[Tensor], CallFailure>, timing: Timing, workContinues: Bool)
    case workEnded(DeskPlace, timing: Timing)
}

/// Notes from any thread to one event loop, in the order they were posted. Bounded by the calls under way on that loop:
/// each has at most a few.
final class Mailbox: Sendable {
    private struct State {
        var notes: [Note] = []
        var isLoopCalled = false
    }

    private struct Addressee {
        weak var desk: LoopDesk?
    }

    private let eventLoop: any EventLoop
    private let state = Mutex(State())
    private let addressee: NIOLoopBoundBox<Addressee>

    /// On the event loop.
    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        addressee = NIOLoopBoundBox(Addressee(), eventLoop: eventLoop)
    }

    /// On the event loop, before the first note.
    func address(to desk: LoopDesk) { addressee.value.desk = desk }

    func post(_ note: Note) {
        let isFirst = state.withLock { state in
            state.notes.append(note)
            defer { state.isLoopCalled = true }
            return !state.isLoopCalled
        }
        if isFirst { eventLoop.execute { self.addressee.value.desk?.collect() } }
    }

    /// Asks the desk to end its turn, from any thread.
    func nudge() { eventLoop.execute { self.addressee.value.desk?.turnEnded() } }

    /// Swaps the notes for an empty array, whose room is used again. The next note calls the loop again.
    func take(into notes: inout [Note]) {
        state.withLock { state in
            swap(&notes, &state.notes)
            state.isLoopCalled = false
        }
    }
}
