// What the operator is told about certificates that end: a value, told the time.

import Contract
package import Logging
package import TLS

/// The end of one certificate, authority, revocation list or OCSP answer: for metrics.
package struct CertificateExpiry: Sendable, Hashable {
    package var kind: String
    package var path: String
    /// The subject, or the issuer of a list (RFC 4514).
    package var name: String
    /// Of a certificate, in hexadecimal.
    package var serial: String
    /// Seconds since 1970.
    package var ends: Int64
}

/// One line for the log.
package struct CertificateNote: Sendable, Equatable {
    package var level: Logger.Level
    package var text: String
    package var metadata: Logger.Metadata

    /// How long before the end of a certificate or authority the warnings begin.
    package static let warningSeconds: Int64 = 30 * 86_400

    /// What is to be said of what is in force.
    package static func notes(_ items: [TLSInventory.Item], now: Int64) -> [CertificateNote] {
        items.compactMap { item in
            let left = item.ends - now
            let metadata: Logger.Metadata = [
                "file": "\(item.path)", "subject": "\(item.name)",
                "days": "\(left >= 0 ? left / 86_400 : -((86_399 - left) / 86_400))",
            ]
            func note(_ level: Logger.Level, _ text: String) -> CertificateNote {
                CertificateNote(level: level, text: text, metadata: metadata)
            }
            switch item.kind {
            case .certificate where left <= 0:
                return note(.error, "a certificate of the callers' port has ended")
            case .certificate where left <= warningSeconds:
                return note(.warning, "a certificate of the callers' port ends soon")
            case .certificate where item.begins > now:
                return note(.error, "a certificate of the callers' port is not valid yet")
            case .authority where left <= 0:
                return note(.error, "an authority for client certificates has ended")
            case .authority where left <= warningSeconds:
                return note(.warning, "an authority for client certificates ends soon")
            case .revocationList where left <= 0:
                return note(
                    .error,
                    "a revocation list is out of date: certificates of its authority are refused")
            case .ocsp where left <= 0:
                return note(.warning, "an OCSP answer is out of date and not stapled")
            default: return nil
            }
        }
    }
}
