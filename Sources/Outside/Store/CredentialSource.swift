// The keys to a bucket: from the environment, from files the settings name, or from the shared AWS credentials file.
// Files are read again for each listing, so that keys can be changed without a restart.

package import Contract
import Files
import Synchronization

/// Where keys are looked for, in this order: the files of the settings, the environment, the shared file.
package struct CredentialPlaces: Sendable, Equatable {
    /// `models.s3.access_key_file` and so on.
    package var accessKeyFile: String?
    package var secretKeyFile: String?
    package var sessionTokenFile: String?
    /// The section of the shared file.
    package var profile: String?

    package init() {}
}

/// The keys in force. Any thread may ask; ``refresh()`` blocks.
package final class CredentialSource: Sendable {
    static let fileBytesMax = 64 << 10

    private let places: CredentialPlaces
    private let environment: [String: String]
    private let current = Mutex<StoreCredentials?>(nil)

    package init(_ places: CredentialPlaces, environment: [String: String]) {
        self.places = places
        self.environment = environment
    }

    /// Reads them anew. Throws CONFIGURATION, naming the place.
    @discardableResult
    package func refresh() throws(GatewayError) -> StoreCredentials {
        let found = try read()
        current.withLock { $0 = found }
        return found
    }

    /// Those of the last ``refresh()``, or read now.
    package func credentials() throws(GatewayError) -> StoreCredentials {
        if let known = current.withLock({ $0 }) { return known }
        return try refresh()
    }

    private func read() throws(GatewayError) -> StoreCredentials {
        if places.accessKeyFile != nil || places.secretKeyFile != nil {
            guard let accessFile = places.accessKeyFile, let secretFile = places.secretKeyFile
            else {
                throw GatewayError(
                    .configuration,
                    "models.s3.access_key_file and models.s3.secret_key_file go together")
            }
            let access = try text(accessFile, "models.s3.access_key_file")
            let secret = try text(secretFile, "models.s3.secret_key_file")
            let token = try places.sessionTokenFile.map { file throws(GatewayError) in
                Secret(try text(file, "models.s3.session_token_file"))
            }
            return try checked(access, Secret(secret), token, "models.s3.access_key_file")
        }
        if places.profile == nil, let access = variable("AWS_ACCESS_KEY_ID"),
            let secret = variable("AWS_SECRET_ACCESS_KEY")
        {
            return try checked(
                access, Secret(secret), variable("AWS_SESSION_TOKEN").map { Secret($0) },
                "AWS_ACCESS_KEY_ID")
        }
        if let found = try shared() { return found }
        throw GatewayError(
            .configuration, "there are no keys to the models' bucket",
            mend: "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or models.s3.access_key_file "
                + "and models.s3.secret_key_file, or write them into ~/.aws/credentials")
    }

    private func variable(_ name: String) -> String? {
        environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The shared file's section; nil when there is no file and nobody asked for one.
    private func shared() throws(GatewayError) -> StoreCredentials? {
        let named = variable("AWS_SHARED_CREDENTIALS_FILE")
        guard let path = named ?? variable("HOME").map({ $0 + "/.aws/credentials" }) else {
            return nil
        }
        let profile = places.profile ?? variable("AWS_PROFILE") ?? "default"
        let content: String
        do throws(FileFault) {
            content = try readText(path)
        } catch {
            if error.isMissing, named == nil, places.profile == nil { return nil }
            throw GatewayError(
                .configuration,
                "the AWS credentials file '\(path)' cannot be read: \(error.reason)")
        }
        let keys = CredentialSource.section(profile, of: content)
        guard let access = keys["aws_access_key_id"], let secret = keys["aws_secret_access_key"]
        else {
            throw GatewayError(
                .configuration,
                "the AWS credentials file '\(path)' has no aws_access_key_id and "
                    + "aws_secret_access_key in [\(profile)]",
                mend: "Name another section by models.s3.profile")
        }
        return try checked(
            access, Secret(secret), keys["aws_session_token"].map { Secret($0) }, path)
    }

    /// The keys of one section of an INI file.
    package static func section(_ wanted: String, of content: String) -> [String: String] {
        var keys: [String: String] = [:]
        var isInside = false
        for line in content.split(whereSeparator: \.isNewline) {
            let text = trimmed(line)
            if text.isEmpty || text.hasPrefix("#") || text.hasPrefix(";") { continue }
            if text.hasPrefix("["), text.hasSuffix("]") {
                isInside = trimmed(text.dropFirst().dropLast()) == wanted
                continue
            }
            guard isInside, let sign = text.firstIndex(of: "=") else { continue }
            let name = trimmed(text[..<sign]).lowercased()
            keys[name] = trimmed(text[text.index(after: sign)...])
        }
        return keys
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        String(
            text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }

    private func readText(_ path: String) throws(FileFault) -> String {
        let bytes = try OpenFile(path: path).readAll(byteCountMax: CredentialSource.fileBytesMax)
        return String(decoding: bytes ?? [], as: UTF8.self)
    }

    private func text(_ path: String, _ setting: String) throws(GatewayError) -> String {
        do throws(FileFault) {
            return CredentialSource.trimmed(try readText(path))
        } catch {
            throw GatewayError(
                .configuration, "\(setting): '\(path)' cannot be read: \(error.reason)")
        }
    }

    /// They will stand in headers. Never shows one.
    private func checked(
        _ access: String, _ secret: Secret, _ token: Secret?, _ place: String
    ) throws(GatewayError) -> StoreCredentials {
        let isText: @Sendable ([UInt8]) -> Bool = { bytes in
            !bytes.isEmpty && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        }
        guard isText(Array(access.utf8)), secret.reveal(isText),
            token.map({ $0.reveal(isText) }) ?? true
        else {
            throw GatewayError(
                .configuration, "the keys to the models' bucket (\(place)) are empty or no text")
        }
        return StoreCredentials(accessKey: access, secretKey: secret, sessionToken: token)
    }
}
