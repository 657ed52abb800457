// `tls.certificates`: more certificates beside the default pair, a list of maps like the issuers; and what of `tls` must
// fit together.

import Contract
import TLS

extension SettingsReader {
    static let certificatesMax = TLSServerSettings.certificatesMax - 1

    mutating func readCertificates() {
        var certificates: [CertificateSettings] = []
        while certificates.count < SettingsReader.certificatesMax {
            let prefix = "tls.certificates.\(certificates.count)."
            let isThere =
                sources.document.entries.contains { $0.key.hasPrefix(prefix) }
                || sources.find(prefix + "certificate", isList: false) != nil
            guard isThere else { break }
            var certificate = CertificateSettings()
            for rule in CertificateSettings.rules { read(rule, prefix: prefix, into: &certificate) }
            for needed in ["certificate", "key"]
            where sources.find(prefix + needed, isList: false) == nil {
                fault(prefix + needed, "", "is missing: certificate and key go together")
            }
            certificates.append(certificate)
        }
        let beyond = "tls.certificates.\(SettingsReader.certificatesMax)."
        if sources.document.entries.contains(where: { $0.key.hasPrefix(beyond) }) {
            fault(
                "tls.certificates", "",
                "has more than \(SettingsReader.certificatesMax) certificates")
        }
        settings.tls.certificates = certificates
    }

    mutating func checkCertificateKey(_ entry: SettingsDocument.Entry) {
        if case .empty = entry.value, entry.path.count == 2 { return }
        if case .list(let values) = entry.value, entry.path.count == 2, values.isEmpty { return }
        guard entry.path.count == 4, UInt16(entry.path[2]) != nil else {
            return fault(
                entry.key, "line \(entry.line)",
                "must be a list of certificates, each with a certificate and a key")
        }
        if CertificateSettings.keys.contains(entry.path[3]) { return }
        let prefix = "tls.certificates.\(entry.path[2])."
        unknown(entry, CertificateSettings.keys.map { prefix + $0 }, prefix: prefix)
    }

    mutating func checkTransport() {
        let tls = settings.tls
        if (tls.certificate == nil) != (tls.key == nil) {
            let missing = tls.certificate == nil ? "tls.certificate" : "tls.key"
            if sources.find(missing, isList: false) == nil {
                fault(missing, "", "is missing: tls.certificate and tls.key go together")
            }
        }
        if tls.clientCertificates != .off, tls.clientAuthority == nil,
            sources.find("tls.client_ca", isList: false) == nil
        {
            fault(
                "tls.client_ca", "",
                "is missing: tls.client_certificates is \(tls.clientCertificates.rawValue)")
        }
        if tls.clientRevocation != nil, tls.clientCertificates == .off {
            fault(
                "tls.client_crl", place("tls.client_crl"),
                "means nothing: tls.client_certificates is off")
        }
        if tls.ocsp != nil, tls.certificate == nil {
            fault("tls.ocsp", place("tls.ocsp"), "means nothing without tls.certificate")
        }
    }

    /// Files that must be there at start. The ticket keys' is made when it is missing.
    var transportFiles: [(key: String, path: String?)] {
        let tls = settings.tls
        var named: [(key: String, path: String?)] = [
            ("tls.certificate", tls.certificate), ("tls.key", tls.key), ("tls.ocsp", tls.ocsp),
            ("tls.client_ca", tls.clientAuthority), ("tls.client_crl", tls.clientRevocation),
        ]
        for (number, pair) in tls.certificates.enumerated() {
            let prefix = "tls.certificates.\(number)."
            named.append(
                (prefix + "certificate", pair.certificate.isEmpty ? nil : pair.certificate))
            named.append((prefix + "key", pair.key.isEmpty ? nil : pair.key))
            named.append((prefix + "ocsp", pair.ocsp))
        }
        return named
    }
}
