// Where the callers' port gets its certificate: the settings' files, or one of our own in the state folder.

import Contract
import TLS

extension TransportSettings {
    /// The rules of the callers' port. Makes a certificate at the first start when the settings name none; blocks.
    func contextSettings(state: String) throws(TLSError) -> TLSServerSettings {
        var settings: TLSServerSettings
        if let certificate, let key {
            settings = TLSServerSettings(
                certificateFile: certificate, keyFile: key,
                applicationProtocols: Listener.protocols)
        } else {
            let own = try SelfSignedCertificate.ensure(folder: state + "/tls")
            settings = TLSServerSettings(
                certificateFile: own.certificate, keyFile: own.key,
                applicationProtocols: Listener.protocols)
        }
        settings.minimumVersion =
            switch minimumVersion {
            case .tls12: .tls12
            case .tls13: .tls13
            }
        settings.clientCertificates =
            switch clientCertificates {
            case .off: .off
            case .optional: .optional
            case .required: .required
            }
        settings.clientAuthorityFile = clientAuthority
        settings.clientRevocationFile = clientRevocation
        settings.ocspFile = certificate == nil ? nil : ocsp
        settings.more = certificates.map {
            TLSServerSettings.Certificate(
                certificateFile: $0.certificate, keyFile: $0.key, ocspFile: $0.ocsp)
        }
        return settings
    }
}
