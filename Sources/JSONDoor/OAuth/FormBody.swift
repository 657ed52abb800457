// A form (application/x-www-form-urlencoded, WHATWG URL section 5.1) as OAuth wants it: every parameter at most once.

import Contract
import NIOCore

struct FormBody {
    static let parametersMax = 32

    /// What a form holds may be secret, all of it.
    private var values: [String: Secret] = [:]

    /// Throws INVALID_REQUEST for a parameter that is given twice, for too many of them, and for a percent sign that
    /// stands for nothing. The message names no value.
    init(_ body: ByteBuffer) throws(AuthorizationRefusal) {
        let pairs = body.readableBytesView.split(
            separator: UInt8(ascii: "&"), omittingEmptySubsequences: true)
        guard pairs.count <= FormBody.parametersMax else {
            throw AuthorizationRefusal(
                .invalidRequest, "more than \(FormBody.parametersMax) parameters")
        }
        for pair in pairs {
            let name = pair.prefix { $0 != UInt8(ascii: "=") }
            guard
                let key = FormBody.decoded(name).flatMap({ String(validating: $0, as: UTF8.self) }),
                let value = FormBody.decoded(pair.dropFirst(name.count + 1))
            else { throw AuthorizationRefusal(.invalidRequest, "the form is not encoded right") }
            // RFC 6749 section 3.2: without a value it counts as left out, and none may come twice.
            if value.isEmpty { continue }
            guard values.updateValue(Secret(bytes: value), forKey: key) == nil else {
                throw AuthorizationRefusal(.invalidRequest, "a parameter is given twice")
            }
        }
    }

    /// nil when it is not there, or is not UTF-8.
    func text(_ name: String) -> String? {
        values[name].flatMap { $0.reveal { String(validating: $0, as: UTF8.self) } }
    }

    func secret(_ name: String) -> Secret? { values[name] }

    /// Plus is a space, `%XX` a byte; nil for a percent sign without two digits.
    static func decoded(_ text: some Collection<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var rest = text.makeIterator()
        while let byte = rest.next() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = rest.next().flatMap(digit), let low = rest.next().flatMap(digit)
                else { return nil }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        return bytes
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
