// Golden cases from manifests for those who may ask: read once, away from the loop, never more at a time than allowed; and
// every route of the callers' port says what it is.

import Admission
import Catalogue
import Contract
import Gateway
import JSONDoor
import Logging
import NIOCore
import NIOPosix
import Outside
import Synchronization
import Testing

@Suite struct ModelGuideBookTests {
    /// Golden cases by model; counts how often it was asked, and can be held up.
    private final class Repository: ModelRepository {
        let cases: [String: [GoldenCase]]
        let read = Mutex<[String]>([])
        let gate = Mutex<Void>(())

        init(_ cases: [String: [GoldenCase]]) { self.cases = cases }

        func look() async throws -> RepositoryScan { RepositoryScan() }
        func goldenCases(of entry: ModelEntry) throws(ModelFault) -> [GoldenCase] {
            gate.withLock { _ in }
            read.withLock { $0.append("\(entry.name) \(entry.version)") }
            guard let found = cases[entry.name] else { throw ModelFault("it is gone") }
            return found
        }
    }

    private static func golden(_ name: String, elements: Int = 1) -> GoldenCase {
        let tensor = Tensor(
            name: name, datatype: .bool, shape: [Int64(elements)],
            bytes: ByteBuffer(repeating: 1, count: elements))
        return GoldenCase(inputs: [tensor], outputs: [tensor])
    }

    private static func scanned(_ name: String, _ version: Int64 = 1) throws -> ScannedModel {
        ScannedModel(
            name: try #require(ModelName(name)),
            version: try #require(ModelVersion(number: version)),
            directory: "/models/\(name)/\(version)",
            signature: Signature(
                inputs: [], outputs: [TensorSpecification(name: "Y", datatype: .bool, shape: [1])]))
    }

    private func example(
        _ book: ModelGuideBook, _ model: String, _ version: String = "1"
    ) async throws -> Result<ModelExample, CallFailure> {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let promise = loop.makePromise(of: Result<ModelExample, CallFailure>.self)
        loop.execute {
            book.example(of: model, version: version, on: loop) {
                loop.preconditionInEventLoop()
                promise.succeed($0)
            }
        }
        return try await promise.futureResult.get()
    }

