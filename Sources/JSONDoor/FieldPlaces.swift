// Where the fields stand in a head that decide anything, found in one pass and without a copy.

import NIOHTTP1

/// The fields the door, the bridge and the walk look at. Names compare without case (RFC 9110 section 5.1).
package enum FieldName: Int, Sendable, CaseIterable {
    case host, accept, origin, expect, upgrade, traceparent, contentType, requestID, authorization,
        contentLength, contentEncoding, transferEncoding, askedMethod, acceptEncoding,
        inferenceHeaderLength, ifNoneMatch

    /// The one of this name, in whatever case; nil: none of these.
    fileprivate static func of(_ name: String) -> FieldName? {
        func check(_ candidate: FieldName, _ text: String) -> FieldName? {
            // ASCII letters differ from their capitals in one bit, and the parser lets only characters of a token pass.
            var left = text.utf8.makeIterator()
            for byte in name.utf8 {
                let lower = (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
                guard left.next() == lower else { return nil }
            }
            return candidate
        }
        switch name.utf8.count {
        case 4: return check(.host, "host")
        case 6:
            return check(.accept, "accept") ?? check(.origin, "origin") ?? check(.expect, "expect")
        case 7: return check(.upgrade, "upgrade")
        case 11: return check(.traceparent, "traceparent")
        case 12: return check(.contentType, "content-type") ?? check(.requestID, "x-request-id")
        case 13:
            return check(.authorization, "authorization") ?? check(.ifNoneMatch, "if-none-match")
        case 14: return check(.contentLength, "content-length")
        case 15: return check(.acceptEncoding, "accept-encoding")
        case 16: return check(.contentEncoding, "content-encoding")
        case 17: return check(.transferEncoding, "transfer-encoding")
        case 29: return check(.askedMethod, "access-control-request-method")
        case 31: return check(.inferenceHeaderLength, "inference-header-content-length")
        default: return nil
        }
    }
}

/// The place of the first field of each name, and how many there are.
struct FieldPlaces: Sendable, Equatable {
    /// Counted from one; zero: there is none.
    private var places = SIMD16<UInt16>()
    private var counts = SIMD16<UInt16>()

    /// - Parameter headers: at most 65,534 fields; the parser allows far fewer.
    init(_ headers: HTTPHeaders) {
        var place: UInt16 = 0
        for (name, _) in headers {
            guard place < UInt16.max - 1 else { return }
            place += 1
            guard let known = FieldName.of(name)?.rawValue else { continue }
            if places[known] == 0 { places[known] = place }
            counts[known] += 1
        }
    }

    func count(_ name: FieldName) -> Int { Int(counts[name.rawValue]) }

    /// The first field's value.
    func value(_ name: FieldName, in headers: HTTPHeaders) -> String? {
        let place = places[name.rawValue]
        guard place > 0 else { return nil }
        return headers[headers.index(headers.startIndex, offsetBy: Int(place) - 1)].value
    }

    /// The value when there is exactly one such field.
    func only(_ name: FieldName, in headers: HTTPHeaders) -> String? {
        count(name) == 1 ? value(name, in: headers) : nil
    }
}
