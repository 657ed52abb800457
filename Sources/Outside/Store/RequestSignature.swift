// AWS Signature Version 4 as a value: what is asked goes in, the header that proves who asks comes out. No I/O and no
// clock. Source: AWS General Reference, "Create a signed AWS API request"; S3's own rules (paths are encoded once, the
// payload's hash is a header) are the caller's part, in ObjectStore.

package import Contract
import TLS

/// Who asks.
package struct StoreCredentials: Sendable {
    package var accessKey: String
    package var secretKey: Secret
    /// Of temporary credentials.
    package var sessionToken: Secret?

    package init(accessKey: String, secretKey: Secret, sessionToken: Secret? = nil) {
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.sessionToken = sessionToken
    }
}

/// A moment in UTC as the signature writes it.
package struct SigningTime: Sendable, Equatable {
    /// For example `20130524`.
    package let day: String
    /// For example `20130524T000000Z`.
    package let moment: String

    /// - Parameter seconds: since 1970, not before it.
    package init(secondsSince1970 seconds: Int64) {
        let (days, second) = max(0, seconds).quotientAndRemainder(dividingBy: 86_400)
        let (year, month, dayOfMonth) = SigningTime.date(daysSince1970: days)
        func padded(_ number: Int64, _ width: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
        }
        day = padded(year, 4) + padded(month, 2) + padded(dayOfMonth, 2)
        moment =
            day + "T" + padded(second / 3_600, 2) + padded(second / 60 % 60, 2)
            + padded(second % 60, 2) + "Z"
    }

    /// The Gregorian date; years begin in March here, so that the leap day is the last.
    private static func date(daysSince1970 days: Int64) -> (Int64, Int64, Int64) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let civilMonth = month < 10 ? month + 3 : month - 9
        return (yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0), civilMonth, day)
    }
}

/// One request, ready to be signed.
package struct RequestSignature {
    package static let algorithm = "AWS4-HMAC-SHA256"
    /// SHA-256 of nothing.
    package static let emptyPayload =
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    package var method: String
    /// As it goes over the wire, percent-encoded, with the first slash.
    package var path: String
    /// Names and values, not encoded.
    package var query: [(name: String, value: String)]
    /// All that are signed: `host` and `x-amz-date` at least.
    package var headers: [(name: String, value: String)]
    /// Lower-case hexadecimal SHA-256 of the body.
    package var payload: String
    package var region: String
    package var service: String

    package init(
        method: String, path: String, query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)],
        payload: String = RequestSignature.emptyPayload, region: String, service: String = "s3"
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.payload = payload
        self.region = region
        self.service = service
    }

    /// The value of the header Authorization.
    package func authorization(_ credentials: StoreCredentials, at time: SigningTime) -> String {
        let (names, _) = canonicalHeaders
        let scope = "\(time.day)/\(region)/\(service)/aws4_request"
        return "\(RequestSignature.algorithm) Credential=\(credentials.accessKey)/\(scope),"
            + "SignedHeaders=\(names),Signature=\(signature(credentials, at: time))"
    }

    /// Lower-case hexadecimal.
    package func signature(_ credentials: StoreCredentials, at time: SigningTime) -> String {
        let scope = "\(time.day)/\(region)/\(service)/aws4_request"
        let text = [
            RequestSignature.algorithm, time.moment, scope,
            Cryptography.hex(Cryptography.sha256(Array(canonicalRequest.utf8))),
        ].joined(separator: "\n")
        var key = credentials.secretKey.reveal { Array("AWS4".utf8) + $0 }
        for part in [time.day, region, service, "aws4_request"] {
            key = Cryptography.hmacSHA256(key: key, message: Array(part.utf8))
        }
        return Cryptography.hex(Cryptography.hmacSHA256(key: key, message: Array(text.utf8)))
    }

    package var canonicalRequest: String {
        let (names, lines) = canonicalHeaders
        return [method, path, RequestSignature.canonical(query), lines, names, payload]
            .joined(separator: "\n")
    }

    private var canonicalHeaders: (names: String, lines: String) {
        var values: [String: [String]] = [:]
        for (name, value) in headers {
            values[name.lowercased(), default: []].append(RequestSignature.trimmed(value))
        }
        let names = values.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let lines = names.map { "\($0):\(values[$0, default: []].joined(separator: ","))\n" }
        return (names.joined(separator: ";"), lines.joined())
    }

    /// Without spaces at its ends, and one where there are several.
    private static func trimmed(_ value: String) -> String {
        value.split(whereSeparator: { $0 == " " || $0 == "\t" }).joined(separator: " ")
    }

    /// The query as it is signed, which is also one that can be sent.
    package static func canonical(_ query: [(name: String, value: String)]) -> String {
        query.map { (encoded($0.name), encoded($0.value)) }
            .sorted {
                $0.0 == $1.0
                    ? $0.1.utf8.lexicographicallyPrecedes($1.1.utf8)
                    : $0.0.utf8.lexicographicallyPrecedes($1.0.utf8)
            }
            .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }

    /// Percent-encoded (RFC 3986): all but letters, digits, `-`, `.`, `_` and `~`.
    package static func encoded(_ text: String, keepsSlashes: Bool = false) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                bytes.append(byte)
            case UInt8(ascii: "/") where keepsSlashes: bytes.append(byte)
            default:
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
