// The access log's lines, as bytes: JSON, or the combined format of web servers with our own fields behind it. Untrusted text is
// escaped and cut; docs/operating.md lists the fields. Made on event loops, some 100,000 a second.

package import Contract
package import JSONDoor
import NIOHTTP1
import OpenInference

/// Which lines are written: every error, every cold call, and of the rest one in so many.
package struct AccessSampling: Sendable, Equatable {
    /// Zero: none of the rest.
    package var oneIn: UInt64

    package init(oneIn: UInt64) { self.oneIn = oneIn }

    /// - Parameters:
    ///   - trace: of the rest the same traces are kept everywhere, by their ids' last 8 bytes.
    ///   - number: counts those without a trace.
    package func keeps(
        isNotable: Bool, trace: TraceContext?, number: @autoclosure () -> UInt64
    ) -> Bool {
        if isNotable || oneIn == 1 { return true }
        guard oneIn > 0 else { return false }
        guard let trace else { return number() % oneIn == 0 }
        return trace.bytes[8..<16].reduce(0) { $0 << 8 | UInt64($1) } % oneIn == 0
    }
}

/// Lines being put together, of one event loop: consecutive calls are alike, and what they have in common is kept as bytes.
package struct AccessLines: Sendable {
    package typealias Format = AccessLogSettings.Format

    /// Bytes of a text that a line holds at most.
    package static let textBytesMax = 256

    /// No more of a text than a line holds: it may have to wait.
    static func cut(_ text: String) -> String {
        text.utf8.count <= textBytesMax
            ? text : String(decoding: text.utf8.prefix(textBytesMax), as: UTF8.self)
    }

    package private(set) var bytes: [UInt8] = []
    package private(set) var count = 0
    package let format: Format
    private var clock: LineClock
    private var familiar = Familiar()

    /// - Parameters:
    ///   - wall: nanoseconds since 1970, at the same moment as `now`.
    package init(_ format: Format, wall: UInt64, now: Instant) {
        self.format = format
        clock = LineClock(wall: wall, now: now)
    }

    package init(_ format: Format) {
        self.init(format, wall: LineClock.wall(), now: .now())
    }

    /// The lines so far; a new piece begins, and the clocks are compared again.
    /// - Parameter room: where the next lines are written: empty, perhaps with room of before.
    package mutating func take(next room: [UInt8] = []) -> (bytes: [UInt8], count: Int) {
        defer {
            bytes = room
            count = 0
            clock.set(wall: LineClock.wall(), now: .now())
        }
        return (bytes, count)
    }

    package mutating func add(_ call: CallRecord) {
        switch format {
        case .json: addJSON(call)
        case .common: addCommon(call)
        }
        count += 1
    }

    package mutating func add(_ request: HTTPRecord) {
        switch format {
        case .json: addJSON(request)
        case .common: addCommon(request)
        }
        count += 1
    }

    // MARK: JSON

    private mutating func addJSON(_ call: CallRecord) {
        clock.turn(to: call.arrived)
        beginLine(call)
        trace(",\"trace\":\"", call.span ?? call.trace, end: "\"")
        let measures = Familiar.Measures(call)
        if familiar.measures.of != measures {
            let start = bytes.count
            member(",\"bytes_in\":", measures.bytesIn)
            member(",\"bytes_out\":", measures.bytesOut)
            member(",\"auth_us\":", measures.auth)
            member(",\"queue_us\":", measures.queue)
            member(",\"load_us\":", measures.load)
            familiar.learn(measures, bytes[start...])
        } else {
            bytes.append(contentsOf: familiar.measures.text)
        }
        if call.timing.cold {
            member(",\"fetch_us\":", call.timing.fetch.microseconds)
            member(",\"create_us\":", call.timing.create.microseconds)
        }
        number(Key.run, call.timing.run.microseconds)
        number(Key.total, call.total.microseconds)
        if call.timing.batch == 1, !call.timing.cold { return bytes.append(contentsOf: Key.end) }
        put(call.timing.cold ? ",\"cold\":true,\"batch\":" : ",\"cold\":false,\"batch\":")
        put(UInt64(call.timing.batch))
        put("}\n")
    }

    /// When, what, who and from where: of a connection's calls within one millisecond mostly the same.
    private mutating func beginLine(_ call: CallRecord) {
        if familiar.kind === call.kind, familiar.millisecond == clock.millisecond {
            return bytes.append(contentsOf: familiar.head)
        }
        let start = bytes.count
        begin(call.arrived)
        if familiar.fits(call.kind) {
            bytes.append(contentsOf: familiar.who)
        } else {
            let start = bytes.count
            addWhoAndWhat(call)
            familiar.learn(call.kind, bytes[start...])
        }
        member(",\"connection\":", call.connection)
        familiar.remember(call.kind, bytes[start...], of: clock.millisecond)
    }

    /// What is alike in most calls of a caller.
    private mutating func addWhoAndWhat(_ call: CallRecord) {
        put(",\"kind\":\"call\",\"door\":\"")
        put(call.door.rawValue)
        put("\",\"method\":\"")
        put(call.method.name)
        put("\"")
        member(",\"model\":", call.model)
        member(",\"version\":", call.version)
        if call.model.isEmpty { member(",\"asked_model\":", call.asked.model) }
        if call.asked.version != call.version {
            member(",\"asked_version\":", call.asked.version)
        }
        put(",\"code\":\"")
        put(call.code.name)
        put("\"")
        member(",\"reason\":", call.reason.rawValue)
        member(",\"issuer\":", call.issuer)
        member(",\"client\":", call.client)
        member(",\"plan\":", call.plan)
        member(",\"peer\":", call.address)
    }

    /// What every line has.
    private enum Key {
        static let run = Array(",\"run_us\":".utf8)
        static let total = Array(",\"total_us\":".utf8)
        static let end = Array(",\"cold\":false,\"batch\":1}\n".utf8)
    }

    private mutating func number(_ key: [UInt8], _ number: UInt64) {
        bytes.append(contentsOf: key)
        put(number)
    }

    private mutating func addJSON(_ request: HTTPRecord) {
        begin(request.arrived)
        put(",\"kind\":\"request\",\"door\":\"http\"")
        member(",\"method\":", request.method)
        member(",\"route\":", request.route)
        member(",\"status\":", UInt64(request.status))
        if let code = request.code {
            put(",\"code\":\"")
            put(code.name)
            put("\"")
        }
        member(",\"reason\":", request.reason.rawValue)
        member(",\"peer\":", request.address)
        member(",\"connection\":", request.connection)
        member(",\"request\":", request.request)
        trace(",\"trace\":\"", request.trace, end: "\"")
        member(",\"bytes_in\":", UInt64(request.bytesIn))
        member(",\"bytes_out\":", UInt64(request.bytesOut))
        member(",\"total_us\":", request.total.microseconds)
        put("}\n")
    }

    private mutating func begin(_ moment: Instant) {
        put("{\"time\":\"")
        time(moment)
        put("\"")
    }

    /// What is empty is left out.
    private mutating func member(_ key: String, _ text: String) {
        guard !text.isEmpty else { return }
        put(key)
        JSONText.append(text, byteCountMax: AccessLines.textBytesMax, to: &bytes)
    }

    private mutating func member(_ key: String, _ number: UInt64) {
        put(key)
        put(number)
    }

    // MARK: Common

    private mutating func addCommon(_ call: CallRecord) {
        let model = call.model.isEmpty ? call.asked.model : call.model
        let version = call.version.isEmpty ? call.asked.version : call.version
        common(call.address, client: call.client, call.arrived)
        put(call.method.name)
        put(" ")
        quoted("/" + model + (version.isEmpty ? "" : "/" + version))
        put(call.door == .binary ? " sluice/1\" " : " HTTP/1.1\" ")
        put(UInt64(HTTPAnswer.status(call.code, call.reason).code))
        put(" ")
        put(UInt64(call.bytesOut))
        put(" \"-\" \"-\" time=")
        time(call.arrived)
        put(" kind=call door=")
        put(call.door.rawValue)
        put(" code=")
        put(call.code.name)
        word(" reason=", call.reason.rawValue)
        word(" issuer=", call.issuer)
        word(" plan=", call.plan)
        word(" connection=", call.connection)
        trace(" trace=", call.span ?? call.trace, end: "")
        member(" bytes_in=", UInt64(call.bytesIn))
        member(" auth_us=", call.timing.admission.microseconds)
        member(" queue_us=", call.timing.queue.microseconds)
        member(" load_us=", call.timing.load.microseconds)
        member(" run_us=", call.timing.run.microseconds)
        member(" total_us=", call.total.microseconds)
        put(call.timing.cold ? " cold=true batch=" : " cold=false batch=")
        put(UInt64(call.timing.batch))
        put("\n")
    }

    private mutating func addCommon(_ request: HTTPRecord) {
        common(request.address, client: "", request.arrived)
        quoted(request.method.isEmpty ? "-" : request.method)
        put(" ")
        quoted(request.route.isEmpty ? "-" : request.route)
        put(" HTTP/1.1\" ")
        put(UInt64(request.status))
        put(" ")
        put(UInt64(request.bytesOut))
        put(" \"-\" \"-\" time=")
        time(request.arrived)
        put(" kind=request door=http code=")
        put(request.code?.name ?? "-")
        word(" reason=", request.reason.rawValue)
        word(" connection=", request.connection)
        word(" request=", request.request)
        trace(" trace=", request.trace, end: "")
        member(" bytes_in=", UInt64(request.bytesIn))
        member(" total_us=", request.total.microseconds)
        put("\n")
    }

    /// `PEER - CLIENT [23/Nov/2026:06:15:00 +0000] "`
    private mutating func common(_ address: String, client: String, _ moment: Instant) {
        put(address.isEmpty ? "-" : address)
        word(" - ", client)
        put(" [")
        clock.turn(to: moment)
        bytes.append(contentsOf: clock.common)
        put("] \"")
    }

    /// `-` for what is empty.
    private mutating func word(_ key: String, _ text: String) {
        put(key)
        if text.isEmpty { put("-") } else { quoted(text) }
    }

    /// As Apache writes what others said: quotes, spaces and control characters as `\xHH`.
    private mutating func quoted(_ text: String) {
        var left = AccessLines.textBytesMax
        for byte in text.utf8 {
            if left <= 0, byte & 0xC0 != 0x80 { break }
            left -= 1
            switch byte {
            case 0...0x20, 0x7F, UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "["),
                UInt8(ascii: "]"):
                put("\\x")
                bytes.append(AccessLines.digits[Int(byte >> 4)])
                bytes.append(AccessLines.digits[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
    }

    // MARK: Parts

    private static let digits = Array("0123456789abcdef".utf8)

    private mutating func put(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func put(_ number: UInt64) {
        guard number > 9 else { return bytes.append(UInt8(ascii: "0") + UInt8(number)) }
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var (place, rest) = (20, number)
        while rest > 0 {
            place -= 1
            digits[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
        bytes.append(addingCapacity: 20 - place) { room in
            for index in place..<20 { room.append(digits[index]) }
        }
    }

    private mutating func trace(_ key: String, _ trace: TraceContext?, end: String) {
        guard let trace else { return }
        put(key)
        for byte in trace.bytes[..<16] {
            bytes.append(AccessLines.digits[Int(byte >> 4)])
            bytes.append(AccessLines.digits[Int(byte & 15)])
        }
        put(end)
    }

    /// RFC 3339 in UTC with milliseconds.
    private mutating func time(_ moment: Instant) {
        clock.turn(to: moment)
        bytes.append(contentsOf: clock.text)
    }
}

/// Parts of the last lines that the next one will probably have as well.
private struct Familiar: Sendable {
    /// Of calls that ran at once mostly the same; times are microseconds.
    struct Measures: Sendable, Equatable {
        let bytesIn: UInt64
        let bytesOut: UInt64
        let auth: UInt64
        let queue: UInt64
        let load: UInt64

        init(_ call: CallRecord) {
            bytesIn = UInt64(call.bytesIn)
            bytesOut = UInt64(call.bytesOut)
            auth = call.timing.admission.microseconds
            queue = call.timing.queue.microseconds
            load = call.timing.load.microseconds
        }
    }

    /// Of the last line.
    private(set) var kind: CallKind?
    /// Of the head's time.
    private(set) var millisecond = UInt64.max
    /// When, what, who and from where.
    private(set) var head: [UInt8] = []
    /// What and who.
    private(set) var who: [UInt8] = []
    private var whose: CallKind?
    private(set) var measures: (of: Measures?, text: [UInt8]) = (nil, [])

    /// ``who`` is true of this kind as well: it differs in nothing but the connection.
    func fits(_ kind: CallKind) -> Bool {
        guard let known = whose?.traits else { return false }
        let new = kind.traits
        return known.code == new.code && known.model == new.model && known.client == new.client
            && known.address == new.address && known.version == new.version
            && known.asked == new.asked && known.door == new.door && known.method == new.method
            && known.reason == new.reason && known.issuer == new.issuer && known.plan == new.plan
    }

    mutating func learn(_ kind: CallKind, _ text: ArraySlice<UInt8>) {
        whose = Familiar.isShort(kind) ? kind : nil
        Familiar.replace(&who, text)
    }

    mutating func learn(_ new: Measures, _ text: ArraySlice<UInt8>) {
        measures.of = new
        Familiar.replace(&measures.text, text)
    }

    mutating func remember(
        _ kind: CallKind, _ text: ArraySlice<UInt8>, of millisecond: UInt64
    ) {
        self.kind = Familiar.isShort(kind) ? kind : nil
        self.millisecond = millisecond
        Familiar.replace(&head, text)
    }

    /// What a caller wrote is kept no longer than a line would hold it.
    private static func isShort(_ kind: CallKind) -> Bool {
        kind.traits.asked.model.utf8.count <= AccessLines.textBytesMax
            && kind.traits.asked.version.utf8.count <= AccessLines.textBytesMax
    }

    private static func replace(_ kept: inout [UInt8], _ text: ArraySlice<UInt8>) {
        kept.removeAll(keepingCapacity: true)
        kept.append(contentsOf: text)
    }
}