    @Test func aCaseIsReadOnce() async throws {
        let registry = Registry([try Self.scanned("a"), try Self.scanned("a", 2)])
        let repository = Repository(["a": [Self.golden("first"), Self.golden("second")]])
        let book = ModelGuideBook(registry: registry, repository: repository)
        for _ in 0..<3 {
            let found = try await example(book, "a", "1").get()
            #expect(found.request.contains("\"first\"") && !found.request.contains("second"))
            #expect(found.response.contains("\"model_version\":\"1\""))
        }
        #expect(
            try await example(book, "a", "2").get().response.contains("\"model_version\":\"2\""))
        #expect(repository.read.withLock { $0 } == ["a 1", "a 2"])
    }

    @Test func labelsAreThoseOfTheVersion() throws {
        var second = try Self.scanned("a", 2)
        second.labels = ["Y": ["no", "yes"]]
        let registry = Registry([try Self.scanned("a"), second])
        let book = ModelGuideBook(registry: registry, repository: Repository([:]))
        #expect(book.labels(of: "a", version: "2") == ["Y": ["no", "yes"]])
        #expect(book.labels(of: "a", version: "1").isEmpty)
        // It has gone since its call ran.
        #expect(book.labels(of: "a", version: "3").isEmpty)
        #expect(book.labels(of: "b", version: "1").isEmpty)
    }

    @Test func whatCannotBeShownSaysWhy() async throws {
        let registry = Registry([
            try Self.scanned("none"), try Self.scanned("large"), try Self.scanned("gone"),
        ])
        let repository = Repository(["none": [], "large": [Self.golden("x", elements: 140_000)]])
        let book = ModelGuideBook(registry: registry, repository: repository)
        for (model, part) in [
            ("none", "its manifest has no golden case"), ("large", "262144 bytes of JSON at most"),
            ("gone", "it is gone"), ("unknown", "is not known"),
        ] {
            guard case .failure(let failure) = try await example(book, model) else {
                Issue.record("\(model) has an example")
                continue
            }
            #expect(failure.code == .notFound && failure.message.contains(part), "\(failure)")
        }
    }

    @Test func cardsAreOfWhatCanBeCalled() async throws {
        let registry = Registry([try Self.scanned("a"), try Self.scanned("b")])
        let repository = Repository(["a": [Self.golden("x")], "b": []])
        let book = ModelGuideBook(registry: registry, repository: repository)
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let promise = loop.makePromise(of: String.self)
        let before = book.generation
        loop.execute {
            book.cards(["a", "unknown", "b"], on: loop) { cards in
                TaggedText(
                    ByteBuffer(
                        string: cards.map { "\($0.name) \($0.version) \($0.example != nil)" }
                            .joined(separator: ",")))
            } done: { result in
                switch result {
                case .success(let text): promise.succeed(String(buffer: text.bytes))
                case .failure(let failure): promise.fail(failure)
                }
            }
        }
        #expect(try await promise.futureResult.get() == "a 1 true,b 1 false")
        registry.replace(with: [try Self.scanned("a", 2)])
        #expect(book.generation != before)
    }

    @Test func noMoreAskThanAllowed() async throws {
        let count = ModelGuideBook.jobsMax + 1
        let registry = Registry(try (0..<count).map { try Self.scanned("m\($0)") })
        let repository = Repository(
            Dictionary(uniqueKeysWithValues: (0..<count).map { ("m\($0)", [Self.golden("x")]) }))
        let book = ModelGuideBook(registry: registry, repository: repository)
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let promises = (0..<count).map { _ in
            loop.makePromise(of: Result<ModelExample, CallFailure>.self)
        }
        try await loop.submit {
            // Nothing is read while the gate is held: every question but the last is with the threads.
            repository.gate.withLock { _ in
                for (index, promise) in promises.enumerated() {
                    book.example(of: "m\(index)", version: "1", on: loop) { promise.succeed($0) }
                }
            }
        }.get()
        var refused = 0
        for promise in promises {
            if case .failure(let failure) = try await promise.futureResult.get() {
                #expect(failure.code == .unavailable && failure.retryAfter != nil)
                refused += 1
            }
        }
        #expect(refused == 1)
    }

    /// A route nobody has described would stand in /openapi.json without a word.
    @Test func everyRouteIsDescribed() throws {
        let registry = Registry()
        let audit = NoAudit()
        let queue = AuthorizationQueue(
            server: NoServer(), queueMax: 1, audit: audit, whenRevoked: { _ in })
        let front = HTTPFront.callers(
            Settings(), desk: NoDesk(), conditions: NoConditions(), authorization: queue,
            budget: RequestBudget(
                requests: Rate(1, per: .seconds(1)), failures: Rate(1, per: .seconds(1))),
            standings: StandingsKeeper(PlanDesk()),
            guide: ModelGuideBook(registry: registry, repository: Repository([:])),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        var operations: [String: Int] = [:]
        for route in front.routes.all {
            let description = try #require(
                route.description, "\(route.method) \(route.path)")
            #expect(!description.summary.isEmpty, "\(route.path)")
            #expect(description.isHidden || !description.outcomes.isEmpty, "\(route.path)")
            if description.isHidden { continue }
            // One without and one with a version share theirs.
            let isOfVersion = route.path.contains("{version}")
            operations[description.operation + (isOfVersion ? " of a version" : ""), default: 0] +=
                1
        }
        #expect(operations.values.allSatisfy { $0 == 1 }, "\(operations.filter { $0.value > 1 })")
        #expect(operations["oauthToken"] == 1 && operations["openAPI"] == 1)
    }

    private struct NoAudit: AuditLog {
        func note(_ event: AuditEvent) {}
    }
    private struct NoConditions: ModelConditions {
        func condition(of model: String, version: String, now: Instant) -> ModelCondition {
            preconditionFailure("nobody watches")
        }
    }
    private struct NoServer: AuthorizationServer {
        func answer(
            _ request: AuthorizationRequest, from credential: ClientCredential, now: Instant
        ) async throws(AuthorizationRefusal) -> AuthorizationAnswer { .inactive }
    }
    private struct NoDesk: FrontDesk {
        func session(from peer: Peer, on eventLoop: any EventLoop) -> any CallerSession {
            preconditionFailure("nobody calls")
        }
    }
}
