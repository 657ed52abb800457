// GET /openapi.json: the API as this caller may use it. Written away from the event loop, kept for those who see the same.

package import Contract
import NIOCore
import NIOHTTP1
import Synchronization

/// Answers with the description of a port's routes and of the models the token may see.
package final class OpenAPIResource: HTTPResource {
    package static let path = "/openapi.json"
    /// Documents that are kept, each of ``OpenAPIDocument/modelBytesMax`` bytes and a few kilobytes more at most.
    static let keptMax = 8
    /// No model is woken for it.
    static let deadline = Nanoseconds.seconds(10)

    /// What a document depends on.
    private struct Sight: Hashable {
        var generation: UInt64
        var names: [String]
        var others: Int
    }

    private let document: OpenAPIDocument
    private let guide: any ModelGuide
    /// The oldest first.
    private let kept = Mutex<[(sight: Sight, text: TaggedText)]>([])

    private init(_ document: OpenAPIDocument, _ guide: any ModelGuide) {
        self.document = document
        self.guide = guide
    }

    /// The routes, and the one that describes them all, itself included.
    package static func describing(
        _ routes: [Route], guide: any ModelGuide, version: String
    ) -> [Route] {
        func own(_ resource: any HTTPResource) -> Route {
            Route(
                .GET, path, access: .token, resource: resource, description: .openAPI)
        }
        // The description of a route does not depend on what answers it.
        let all = routes + [own(ReadyAnswer { _ in .error(.notFound, "") })]
        return routes + [
            own(OpenAPIResource(OpenAPIDocument(routes: all, version: version), guide))
        ]
    }

    package func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        guard let session = exchange.session else {
            preconditionFailure("the route of the description asks for a token")
        }
        let asked = request.head.headers["if-none-match"]
        let call = WalkCall { [self] outcome in
            switch outcome.result {
            case .success(.index(let lines)):
                write(Self.names(lines), asked: asked, exchange)
            // A token that may see no model may still know what there is to be asked.
            case .failure(let failure) where failure.code == .permissionDenied:
                write([], asked: asked, exchange)
            case .failure(let failure): exchange.finish(.failure(failure))
            case .success: preconditionFailure("the index is answered with an index")
            }
        }
        call.begin(
            Call(
                method: .repositoryIndex, model: "", version: "", arrived: request.arrived,
                deadline: request.arrived + Self.deadline,
                body: QuestionBody(Question(readyOnly: true))),
            by: session)
        return call
    }

    /// A line is a version: names come once, in the index's order.
    private static func names(_ lines: [IndexEntry]) -> [String] {
        var names: [String] = []
        for line in lines where names.last != line.name { names.append(line.name) }
        return names
    }

    private func write(_ all: [String], asked: [String], _ exchange: HTTPExchange) {
        let names = Array(all.prefix(OpenAPIDocument.modelsMax))
        let sight = Sight(
            generation: guide.generation, names: names, others: all.count - names.count)
        if let text = kept.withLock({ kept in kept.first { $0.sight == sight }?.text }) {
            return exchange.finish(Self.answer(text, asked))
        }
        guide.cards(names, on: exchange.eventLoop) { [document] models in
            TaggedText(document.json(models, others: sight.others))
        } done: { [self] result in
            switch result {
            case .failure(let failure): exchange.finish(.failure(failure))
            case .success(let text):
                kept.withLock { kept in
                    kept.append((sight, text))
                    if kept.count > Self.keptMax { kept.removeFirst() }
                }
                exchange.finish(Self.answer(text, asked))
            }
        }
    }

    private static func answer(_ text: TaggedText, _ asked: [String]) -> HTTPAnswer {
        let fields = [
            (name: "etag", value: text.tag), (name: "cache-control", value: "private, no-cache"),
            (name: "vary", value: "authorization"),
        ]
        // RFC 9110 section 13.1.2: a list of tags, weak ones too, or a star.
        let isKnown = asked.contains { field in
            field.split(whereSeparator: { ", \t".contains($0) }).contains { tag in
                tag == "*" || tag == text.tag || tag == "W/" + text.tag
            }
        }
        return isKnown
            ? HTTPAnswer(status: .notModified, fields: fields, body: ByteBuffer())
            : HTTPAnswer(status: .ok, fields: fields, body: text.bytes)
    }
}
