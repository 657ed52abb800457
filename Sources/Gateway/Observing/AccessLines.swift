// The access log's lines, as bytes: JSON, or the combined format of web servers with our own fields behind it. Untrusted text is
// escaped and cut; docs/operating.md lists the fields.

package import Contract
import Foundation
package import JSONDoor
import NIOHTTP1
import OpenInference

/// What a line is about.
package enum AccessEntry: Sendable {
    case call(CallRecord)
    /// A request over HTTP that was no call.
    case request(HTTPRecord)

    /// Bytes of a text that a line holds at most.
    package static let textBytesMax = 256

    /// The call, with no more of what its caller wrote than a line holds: it may have to wait.
    package static func of(_ call: CallRecord) -> AccessEntry { .call(cut(call)) }

    static func cut(_ call: CallRecord) -> CallRecord {
        var call = call
        call.asked = (cut(call.asked.model), cut(call.asked.version))
        return call
    }

    static func cut(_ text: String) -> String {
        text.utf8.count <= textBytesMax
            ? text : String(decoding: text.utf8.prefix(textBytesMax), as: UTF8.self)
    }
}

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

/// Lines being put together. Used on the log's own thread.
package struct AccessLines: Sendable {
    package typealias Format = AccessLogSettings.Format

    package private(set) var bytes: [UInt8] = []
    package private(set) var count = 0
    private let format: Format
    /// The same moment on the wall, in nanoseconds since 1970, and on the monotonic clock.
    private let wall: UInt64
    private let now: Instant
    private var second = UInt64.max
    private var secondText = ""
    private var commonText = ""

    package init(_ format: Format, wall: UInt64, now: Instant) {
        self.format = format
        self.wall = wall
        self.now = now
        bytes.reserveCapacity(1 << 16)
    }

    package mutating func clear() {
        bytes.removeAll(keepingCapacity: true)
        count = 0
    }

    package mutating func add(_ entry: AccessEntry) {
        switch (entry, format) {
        case (.call(let call), .json): addJSON(call)
        case (.request(let request), .json): addJSON(request)
        case (.call(let call), .common): addCommon(call)
        case (.request(let request), .common): addCommon(request)
        }
        bytes.append(UInt8(ascii: "\n"))
        count += 1
    }

    // MARK: JSON

    private mutating func addJSON(_ call: CallRecord) {
        begin(call.arrived)
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
        member(",\"connection\":", call.connection)
        trace(",\"trace\":\"", call.span ?? call.trace, end: "\"")
        member(",\"bytes_in\":", UInt64(call.bytesIn))
        member(",\"bytes_out\":", UInt64(call.bytesOut))
        member(",\"auth_us\":", call.timing.admission.microseconds)
        member(",\"queue_us\":", call.timing.queue.microseconds)
        member(",\"load_us\":", call.timing.load.microseconds)
        if call.timing.cold {
            member(",\"fetch_us\":", call.timing.fetch.microseconds)
            member(",\"create_us\":", call.timing.create.microseconds)
        }
        member(",\"run_us\":", call.timing.run.microseconds)
        member(",\"total_us\":", call.total.microseconds)
        put(call.timing.cold ? ",\"cold\":true,\"batch\":" : ",\"cold\":false,\"batch\":")
        put(UInt64(call.timing.batch))
        put("}")
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
        JSONText.append(text, byteCountMax: AccessEntry.textBytesMax, to: &bytes)
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
        _ = turn(to: moment)
        put(commonText)
        put("] \"")
    }

    /// `-` for what is empty.
    private mutating func word(_ key: String, _ text: String) {
        put(key)
        if text.isEmpty { put("-") } else { quoted(text) }
    }

    /// As Apache writes what others said: quotes, spaces and control characters as `\xHH`.
    private mutating func quoted(_ text: String) {
        var left = AccessEntry.textBytesMax
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
        let start = bytes.count
        var rest = number
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
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
        let milliseconds = turn(to: moment)
        put(secondText)
        put(".")
        bytes.append(UInt8(ascii: "0") + UInt8(milliseconds / 100))
        bytes.append(UInt8(ascii: "0") + UInt8(milliseconds / 10 % 10))
        bytes.append(UInt8(ascii: "0") + UInt8(milliseconds % 10))
        put("Z")
    }

    /// Has the texts of the moment's second ready. Returns the milliseconds behind it.
    private mutating func turn(to moment: Instant) -> UInt64 {
        let ago = now.since(moment).count
        let since1970 = wall > ago ? wall - ago : 0
        let new = since1970 / 1_000_000_000
        if new != second {
            second = new
            let text = Date(timeIntervalSince1970: Double(new)).ISO8601Format()
            secondText = String(text.dropLast())
            commonText = AccessLines.common(text)
        }
        return since1970 / 1_000_000 % 1_000
    }

    /// `2026-11-23T06:15:00Z` as `23/Nov/2026:06:15:00 +0000`.
    private static func common(_ text: String) -> String {
        let parts = text.split { "-TZ".contains($0) }
        guard parts.count == 4, let month = Int(parts[1]), (1...12).contains(month) else {
            return text
        }
        let names = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        return "\(parts[2])/\(names[month - 1])/\(parts[0]):\(parts[3]) +0000"
    }
}
