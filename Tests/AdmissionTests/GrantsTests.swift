// Which call a scope allows: tables.

import Admission
import Contract
import Testing

private func grants(_ scopes: String, _ vocabulary: Vocabulary = .local) -> Grants {
    AccessPolicy().grants(
        for: Identity(
            issuer: "main", client: "app", subject: "s",
            scopes: scopes.split(separator: " ").map(String.init), validFor: nil),
        vocabulary: vocabulary)
}

@Suite struct GrantsTests {
    @Test(arguments: [
        ("infer:*", "iris", true), ("infer:iris", "iris", true), ("infer:iris", "iris2", false),
        ("infer:iris", "iri", false), ("infer:iris*", "iris", true),
        ("infer:iris*", "iris-v2", true), ("infer:iris*", "iri", false), ("infer:iris", "", false),
        ("infer:a infer:b*", "b.c", true), ("infer:a infer:b*", "c", false),
        ("admin", "anything", true), ("models:read", "iris", false),
        ("models:admin", "iris", false), ("", "iris", false), ("infer", "iris", false),
        ("infer:", "iris", false), ("INFER:*", "iris", false), ("infer:Iris", "iris", false),
        ("infer:i*s", "iris", false), ("infer:*s", "iris", false), ("infer:**", "iris", false),
        ("infer:../*", "../x", false), ("infer:iris*", "iris\u{0}", true),
    ])
    func patterns(scopes: String, model: String, allowed: Bool) {
        #expect(grants(scopes).mayInfer(model) == allowed)
    }

    @Test func aNameThatOnlyLooksTheSameIsAnother() {
        // KELVIN SIGN is canonically equal to K.
        #expect("\u{212A}" == "K")
        #expect(!grants("infer:K").mayInfer("\u{212A}"))
        #expect(!grants("infer:K*").mayInfer("\u{212A}9"))
    }

    @Test(arguments: [
        ("infer:iris", Method.infer, "iris", Grants.Judgement.allowed()),
        ("infer:iris", .infer, "other", .hidden(rule: "auth.scopes")),
        ("infer:iris", .inferStream, "iris", .allowed()),
        ("infer:iris models:read", .infer, "other", .hidden(rule: "auth.scopes")),
        ("models:read", .infer, "iris", .missing(scope: "infer")),
        ("", .infer, "iris", .missing(scope: "infer")),
        ("tokens:admin", .infer, "iris", .missing(scope: "infer")),
        ("infer:iris", .modelMetadata, "iris", .allowed()),
        ("infer:iris", .modelMetadata, "other", .hidden(rule: "auth.scopes")),
        ("infer:iris", .modelReady, "other", .hidden(rule: "auth.scopes")),
        ("infer:iris", .modelStatistics, "other", .hidden(rule: "auth.scopes")),
        ("infer:iris", .modelStatistics, "", .allowed()),
        ("", .modelStatistics, "", .missing(scope: "models:read")),
        ("models:read", .modelMetadata, "other", .allowed()),
        ("models:read", .modelReady, "other", .allowed()),
        ("models:read", .modelStatistics, "other", .allowed()),
        ("models:admin", .modelMetadata, "other", .allowed()),
        ("tokens:admin", .modelMetadata, "iris", .missing(scope: "models:read")),
        ("infer:iris", .repositoryIndex, "", .allowed()),
        ("models:read", .repositoryIndex, "", .allowed()),
        ("tokens:admin", .repositoryIndex, "", .missing(scope: "models:read")),
        ("infer:* models:read", .repositoryLoad, "iris", .missing(scope: "models:admin")),
        ("infer:* models:read", .repositoryUnload, "no", .missing(scope: "models:admin")),
        ("models:admin", .repositoryLoad, "iris", .allowed()),
        ("models:admin", .repositoryUnload, "iris", .allowed()),
        ("models:admin", .infer, "iris", .missing(scope: "infer")),
        ("infer:* models:read", .modelControl, "iris", .missing(scope: "models:admin")),
        ("infer:iris", .modelControl, "no", .missing(scope: "models:admin")),
        ("models:admin", .modelControl, "iris", .allowed()),
        ("infer:* models:read", .modelAlias, "iris", .missing(scope: "models:admin")),
        ("models:admin", .modelAlias, "iris", .allowed()),
        ("infer:iris", .modelAccount, "iris", .missing(scope: "models:read")),
        ("infer:iris", .modelAccount, "", .missing(scope: "models:read")),
        ("", .modelAccount, "no", .missing(scope: "models:read")),
        ("models:read", .modelAccount, "", .allowed()),
        ("models:read", .modelAccount, "iris", .allowed()),
        ("models:admin", .modelAccount, "iris", .allowed()),
        ("", .serverMetadata, "", .allowed()), ("", .serverReady, "", .allowed()),
        ("", .healthWatch, "", .allowed()),
    ])
    func methods(
        scopes: String, method: Contract.Method, model: String, judgement: Grants.Judgement
    ) {
        #expect(grants(scopes).judge(method, model: model) == judgement)
    }

    @Test func adminMayDoEverything() {
        for method in Contract.Method.allCases {
            #expect(grants("admin").judge(method, model: "iris") == .allowed())
        }
        #expect(grants("admin").rights.contains(.tokensAdmin))
    }

