// What a bearer token may look like. The first question of Admission, answered before anybody is asked.

/// RFC 6750 section 2.1: `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
enum TokenSyntax {
    static func isToken(_ bytes: [UInt8], lengthMax: Int) -> Bool {
        guard !bytes.isEmpty, bytes.count <= lengthMax else { return false }
        var padding = false
        for byte in bytes {
            if byte == UInt8(ascii: "=") {
                padding = true
            } else if padding || !isTokenCharacter(byte) {
                return false
            }
        }
        return bytes[0] != UInt8(ascii: "=")
    }

    private static func isTokenCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "+"), UInt8(ascii: "/"):
            true
        default: false
        }
    }
}
