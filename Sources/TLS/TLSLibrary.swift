// Which library the kit runs on, for those who look after a house.

private import COpenSSL

package enum TLSLibrary {
    /// For example `3.0.17`: of the library that is loaded, whatever it was built against.
    package static var version: String {
        // `OpenSSL 3.0.17 1 Jul 2025`; the text is a constant of the library.
        guard let text = unsafe OpenSSL_version(OPENSSL_VERSION) else { return "" }
        let words = unsafe String(cString: text).split(separator: " ")
        return words.count > 1 ? String(words[1]) : ""
    }
}