    @Test func nothingIsAllowedWithoutAScope() {
        for method in Contract.Method.allCases
        where ![.serverMetadata, .serverReady, .healthWatch, .accessCheck].contains(method) {
            #expect(grants("unknown email openid").judge(method, model: "iris") != .allowed())
        }
    }

    @Test func patternsAreBounded() {
        let many = (0..<1_000).map { "infer:m\($0)" }.joined(separator: " ")
        #expect(grants(many).mayInfer("m\(Entitlement.patternsMax - 1)"))
        #expect(!grants(many).mayInfer("m\(Entitlement.patternsMax)"))
    }
}

@Suite struct ScopePolicyTests {
    @Test func aForeignScopeIsMapped() throws {
        let policy = try ScopePolicy(foreign: [
            "infer": ["infer:*"], "ops": ["models:admin", "infer:iris"],
        ])
        #expect(policy.entitlement(for: ["infer"], vocabulary: .foreign).infersEverything)
        let ops = policy.entitlement(for: ["ops"], vocabulary: .foreign)
        #expect(ops.rights.contains(.modelsAdmin) && ops.mayInfer("iris") && !ops.mayInfer("x"))
        // The embedded issuer's words are not mapped.
        #expect(policy.entitlement(for: ["infer"], vocabulary: .local) == Entitlement())
    }

    @Test func aForeignAdminIsNobodyUntilMapped() throws {
        #expect(ScopePolicy().entitlement(for: ["admin"], vocabulary: .foreign) == Entitlement())
        #expect(
            ScopePolicy().entitlement(for: ["infer:iris"], vocabulary: .foreign).mayInfer("iris"))
        let policy = try ScopePolicy(foreign: ["admin": ["admin"], "infer:iris": []])
        #expect(
            policy.entitlement(for: ["admin"], vocabulary: .foreign).rights.contains(.tokensAdmin))
    }

    @Test func aMappedWordLosesItsOwnMeaning() throws {
        let policy = try ScopePolicy(foreign: ["infer:iris": ["models:read"]])
        let grants = policy.entitlement(for: ["infer:iris"], vocabulary: .foreign)
        #expect(!grants.mayInfer("iris") && grants.rights == .modelsRead)
    }

    @Test func aMistypedGrantIsRefused() throws {
        let error = #expect(throws: GatewayError.self) {
            try ScopePolicy(foreign: ["infer": ["infr:*"]])
        }
        #expect(error?.message.contains("infr:*") == true && error?.mend.isEmpty == false)
    }
}

@Suite struct TokenSyntaxTests {
    @Test(arguments: [
        ("slc_abc-._~+/09AZ", true), ("a", true), ("a=", true), ("a==", true), ("=", false),
        ("=a", false), ("a=b", false), ("", false), ("a b", false), ("x&client_id=evil", false),
        ("a%41", false), ("a\n", false), ("a\u{0}", false), ("\u{e9}", false), ("a,b", false),
        ("a;b", false), ("\"a\"", false),
    ])
    func form(token: String, valid: Bool) {
        #expect(TokenSyntax.isToken(Array(token.utf8), lengthMax: 100) == valid)
    }

    @Test func lengthIsBounded() {
        let longest = [UInt8](repeating: UInt8(ascii: "a"), count: 16 << 10)
        #expect(TokenSyntax.isToken(longest, lengthMax: 16 << 10))
        #expect(!TokenSyntax.isToken(longest + [UInt8(ascii: "a")], lengthMax: 16 << 10))
    }
}

@Suite struct IssuerChoiceTests {
    private struct Nobody: TokenVerifier {
        func verify(_ token: Secret) async throws(CallFailure) -> Verdict { .inactive }
    }

    private func issuer(_ name: String, prefix: String = "", servers: [String] = [])
        -> TrustedIssuer
    {
        TrustedIssuer(
            name: name, verifier: Nobody(), vocabulary: .local, tokenPrefix: prefix,
            serverNames: servers)
    }

    private func chosen(_ choice: IssuerChoice, _ token: String, _ server: String = "") -> String? {
        choice.index(token: Array(token.utf8), serverName: server).map { choice.issuers[$0].name }
    }

    @Test func oneIssuerNeedsNoBinding() throws {
        #expect(chosen(try IssuerChoice([issuer("only")]), "anything") == "only")
    }

    @Test func theTightestBindingIsMeant() throws {
        let choice = try IssuerChoice([
            issuer("rest"), issuer("local", prefix: "slc_"), issuer("longer", prefix: "slc_x"),
            issuer("tenant", servers: ["A.example"]),
        ])
        #expect(chosen(choice, "token") == "rest")
        #expect(chosen(choice, "slc_1") == "local")
        #expect(chosen(choice, "slc_x1") == "longer")
        #expect(chosen(choice, "slc_x1", "a.example") == "tenant")
        #expect(chosen(choice, "token", "b.example") == "rest")
    }

    @Test func noIssuerMeansNobodyIsAsked() throws {
        let choice = try IssuerChoice([issuer("local", prefix: "slc_")])
        #expect(chosen(choice, "other") == nil)
    }

    @Test func doubtIsRefused() {
        #expect(throws: GatewayError.self) { try IssuerChoice([]) }
        #expect(throws: GatewayError.self) { try IssuerChoice([issuer("a"), issuer("b")]) }
        #expect(throws: GatewayError.self) {
            try IssuerChoice([
                issuer("a", servers: ["x", "y"]), issuer("b", servers: ["Y"]),
            ])
        }
    }
}
