// Whether the gateway's certificate bears the name that was asked for. NIOSSL is content with one that bears the peer's
// address instead: then whoever can answer for the name's address (by a forged DNS answer) needs only a certificate for an
// address of his own, which public authorities give to anybody. See docs/decisions/0007.

import NIOSSL

package enum ServerIdentity {
    /// True when one of the certificate's DNS names is `name` (RFC 9525 section 6.3). The certificate's chain has been
    /// verified before.
    static func certificate(_ certificate: NIOSSLCertificate, bears name: String) -> Bool {
        certificate._subjectAlternativeNames().contains { alternative in
            guard alternative.nameType == .dnsName else { return false }
            // NIOSSL hands the bytes out as a pointer; they are copied at once.
            let pattern = unsafe alternative.contents.withUnsafeBufferPointer {
                unsafe String(decoding: $0, as: UTF8.self)
            }
            return matches(name, pattern)
        }
    }

    /// Letters' case is nothing, a wildcard is the whole first label and stands for exactly one.
    package static func matches(_ name: String, _ pattern: String) -> Bool {
        let asked = labels(name)
        let borne = labels(pattern)
        guard asked.count == borne.count, !asked.contains("") else { return false }
        if borne[0] == "*" { return borne.count > 2 && asked.dropFirst() == borne.dropFirst() }
        return asked == borne
    }

    private static func labels(_ name: String) -> [String] {
        let relative = name.hasSuffix(".") ? name.dropLast() : name[...]
        return relative.split(separator: ".", omittingEmptySubsequences: false)
            .map { $0.lowercased() }
    }
}
