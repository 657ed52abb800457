// Keeps what the callers' port shows and trusts up to date: looks at the files, checks new ones whole, and puts them in
// the place of the old ones at once.

package import Contract
import Foundation
package import Logging
import NIOPosix
import ServiceLifecycle
import Synchronization
package import TLS

/// The certificates in force. New connections use the newest; those that are open go on with theirs.
package final class Certificates: Service {
    /// What one reload leaves for the next.
    private struct State {
        var settings: TransportSettings
        var inventory: TLSInventory
        var keys: TicketKeys
        var keyFile: TicketKeyFile?
        /// What is watched.
        var files: [String]
        var plan: FilePlan
        /// The day, counted from 1970, whose notes were written.
        var notedDay: Int64
        /// How many of those in force had ended when the notes were written.
        var notedEnds: Int
        /// What was wrong with the file of ticket keys, so that it is told once.
        var keyTrouble: String?
    }

    /// Between two looks when the files are not watched: ticket keys and ends are looked after all the same.
    package static let restInterval = Nanoseconds.seconds(60)

    /// What listeners take their contexts from.
    package let box: TLSContextBox
    private let stateFolder: String
    private let count: Int
    private let logger: Logger
    /// One look or reload at a time; held while files are read, and by nobody who runs an event loop.
    private let state: Mutex<State>
    /// What is in force, for those who must not wait: ends, and how often the files are looked at.
    private let published: Mutex<(expiries: [CertificateExpiry], watch: Nanoseconds)>

    /// Reads the files, and makes what the settings leave to the gateway. Blocks.
    /// - Parameter count: of event loops.
    /// - Throws: `GatewayError` CONFIGURATION with what is wrong.
    package init(
        _ settings: TransportSettings, state folder: String, count: Int, logger: Logger
    ) throws {
        stateFolder = folder
        self.count = count
        self.logger = logger
        let now = TicketKeys.clock()
        let tls = try Certificates.translating { () throws(TLSError) in
            try settings.contextSettings(state: folder)
        }
        let stamps = FilePlan.stamps(of: tls.files)
        let keyFile = settings.ticketKeys.map { TicketKeyFile($0) }
        let keys = try Certificates.translating { () throws(TLSError) in
            try Certificates.keys(keyFile, now: now)
        }
        let made = try Certificates.translating { () throws(TLSError) in
            try TLSMaterial(reading: tls).makeContexts(count: count, ticketKeys: keys)
        }
        box = TLSContextBox(made.contexts)
        published = Mutex((Certificates.expiries(made.inventory), settings.watch))
        state = Mutex(
            State(
                settings: settings, inventory: made.inventory, keys: keys, keyFile: keyFile,
                files: tls.files,
                plan: FilePlan(judged: stamps), notedDay: now / 86_400,
                notedEnds: made.inventory.ended(now)))
        note(made.inventory, now)
    }

    /// When each of the certificates in force ends, its issuers', authorities' and lists' ends too.
    package var expiries: [CertificateExpiry] { published.withLock { $0.expiries } }

    /// Takes new settings, or the same with files that may be new. All or nothing: when it throws, everything is as
    /// before. Blocks; not for event loops.
    package func reload(_ settings: TransportSettings) throws {
        try state.withLock { state in
            try take(settings, &state, now: TicketKeys.clock())
        }
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            while !Task.isCancelled {
                do {
                    // Files of certificates say nothing when they change, over NFS and overlays least of all.
                    try await Task.sleep(for: .nanoseconds(Int64(interval.count)))
                    // Files are read on a thread that may wait.
                    try await NIOThreadPool.singleton.runIfActive { [self] in look() }
                } catch {
                    return
                }
            }
        }
    }

    private var interval: Nanoseconds {
        let watch = published.withLock { $0.watch }
        return watch == .zero ? Certificates.restInterval : watch
    }

    /// One look at the files, the ticket keys and the calendar.
    private func look() {
        let now = TicketKeys.clock()
        state.withLock { state in
            refreshKeys(&state, now)
            let isNewDay = now / 86_400 != state.notedDay
            let settings = state.settings
            // Our own certificate is made anew before it ends.
            var isDue = isNewDay && settings.certificate == nil
            if settings.watch != .zero {
                let changed = state.plan.look(FilePlan.stamps(of: state.files))
                isDue = isDue || changed
            }
            if isDue {
                do {
                    try take(settings, &state, now: now)
                } catch {
                    logger.error(
                        "the new certificates are not taken; those in force stay",
                        metadata: ["error": "\((error as? GatewayError)?.message ?? "\(error)")"])
                }
            }
            let ended = state.inventory.ended(now)
            if isNewDay || ended > state.notedEnds { note(state.inventory, now) }
            if isNewDay { state.notedDay = now / 86_400 }
            state.notedEnds = ended
        }
    }

    /// Checks everything, makes contexts for all loops, and only then puts them in force.
    private func take(_ settings: TransportSettings, _ state: inout State, now: Int64) throws {
        let tls = try Certificates.translating { () throws(TLSError) in
            try settings.contextSettings(state: stateFolder)
        }
        let stamps = FilePlan.stamps(of: tls.files)
        if settings == state.settings { state.plan.judge(stamps) }
        let keyFile = settings.ticketKeys.map { TicketKeyFile($0) }
        let before = state
        let (keys, made) = try Certificates.translating { () throws(TLSError) in
            let material = try TLSMaterial(reading: tls)
            // Tickets of another trust are forgotten; shared keys stay, but the sessions' identity is another one.
            let keeps =
                keyFile?.path == before.keyFile?.path
                && (keyFile != nil || material.trustDigest == before.inventory.trustDigest)
            let keys = keeps ? before.keys : try Certificates.keys(keyFile, now: now)
            let made = try material.makeContexts(count: count, ticketKeys: keys)
            try made.inventory.check(now: now, replacing: before.inventory)
            return (keys, made)
        }
        box.replace(with: made.contexts)
        state.settings = settings
        state.inventory = made.inventory
        state.keys = keys
        state.keyFile = keyFile
        state.files = tls.files
        state.notedEnds = made.inventory.ended(now)
        state.plan.judge(stamps)
        published.withLock { $0 = (Certificates.expiries(made.inventory), settings.watch) }
        guard made.inventory != before.inventory else { return }
        let known = Set(before.inventory.items)
        for item in made.inventory.items where !known.contains(item) {
            logger.notice(
                "new in force on the callers' port",
                metadata: [
                    "kind": "\(item.kind.rawValue)", "file": "\(item.path)",
                    "subject": "\(item.name)", "serial": "\(item.serial)",
                    "ends":
                        "\(Date(timeIntervalSince1970: TimeInterval(item.ends)).formatted(.iso8601))",
                ])
        }
        note(made.inventory, now)
    }

    private func refreshKeys(_ state: inout State, _ now: Int64) {
        guard let file = state.keyFile else { return }
        do throws(TLSError) {
            state.keys.adopt(try file.keys(now: now))
            state.keyTrouble = nil
        } catch {
            if state.keyTrouble != error.message {
                logger.error(
                    "the shared ticket keys cannot be used; those known are kept",
                    metadata: ["error": "\(error)"])
            }
            state.keyTrouble = error.message
        }
    }

    private func note(_ inventory: TLSInventory, _ now: Int64) {
        for note in CertificateNote.notes(inventory.items, now: now) {
            logger.log(level: note.level, "\(note.text)", metadata: note.metadata)
        }
    }

    private static func keys(
        _ file: TicketKeyFile?, now: Int64
    ) throws(TLSError) -> TicketKeys {
        guard let file else { return TicketKeys(now: now) }
        return TicketKeys(shared: try file.keys(now: now))
    }

    private static func expiries(_ inventory: TLSInventory) -> [CertificateExpiry] {
        inventory.items.map {
            CertificateExpiry(
                kind: $0.kind.rawValue, path: $0.path, name: $0.name, serial: $0.serial,
                ends: $0.ends)
        }
    }

    /// A kit's failure as the operator's.
    private static func translating<Value>(
        _ body: () throws(TLSError) -> Value
    ) throws(GatewayError) -> Value {
        do throws(TLSError) {
            return try body()
        } catch {
            throw GatewayError(.configuration, error.description)
        }
    }
}

extension TLSServerSettings {
    /// Every file that is watched.
    var files: [String] {
        ([certificateFile, keyFile, ocspFile, clientAuthorityFile, clientRevocationFile]
            + more.flatMap { [$0.certificateFile, $0.keyFile, $0.ocspFile] })
            .compactMap(\.self)
    }
}

extension TLSInventory {
    /// How many of its items are over.
    fileprivate func ended(_ now: Int64) -> Int { items.count { $0.ends <= now } }
}
