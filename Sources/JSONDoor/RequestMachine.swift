// One HTTP connection's state: which request it is at, how long that may take, and whether another may follow. Decides; the
// handler acts.

import Contract

struct RequestMachine {
    enum Phase: Equatable {
        /// Between requests. Exits: `judging` by a head, `ending`.
        case waiting
        /// A head is here and it is being found out who sent it. Exits: `receiving`, `answering`, `ending`.
        case judging
        /// The body is coming. Exits: `answering` at its end or by a refusal, `ending`.
        case receiving
        /// A resource works, or a refusal is being written. Exits: `streaming`, `waiting`, `ending`.
        case answering
        /// The head of an answer is written and its pieces follow as they come. Exits: `waiting`, `ending`.
        case streaming
        /// Nothing more is read; what is written still goes out. No exit.
        case ending
    }

    /// What is over when the timer rings.
    enum Lapse: Equatable {
        case nothing
        /// Nobody has begun a request: the connection is closed without a word.
        case idle
        /// A head or a body that was begun is not whole: 408.
        case slow(String)
        /// The caller does not take what was written for it: the connection is closed, its call cancelled.
        case unread
    }

    private(set) var phase = Phase.waiting
    /// Bytes of the body so far.
    private(set) var bodyCount = 0
    private(set) var isDraining = false
    /// More is written than the caller has taken: nothing new is begun for it.
    private(set) var isBlocked = false
    /// When the present phase has lasted too long; nil while a resource works, which has deadlines of its own.
    private var phaseDue: Instant?
    /// When the caller must have taken some of what waits for it; nil when nothing does.
    private var writeDue: Instant?
    private let limits: HTTPLimits
    private var bodyMax = 0
    private var headHasBegun = false
    /// The request at hand is the connection's last.
    private var isLast = false
    /// Its body is not read to its end.
    private var hasUnread = false

    init(limits: HTTPLimits, at now: Instant) {
        self.limits = limits
        phaseDue = now + limits.idleTime
    }

    /// True while what arrives has to wait for an answer.
    var isBusy: Bool {
        switch phase {
        case .judging, .answering, .streaming: true
        case .waiting: isBlocked
        case .receiving, .ending: false
        }
    }

    /// When ``tick(at:)`` has something to say.
    var nextDue: Instant? {
        guard let writeDue else { return phaseDue }
        return phaseDue.map { min($0, writeDue) } ?? writeDue
    }

    /// Bytes came, whatever they will turn out to be.
    mutating func bytesArrived(at now: Instant) {
        guard phase == .waiting, !headHasBegun else { return }
        headHasBegun = true
        phaseDue = now + limits.headTime
    }

    mutating func head(isLast: Bool, hasBody: Bool) {
        guard phase == .waiting else { return }
        headHasBegun = false
        phase = .judging
        phaseDue = nil
        bodyCount = 0
        self.isLast = isLast
        hasUnread = hasBody
    }

    /// The head was accepted: its body may come, up to `bodyMax` bytes.
    mutating func accept(bodyMax: Int, within time: Nanoseconds, at now: Instant) {
        guard phase == .judging else { return }
        phase = .receiving
        self.bodyMax = bodyMax
        phaseDue = now + time
    }

    /// False when the body is larger than it may be.
    mutating func body(_ count: Int) -> Bool {
        guard phase == .receiving else { return true }
        bodyCount += count
        return bodyCount <= bodyMax
    }

    /// The whole request is here.
    mutating func end() {
        guard phase == .receiving else { return }
        phase = .answering
        hasUnread = false
        phaseDue = nil
    }

    /// An answer before the request's end: what of it is not read yet cannot be told from a next request without reading it,
    /// so that the connection ends when there is any.
    mutating func refuse() {
        guard phase != .ending else { return }
        phase = .answering
        phaseDue = nil
    }

    /// The answer's head is written and nobody knows yet how long the rest takes.
    ///
    /// - Parameter untilClose: its end is told by the connection's end (HTTP/1.0).
    mutating func stream(untilClose: Bool) {
        guard phase == .answering else { return }
        phase = .streaming
        isLast = isLast || untilClose
    }

    /// Some bytes went out, and others have to wait for the caller.
    mutating func blocked(at now: Instant) {
        isBlocked = true
        writeDue = now + limits.writeTime
    }

    /// The caller has taken what was written, or most of it.
    mutating func flowed(at now: Instant) {
        guard isBlocked else { return }
        isBlocked = false
        writeDue = nil
        // Who has just been reading is not idle.
        if phase == .waiting, !headHasBegun { phaseDue = now + limits.idleTime }
    }

    /// No other request is read, whatever the present one says.
    mutating func makeLast() { isLast = true }

    /// Whether the answer that is about to be written is the connection's last.
    mutating func answer(closes: Bool) -> Bool {
        isLast = isLast || closes || hasUnread || isDraining
        return isLast
    }

    /// The answer is written. True: the connection is to be closed.
    mutating func answered(at now: Instant) -> Bool {
        guard phase != .ending else { return true }
        guard !isLast, !isDraining else {
            finish()
            return true
        }
        phase = .waiting
        headHasBegun = false
        phaseDue = now + limits.idleTime
        return false
    }

    /// The house stops. True: nothing is under way, the connection is to be closed.
    mutating func drain() -> Bool {
        isDraining = true
        guard phase == .waiting else { return false }
        finish()
        return true
    }

    mutating func close() { finish() }

    mutating func tick(at now: Instant) -> Lapse {
        if let due = writeDue, due <= now {
            finish()
            writeDue = nil
            return .unread
        }
        guard let due = phaseDue, due <= now else { return .nothing }
        switch phase {
        case .waiting where isBlocked:
            // Set again when the caller has read.
            phaseDue = nil
            return .nothing
        case .waiting where !headHasBegun:
            finish()
            return .idle
        case .waiting:
            hasUnread = true
            return .slow("the request's head was not whole after \(limits.headTime)")
        case .receiving: return .slow("the request's body was not whole in its time")
        case .judging, .answering, .streaming, .ending: return .nothing
        }
    }

    private mutating func finish() {
        phase = .ending
        phaseDue = nil
    }
}
