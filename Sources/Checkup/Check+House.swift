// What of the house a gateway depends on: certificates, keys, issuers, models, folders, ports.

extension Check {
    // MARK: - Certificates and keys

    private static let warnSeconds: Int64 = 30 * 86_400

    static let certificate = Check(
        "certificate", wanted: "a chain with its key, good for 30 days more"
    ) { surroundings in
        let facts = try await surroundings.certificates()
        guard !facts.isEmpty else {
            return [
                Finding(
                    "certificate", .ok, found: "none yet: the gateway makes its own at its start",
                    wanted: "a chain with its key")
            ]
        }
        return facts.map(judge)
    }

    private static func judge(_ fact: CertificateFact) -> Finding {
        let name = fact.kind == "certificate" ? "certificate" : "tls \(fact.kind)"
        let wanted = "good for 30 days more"
        let days = (fact.ends - fact.now) / 86_400
        let what = "\(fact.path) (\(fact.subject))"
        func finding(_ verdict: Finding.Verdict, _ found: String, _ mend: String = "") -> Finding {
            Finding(name, verdict, found: found, wanted: wanted, mend: mend)
        }
        let renew = "Put a new one in its place; a running gateway takes it by itself (tls.watch)"
        // Without it the gateway goes on: an answer that is over is not stapled.
        let isNeeded = fact.kind != "ocsp"
        if fact.ends <= fact.now {
            return finding(isNeeded ? .fail : .warn, "\(what) has ended", renew)
        }
        if fact.begins > fact.now {
            return finding(
                isNeeded ? .fail : .warn, "\(what) is not valid yet",
                "Set the clock, or take one that is")
        }
        if fact.ends - fact.now <= warnSeconds,
            fact.kind == "certificate" || fact.kind == "authority"
        {
            return finding(.warn, "\(what) ends in \(days) days", renew)
        }
        return finding(.ok, "\(what) is good for \(days) days")
    }

    static func secretFile(_ file: HousePlan.SecretFile) -> Check {
        let wanted = "readable for the gateway's user, and for nobody else"
        return Check(file.setting, wanted: wanted) { surroundings in
            let fact = try await surroundings.secretFile(at: file.path)
            func finding(
                _ verdict: Finding.Verdict, _ found: String, _ mend: String = ""
            ) -> [Finding] {
                [
                    Finding(
                        file.setting, verdict, found: "\(file.path) \(found)", wanted: wanted,
                        mend: mend)
                ]
            }
            guard fact.isThere else {
                return file.isMadeByGateway
                    ? finding(.ok, "is made at the gateway's start")
                    : finding(.fail, "is not there", "Put it there, or change the setting")
            }
            guard fact.isReadable else {
                return finding(
                    .fail, "cannot be read by this user",
                    "chown it to the gateway's user, and chmod 600 '\(file.path)'")
            }
            guard fact.mode & 0o077 == 0 else {
                return finding(
                    .warn, "may be opened by others (mode \(String(fact.mode, radix: 8)))",
                    "chmod 600 '\(file.path)'")
            }
            guard fact.isOurs else {
                return finding(.warn, "belongs to another user", "chown it to the gateway's user")
            }
            return finding(.ok, "is only its owner's")
        }
    }

    // MARK: - Others

    static func issuer(_ name: String) -> Check {
        Check("issuer \(name)", wanted: "an answer to a question about a token") { surroundings in
            [
                Finding(
                    "issuer \(name)", .ok, found: try await surroundings.ask(issuer: name),
                    wanted: "an answer")
            ]
        }
    }

    static func store(_ plan: HousePlan) -> Check {
        Check("store", wanted: "a listing of \(plan.repository)") { surroundings in
            [
                Finding(
                    "store", .ok, found: try await surroundings.askStore(), wanted: "a listing")
            ]
        }
    }

    static func models(_ plan: HousePlan) -> Check {
        let wanted = "a folder with NAME/VERSION/model.onnx, none of them broken"
        return Check("models", wanted: wanted) { surroundings in
            let fact = try await surroundings.models()
            let found = "\(fact.versions) versions in \(plan.repository)"
            if let first = fact.broken.first {
                return [
                    Finding(
                        "models", .warn,
                        found: "\(found), \(fact.broken.count) of them broken: "
                            + fact.broken.prefix(3).joined(separator: "; "), wanted: wanted,
                        mend: "sluice models verify names what is wrong; \(first.prefix(60)) first")
                ]
            }
            if let note = fact.notes.first {
                return [
                    Finding(
                        "models", .warn, found: "\(found); \(note)", wanted: wanted,
                        mend: "Move away what is no model")
                ]
            }
            guard fact.versions > 0 else {
                return [
                    Finding(
                        "models", .warn, found: "no model in \(plan.repository)", wanted: wanted,
                        mend: "sluice models import FILE, or set models.repository")
                ]
            }
            return [Finding("models", .ok, found: found, wanted: wanted)]
        }
    }

    // MARK: - Folders and ports

    static let spaceFail: UInt64 = 64 << 20
    static let spaceWarn: UInt64 = 1 << 30

    static func space(_ setting: String, _ path: String) -> Check {
        let wanted = "writable, with 1 GiB free"
        return Check("\(setting) folder", wanted: wanted) { surroundings in
            let fact = try await surroundings.space(at: path)
            func finding(_ verdict: Finding.Verdict, _ found: String, _ mend: String) -> [Finding] {
                [
                    Finding(
                        "\(setting) folder", verdict, found: found, wanted: wanted, mend: mend)
                ]
            }
            guard fact.isWritable else {
                return finding(
                    .fail, "\(fact.place) cannot be written to",
                    "Give the gateway's user the right, or choose another by `\(setting)`")
            }
            let found = "\(size(fact.free)) free in \(fact.place)"
            let mend = "Free some, or choose another disk by `\(setting)`"
            if fact.free < spaceFail { return finding(.fail, found, mend) }
            return finding(fact.free < spaceWarn ? .warn : .ok, found, mend)
        }
    }

    static func port(_ setting: String, _ place: String) -> Check {
        let wanted = "free, or a gateway's"
        return Check("port \(setting)", wanted: wanted) { surroundings in
            func finding(
                _ verdict: Finding.Verdict, _ found: String, _ mend: String = ""
            ) -> [Finding] {
                [
                    Finding(
                        "port \(setting)", verdict, found: "\(place) \(found)", wanted: wanted,
                        mend: mend)
                ]
            }
            switch try await surroundings.port(at: place) {
            case .free: return finding(.ok, "is free")
            case .gateway(let version):
                return finding(.ok, "is a gateway's" + (version.isEmpty ? "" : ", \(version)"))
            case .taken:
                return finding(
                    .fail, "is taken by another program",
                    "Stop it (ss -ltnp shows which it is), or choose another by `\(setting)`")
            case .impossible(let why):
                return finding(
                    .fail, "cannot be listened on: \(why)", "Choose another by `\(setting)`")
            }
        }
    }

    static let stateFolder = Check("state lock", wanted: "one gateway at most") { surroundings in
        let found =
            try await surroundings.gateway().map { "held by process \($0.process)" }
            ?? "no gateway runs on it"
        return [Finding("state lock", .ok, found: found, wanted: "one gateway at most")]
    }
}
