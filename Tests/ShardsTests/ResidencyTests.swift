// The residency of one model: a table of what must happen, and random walks that look for what must never.

import Contract
import Shards
import Testing

@Suite struct ResidencyTests {
    typealias Stay = Residency<Int, Int>

    private let now = Instant(nanoseconds: 1_000)
    private let failure = CallFailure(.failedPrecondition, .modelBroken, "corrupt")

    private func stay(waitersMax: Int = 100) -> Stay {
        Stay(waitersMax: waitersMax, retryMin: .seconds(1), retryMax: .seconds(900))
    }

    /// `waits` or `load` or `granted` or the refusal, as a word.
    private func arrive(
        _ stay: inout Stay, _ waiter: Int, at now: Instant? = nil, insists: Bool = false
    ) -> String {
        let arrival = stay.arrive(
            waiter, now: now ?? self.now, insists: insists, isGivenUp: { $0 < 0 })
        switch arrival {
        case .granted: return "granted"
        case .waits(let startLoad): return startLoad ? "load" : "waits"
        case .refused(.waitersFull): return "full"
        case .refused(.broken(_, let retryAfter)): return "broken \(retryAfter)"
        case .refused(.retired): return "retired"
        case .refused(.stopped): return "stopped"
        }
    }

    @Test func `one load serves all who wait`() {
        var stay = stay()
        #expect(arrive(&stay, 1) == "load")
        #expect(arrive(&stay, 2) == "waits")
        stay.loadBegan()
        #expect(arrive(&stay, 3) == "waits")
        let ended = stay.loadEnded(7)
        #expect(ended.waiters == [1, 2, 3])
        #expect(!ended.release)
        #expect(stay.leases == 3)
        #expect(arrive(&stay, 4) == "granted")
        for _ in 0..<4 { #expect(stay.leaseEnded() == false) }
        #expect(stay.phase == .awake)
    }

    @Test func `a failed load is not tried again before its time, which grows`() {
        var stay = stay()
        var now = now
        for wait in [1, 4, 900, 900] {
            #expect(arrive(&stay, 1, at: now) == "load")
            #expect(arrive(&stay, 2, at: now) == "waits")
            stay.loadBegan()
            let failed = stay.loadFailed(failure, now: now)
            #expect(failed.waiters == [1, 2])
            #expect(failed.retryAfter == .seconds(UInt64(wait)))
            #expect(stay.failure == failure)
            #expect(arrive(&stay, 3, at: now) == "broken \(wait) s")
            now = now + .seconds(UInt64(wait))
        }
        #expect(arrive(&stay, 4, at: now) == "load")
        stay.loadBegan()
        #expect(stay.loadEnded(7).waiters == [4])
        #expect(stay.failure == nil)
    }

    @Test func `who insists tries a broken model again`() {
        var stay = stay()
        #expect(arrive(&stay, 1) == "load")
        stay.loadBegan()
        _ = stay.loadFailed(failure, now: now)
        #expect(arrive(&stay, 2) == "broken 1 s")
        #expect(arrive(&stay, 3, insists: true) == "load")
        #expect(stay.phase == .queued)
    }

    @Test func `a refused load leaves it asleep, or broken when it was`() {
        var stay = stay()
        #expect(arrive(&stay, 1) == "load")
        #expect(stay.loadRefused().waiters == [1])
        #expect(stay.phase == .asleep)
        #expect(arrive(&stay, 1) == "load")
        stay.loadBegan()
        _ = stay.loadFailed(failure, now: now)
        #expect(arrive(&stay, 2, insists: true) == "load")
        #expect(stay.loadRefused().waiters == [2])
        #expect(stay.phase == .broken)
    }

    @Test func `waiting has a maximum, and who has gone makes room`() {
        var stay = stay(waitersMax: 3)
        #expect(arrive(&stay, -1) == "load")
        #expect(arrive(&stay, -2) == "waits")
        #expect(arrive(&stay, 3) == "waits")
        #expect(arrive(&stay, 4) == "full")
        stay.gaveUp()
        #expect(arrive(&stay, 4) == "waits")
        #expect(stay.waiters == [3, 4])
        #expect(arrive(&stay, 5) == "waits")
        #expect(arrive(&stay, 6) == "full")
    }

    @Test func `leaving waits for leases, and who comes meanwhile for the next load`() {
        var stay = stay()
        #expect(arrive(&stay, 1) == "load")
        stay.loadBegan()
        _ = stay.loadEnded(7)
        #expect(stay.leave(100) == .waits)
        #expect(arrive(&stay, 2) == "waits")
        #expect(stay.leave(101) == .waits)
        #expect(stay.leaseEnded() == true)
        #expect(stay.phase == .releasing)
        #expect(arrive(&stay, 3) == "waits")
        #expect(stay.surrender() == 7)
        let released = stay.released()
        #expect(released.leavers == [100, 101])
        #expect(released.startLoad)
        stay.loadBegan()
        #expect(stay.loadEnded(8).waiters == [2, 3])
        #expect(stay.phase == .awake)
    }

    @Test func `leaving while asleep, idle or loading`() {
        var stay = stay()
        #expect(stay.leave(100) == .gone)
        #expect(arrive(&stay, 1) == "load")
        #expect(stay.leave(101) == .waits)
        stay.loadBegan()
        #expect(stay.leave(102) == .waits)
        let ended = stay.loadEnded(7)
        #expect(ended.waiters == [1] && !ended.release)
        #expect(stay.phase == .leaving)
        #expect(stay.leaseEnded() == true)
        #expect(stay.surrender() == 7)
        #expect(stay.released().leavers == [101, 102])
        #expect(stay.phase == .asleep)
        #expect(arrive(&stay, 2) == "load")
        stay.loadBegan()
        _ = stay.loadEnded(8)
        #expect(stay.leaseEnded() == false)
        #expect(stay.leave(103) == .release)
    }

    @Test func `a load that fails tells those who wanted it gone`() {
        var stay = stay()
        #expect(arrive(&stay, 1) == "load")
        stay.loadBegan()
        #expect(stay.leave(100) == .waits)
        let failed = stay.loadFailed(failure, now: now)
        #expect(failed.waiters == [1] && failed.leavers == [100])
        #expect(stay.leave(101) == .gone)
        #expect(stay.phase == .broken)
    }

    @Test func `a retired model serves who is in and lets nobody else in`() {
        var stay = stay()
        #expect(arrive(&stay, 1) == "load")
        stay.loadBegan()
        #expect(stay.leave(100, forever: true) == .waits)
        #expect(arrive(&stay, 2) == "retired")
        #expect(stay.loadEnded(7).waiters == [1])
        #expect(stay.leaseEnded() == true)
        _ = stay.surrender()
        #expect(stay.released().leavers == [100])
        #expect(arrive(&stay, 3) == "retired")
    }

    @Test func `a stop returns who waits and lets nobody in`() {
        var stay = stay()
        #expect(arrive(&stay, 1) == "load")
        stay.loadBegan()
        #expect(arrive(&stay, 2) == "waits")
        #expect(stay.stop() == [1, 2])
        #expect(arrive(&stay, 3) == "stopped")
        let ended = stay.loadEnded(7)
        #expect(ended.waiters.isEmpty && ended.release)
        #expect(stay.grantNow() == nil)
    }

    // MARK: - Random walks

    /// Everything that is going on around the residency, to check it against.
    private struct World {
        var stay: Stay
        var now = Instant(nanoseconds: 1)
        var waiting: Set<Int> = []
        var answered: Set<Int> = []
        var leavers: Set<Int> = []
        var leases = 0
        var loaderAsked = false
        var isLoading = false
        var releaseAsked = false
        var isStopped = false
        var next = 0
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
    func `nobody is lost on a random walk`(seed: UInt64) {
        var dice = Dice(seed: seed)
        var world = World(stay: stay(waitersMax: 6))
        for step in 0..<20_000 {
            turn(&world, &dice, mayStop: step > 19_000)
            check(world, "seed \(seed), step \(step)")
        }
        settle(&world)
        check(world, "seed \(seed), settled")
        #expect(world.waiting.isEmpty, "seed \(seed): \(world.waiting) are still waiting")
        #expect(world.leavers.isEmpty, "seed \(seed): \(world.leavers) never heard")
    }

    private func turn(_ world: inout World, _ dice: inout Dice, mayStop: Bool) {
        world.now = world.now + .milliseconds(UInt64.random(in: 0...300, using: &dice))
        switch Int.random(in: 0..<100, using: &dice) {
        case 0..<35: call(&world, insists: Int.random(in: 0..<20, using: &dice) == 0)
        case 35..<60: endLease(&world)
        case 60..<70: beginLoad(&world)
        case 70..<85: endLoad(&world, succeeds: Int.random(in: 0..<4, using: &dice) > 0)
        case 85..<88: refuseLoad(&world)
        case 88..<93: leave(&world)
        case 93..<98: release(&world)
        case 98: world.stay.gaveUp()
        default: if mayStop { stop(&world) }
        }
    }

    private func call(_ world: inout World, insists: Bool) {
        world.next += 1
        let waiter = world.next
        switch world.stay.arrive(
            waiter, now: world.now, insists: insists, isGivenUp: { _ in false })
        {
        case .granted: world.leases += 1
        case .waits(let startLoad):
            world.waiting.insert(waiter)
            if startLoad {
                #expect(!world.loaderAsked && !world.isLoading, "two loads at a time")
                world.loaderAsked = true
            }
        case .refused(let refusal): #expect(!world.isStopped || refusal == .stopped)
        }
    }

    private func endLease(_ world: inout World) {
        guard world.leases > 0 else { return }
        world.leases -= 1
        if world.stay.leaseEnded() {
            #expect(world.leases == 0, "released while leased")
            world.releaseAsked = true
        }
    }

    private func beginLoad(_ world: inout World) {
        guard world.loaderAsked else { return }
        world.loaderAsked = false
        world.isLoading = true
        world.stay.loadBegan()
    }

    private func endLoad(_ world: inout World, succeeds: Bool) {
        guard world.isLoading else { return }
        world.isLoading = false
        if succeeds {
            let (waiters, release) = world.stay.loadEnded(1)
            world.leases += waiters.count
            answer(&world, waiters)
            if release { world.releaseAsked = true }
        } else {
            let (waiters, leavers, _) = world.stay.loadFailed(failure, now: world.now)
            answer(&world, waiters)
            tell(&world, leavers)
        }
    }

    private func refuseLoad(_ world: inout World) {
        guard world.loaderAsked else { return }
        world.loaderAsked = false
        let (waiters, leavers) = world.stay.loadRefused()
        answer(&world, waiters)
        tell(&world, leavers)
    }

    private func leave(_ world: inout World) {
        world.next += 1
        switch world.stay.leave(world.next) {
        case .gone, .full: break
        case .waits: world.leavers.insert(world.next)
        case .release:
            world.leavers.insert(world.next)
            world.releaseAsked = true
        }
    }

    private func release(_ world: inout World) {
        guard world.releaseAsked else { return }
        world.releaseAsked = false
        #expect(world.stay.surrender() == 1)
        let (leavers, startLoad) = world.stay.released()
        tell(&world, leavers)
        if startLoad { world.loaderAsked = true }
    }

    private func stop(_ world: inout World) {
        world.isStopped = true
        answer(&world, world.stay.stop())
    }

    private func answer(_ world: inout World, _ waiters: [Int]) {
        for waiter in waiters {
            #expect(world.waiting.remove(waiter) != nil, "\(waiter) was not waiting")
            #expect(world.answered.insert(waiter).inserted, "\(waiter) was answered twice")
        }
    }

    private func tell(_ world: inout World, _ leavers: [Int]) {
        for leaver in leavers {
            #expect(world.leavers.remove(leaver) != nil, "\(leaver) was not waiting for the end")
        }
    }

    private func settle(_ world: inout World) {
        for _ in 0..<10 {
            beginLoad(&world)
            endLoad(&world, succeeds: true)
            while world.leases > 0 { endLease(&world) }
            release(&world)
        }
    }

    private func check(_ world: World, _ place: String) {
        let stay = world.stay
        var faults: [String] = []
        if stay.leases != world.leases { faults.append("leases \(stay.leases)") }
        if stay.waiters.count != world.waiting.count { faults.append("waiters are lost") }
        if stay.waiters.count > 6 { faults.append("too many wait") }
        switch stay.phase {
        case .asleep, .broken:
            if !stay.waiters.isEmpty { faults.append("somebody waits for nothing") }
            if world.leases > 0 { faults.append("a lease on nothing") }
        case .queued: if !world.loaderAsked { faults.append("no loader was asked") }
        case .loading: if !world.isLoading { faults.append("nobody loads") }
        case .awake: if !stay.waiters.isEmpty { faults.append("somebody waits beside it") }
        case .leaving: if world.leases == 0 { faults.append("leaves without an end") }
        case .releasing:
            if !world.releaseAsked { faults.append("nobody releases") }
            if world.leases > 0 { faults.append("released while leased") }
        }
        #expect(faults.isEmpty, "\(place): \(faults)")
    }
}
