// Every file that a listener's contexts are made from, read once: all event loops get the same, whatever happens to the
// files meanwhile. And what those files say, for comparisons, metrics and warnings.

private import COpenSSL

/// The files' bytes. Holds private keys: let it go once the contexts are made.
package struct TLSMaterial: Sendable {
    struct File: Sendable {
        let path: String
        let bytes: [UInt8]
    }

    struct Pair: Sendable {
        let certificate: File
        let key: File
        let ocsp: File?
    }

    /// The longest file that is read, in bytes: revocation lists can be long.
    package static let fileBytesMax = 64 << 20

    let settings: TLSServerSettings
    /// The default pair first.
    let pairs: [Pair]
    let authority: File?
    let revocation: File?
    /// Equal digests mean that the same clients are let in by certificate: the mode, the authorities, the lists.
    package let trustDigest: [UInt8]

    /// Reads the files. Blocks.
    /// - Throws: `TLSError` that names the file and what to do.
    package init(reading settings: TLSServerSettings) throws(TLSError) {
        guard settings.more.count < TLSServerSettings.certificatesMax else {
            throw TLSError(
                .setting,
                "\(settings.more.count + 1) certificates; at most "
                    + "\(TLSServerSettings.certificatesMax)")
        }
        let first = TLSServerSettings.Certificate(
            certificateFile: settings.certificateFile, keyFile: settings.keyFile,
            ocspFile: settings.ocspFile)
        var pairs: [Pair] = []
        for files in [first] + settings.more { pairs.append(try Self.pair(files)) }
        self.settings = settings
        self.pairs = pairs
        var authority: File?
        var revocation: File?
        if settings.clientCertificates != .off {
            guard let path = settings.clientAuthorityFile else {
                throw TLSError(
                    .clientAuthority,
                    "client certificates are asked for, but no file says who may sign them; "
                        + "set tls.client_ca")
            }
            authority = try Self.read(
                path, .clientAuthority, "the authorities", TLSServerContext.authorityMend)
            if let path = settings.clientRevocationFile {
                revocation = try Self.read(
                    path, .clientRevocation, "the revocation lists",
                    TLSServerContext.revocationMend)
            }
        }
        self.authority = authority
        self.revocation = revocation
        var trust = Array("\(settings.clientCertificates)".utf8)
        trust += Cryptography.sha256(authority?.bytes ?? [])
        trust += revocation.map { Cryptography.sha256($0.bytes) } ?? []
        trustDigest = Cryptography.sha256(trust)
    }

    private static func pair(_ files: TLSServerSettings.Certificate) throws(TLSError) -> Pair {
        Pair(
            certificate: try read(
                files.certificateFile, .certificate, "the certificate",
                TLSServerContext.certificateMend),
            key: try read(
                files.keyFile, .key, "the private key",
                "give a PEM file with the key of \(files.certificateFile), without a passphrase"),
            ocsp: try files.ocspFile.map { path throws(TLSError) in
                try read(path, .ocsp, "the OCSP answer", TLSServerContext.ocspMend)
            })
    }

    private static func read(
        _ path: String, _ code: TLSError.Code, _ what: String, _ mend: String
    ) throws(TLSError) -> File {
        do throws(FileReason) {
            return File(
                path: path, bytes: try StateFiles.content(of: path, bytesMax: fileBytesMax))
        } catch {
            throw TLSError(code, "\(what) \(path) cannot be used; \(mend)", reasons: [error.text])
        }
    }

    /// One context for each event loop, with the same rules and tickets, and what they are made from. Everything is
    /// checked by it but the time.
    package func makeContexts(
        count: Int, ticketKeys: TicketKeys
    ) throws(TLSError) -> (contexts: [TLSServerContext], inventory: TLSInventory) {
        precondition(count > 0, "at least one context")
        var contexts: [TLSServerContext] = []
        var inventory = TLSInventory()
        for _ in 0..<count {
            inventory = TLSInventory()
            inventory.trustDigest = trustDigest
            var others: [TLSServerContext] = []
            for pair in pairs.dropFirst() {
                others.append(
                    try TLSServerContext(self, pair, ticketKeys: ticketKeys, &inventory))
            }
            let first = try TLSServerContext(
                self, pairs[0], ticketKeys: ticketKeys, &inventory, others: others,
                names: { own in
                    var names = ServerNames<Int>()
                    for name in own { names.add(name, -1) }
                    for (place, other) in others.enumerated() {
                        for name in other.certificateNames { names.add(name, place) }
                    }
                    return names
                })
            contexts.append(first)
        }
        return (contexts, inventory)
    }
}

/// What a listener's files say, each with the time it is good for. Times are seconds since 1970.
package struct TLSInventory: Sendable, Equatable {
    package enum Kind: String, Sendable {
        case certificate
        case authority
        case revocationList = "revocation_list"
        case ocsp
    }

    package struct Item: Sendable, Hashable {
        package var kind: Kind
        package var path: String
        /// The subject, or the issuer of a list, as `PeerSubject` writes names.
        package var name: String
        package var begins: Int64
        package var ends: Int64
        /// SHA-256 of it in DER.
        package var digest: [UInt8]
        /// A certificate's serial number in hexadecimal, else empty.
        package var serial: String

        package init(
            kind: Kind, path: String, name: String, begins: Int64, ends: Int64, digest: [UInt8],
            serial: String = ""
        ) {
            self.kind = kind
            self.path = path
            self.name = name
            self.begins = begins
            self.ends = ends
            self.digest = digest
            self.serial = serial
        }
    }

    package var items: [Item] = []
    package var trustDigest: [UInt8] = []

    package init() {}

    /// What was not in `earlier` must be good now: a reload does not take what is over, but goes on with what has
    /// become old in force. A stale OCSP answer is only not stapled.
    package func check(now: Int64, replacing earlier: TLSInventory) throws(TLSError) {
        let known = Set(earlier.items.map(\.digest))
        for item in items
        where (item.ends <= now || item.begins > now) && item.kind != .ocsp
            && item.kind != .authority && !known.contains(item.digest)
        {
            let what = item.kind == .certificate ? "certificate" : "revocation list"
            throw TLSError(
                .outOfDate,
                item.ends <= now
                    ? "the \(what) \(item.path) (\(item.name)) has ended"
                    : "the \(what) \(item.path) (\(item.name)) is not valid yet")
        }
    }
}
