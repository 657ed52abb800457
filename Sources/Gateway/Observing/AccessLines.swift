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
    package mutating func take() -> (bytes: [UInt8], count: Int) {
        defer {
            bytes = []
            count = 0
            clock.set(wall: LineClock.wall(), now: .now())
        }
        return (bytes, count)
    }

    package mutating func reserve(_ byteCount: Int) { bytes.reserveCapacity(byteCount) }

    package mutating func add(_ call: CallRecord) {
        switch format {
        case .json: addJSON(call)
        case .common: addCommon(call)
        }
        end()
    }

    package mutating func add(_ request: HTTPRecord) {
        switch format {
        case .json: addJSON(request)
        case .common: addCommon(request)
        }
        end()
    }

    private mutating func end() {
        bytes.append(UInt8(ascii: "\n"))
        count += 1
    }

    // MARK: JSON

    private mutating func addJSON(_ call: CallRecord) {
        begin(call.arrived)
        if !familiar.fits(call) {
            let start = bytes.count
            addWhoAndWhat(call)
            familiar.learn(call, bytes[start...])
        } else {
            bytes.append(contentsOf: familiar.text)
        }
        member(",\"connection\":", call.connection)
        trace(",\"trace\":\"", call.span ?? call.trace, end: "\"")
        number(Key.bytesIn, UInt64(call.bytesIn))
        number(Key.bytesOut, UInt64(call.bytesOut))
        number(Key.auth, call.timing.admission.microseconds)
        number(Key.queue, call.timing.queue.microseconds)
        number(Key.load, call.timing.load.microseconds)
        if call.timing.cold {
            member(",\"fetch_us\":", call.timing.fetch.microseconds)
            member(",\"create_us\":", call.timing.create.microseconds)
        }
        number(Key.run, call.timing.run.microseconds)
        number(Key.total, call.total.microseconds)
        number(call.timing.cold ? Key.coldBatch : Key.warmBatch, UInt64(call.timing.batch))
        bytes.append(UInt8(ascii: "}"))
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

    /// The keys that every line has.
    private enum Key {
        static let bytesIn = Array(",\"bytes_in\":".utf8)
        static let bytesOut = Array(",\"bytes_out\":".utf8)
        static let auth = Array(",\"auth_us\":".utf8)
        static let queue = Array(",\"queue_us\":".utf8)
        static let load = Array(",\"load_us\":".utf8)
        static let run = Array(",\"run_us\":".utf8)
        static let total = Array(",\"total_us\":".utf8)
        static let coldBatch = Array(",\"cold\":true,\"batch\":".utf8)
        static let warmBatch = Array(",\"cold\":false,\"batch\":".utf8)
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
        put("}")
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
    }

    /// `PEER - CLIENT [23/Nov/2026:06:15:00 +0000] "`
    private mutating func common(_ address: String, client: String, _ moment: Instant) {
        put(address.isEmpty ? "-" : address)
        word(" - ", client)
        put(" [")
        _ = clock.turn(to: moment)
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
        for index in place..<20 { bytes.append(digits[index]) }
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
        let milliseconds = clock.turn(to: moment)
        bytes.append(contentsOf: clock.second)
        bytes.append(UInt8(ascii: "0") + UInt8(milliseconds / 100))
        bytes.append(UInt8(ascii: "0") + UInt8(milliseconds / 10 % 10))
        bytes.append(UInt8(ascii: "0") + UInt8(milliseconds % 10))
        bytes.append(UInt8(ascii: "Z"))
    }
}

/// The last call's part of a line that the next one will probably have as well.
private struct Familiar: Sendable {
    private struct Likeness: Sendable {
        let door: Door
        let method: Contract.Method
        let code: StatusCode
        let reason: Reason
        let model: String
        let version: String
        let asked: (model: String, version: String)
        let issuer: String
        let client: String
        let plan: String
        let address: String
    }

    private(set) var text: [UInt8] = []
    private var likeness: Likeness?

    func fits(_ call: CallRecord) -> Bool {
        guard let likeness else { return false }
        return likeness.code == call.code && likeness.model == call.model
            && likeness.client == call.client && likeness.address == call.address
            && likeness.version == call.version && likeness.asked == call.asked
            && likeness.door == call.door && likeness.method == call.method
            && likeness.reason == call.reason && likeness.issuer == call.issuer
            && likeness.plan == call.plan
    }

    /// What a caller wrote is kept no longer than a line would hold it.
    mutating func learn(_ call: CallRecord, _ text: ArraySlice<UInt8>) {
        guard call.asked.model.utf8.count <= AccessLines.textBytesMax,
            call.asked.version.utf8.count <= AccessLines.textBytesMax
        else { return likeness = nil }
        likeness = Likeness(
            door: call.door, method: call.method, code: call.code, reason: call.reason,
            model: call.model, version: call.version, asked: call.asked, issuer: call.issuer,
            client: call.client, plan: call.plan, address: call.address)
        self.text.removeAll(keepingCapacity: true)
        self.text.append(contentsOf: text)
    }
}
