// The console's page and data: fields of its files, who gets what, and what is asked of the walk.

import Contract
import Foundation
import JSONDoor
import NIOEmbedded
import NIOHTTP1
import Testing

@Suite struct ConsoleTests {
    private func json(_ answer: String) throws -> [String: Any] {
        let body = try #require(answer.firstRange(of: "\r\n\r\n"))
        let object = try JSONSerialization.jsonObject(
            with: Data(answer[body.upperBound...].utf8))
        return try #require(object as? [String: Any])
    }

    // MARK: The page

    @Test func thePageIsForEverybodyAndSaysWhatItMayLoad() throws {
        let bench = try ConsoleBench()
        let answer = try bench.get("/")
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        for field in [
            "content-type: text/html; charset=utf-8", "cache-control: no-cache",
            "x-content-type-options: nosniff", "referrer-policy: no-referrer",
            "x-frame-options: DENY",
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; "
                + "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
                + "frame-ancestors 'none'",
        ] { #expect(answer.contains("\r\n\(field)\r\n"), "\(field)") }
        #expect(!answer.contains("no-store") && bench.walk.calls.isEmpty)
        // The theme is there before anything is painted: no module, and before the style.
        let (theme, style) = ("<script src=\"/console/theme.js\">", "<link rel=\"stylesheet\"")
        let place = try #require(answer.firstRange(of: theme)?.upperBound)
        #expect(try place < #require(answer.firstRange(of: style)?.lowerBound))
        // Nothing in it that the policy would refuse.
        #expect(!answer.contains(#/<script(?![^>]* src=")|\son\w+=|style=|https?:///#))
    }

    @Test func everyFileOfThePageIsThereAndNoOther() throws {
        let bench = try ConsoleBench()
        // From the page on, everything that is named by what is loaded.
        var (seen, wanted) = (Set<String>(), ["/"])
        while let path = wanted.popLast() {
            guard seen.insert(path).inserted else { continue }
            let answer = try bench.get(path)
            #expect(answer.hasPrefix("HTTP/1.1 200"), "\(path)")
            for match in answer.matches(of: #/"(\/console\/[\w.]+)"/#) {
                wanted.append(String(match.1))
            }
            for match in answer.matches(of: #/from "\.\/([\w.]+)"/#) {
                wanted.append("/console/" + match.1)
            }
        }
        let all = Set(ConsoleRoutes.page().map(\.path))
        #expect(seen == all)
        #expect(try bench.get("/console/other.js").hasPrefix("HTTP/1.1 401"))
        #expect(try bench.get("/console/").hasPrefix("HTTP/1.1 401"))
    }

    @Test func aKnownFileIsNotSentAgain() throws {
        let bench = try ConsoleBench()
        let first = try bench.get("/console/app.js")
        let tag = try #require(first.firstMatch(of: #/\r\netag: ("[^"]+")\r\n/#)?.1)
        for shown in [String(tag), "W/\(tag)", "\"x\", \(tag)", "*"] {
            let again = try bench.get("/console/app.js", fields: "If-None-Match: \(shown)\r\n")
            #expect(again.hasPrefix("HTTP/1.1 304"), "\(shown)")
            #expect(again.contains("etag: \(tag)") && again.hasSuffix("\r\n\r\n"))
            #expect(!again.contains("content-length") && !again.contains("content-type: "))
        }
        let body = try #require(first.firstRange(of: "\r\n\r\n"))
        let other = try bench.get("/console/app.js", fields: "If-None-Match: \"x\"\r\n")
        #expect(other.hasPrefix("HTTP/1.1 200") && other.hasSuffix(first[body.lowerBound...]))
        let head = try bench.get("/console/app.js", method: "HEAD")
        #expect(head.hasSuffix("\r\n\r\n") && head.contains("etag: \(tag)"))
        #expect(try bench.get("/", method: "POST").hasPrefix("HTTP/1.1 405"))
    }

    /// What the page says of itself: it keeps the token in memory. The theme is kept in storage, by a script that knows nothing
    /// else.
    @Test func noScriptTouchesStorageOrMarkup() throws {
        let bench = try ConsoleBench()
        for route in ConsoleRoutes.page() where route.path.hasSuffix(".js") {
            let script = try bench.get(route.path)
            let keepsTheme = route.path == "/console/theme.js"
            #expect(script.contains("localStorage") == keepsTheme, "\(route.path)")
            if keepsTheme { #expect(!script.lowercased().contains("token")) }
            for word in [
                "sessionStorage", "indexedDB", "document.cookie", "innerHTML",
                "insertAdjacentHTML", "eval(", "Function(", "document.write",
            ] { #expect(!script.contains(word), "\(route.path): \(word)") }
        }
    }

    // MARK: Data

    @Test func dataAsksForATokenFirst() throws {
        let bench = try ConsoleBench()
        for route in ConsoleRoutes.data(standings: bench.standings) {
            #expect(route.access == .token, "\(route.path)")
            let path = route.path.replacing("{model}", with: "iris")
            let answer = try bench.get(path, method: route.method.rawValue)
            #expect(answer.hasPrefix("HTTP/1.1 401"), "\(path)")
        }
        #expect(bench.walk.calls.isEmpty && bench.standings.asked == 0)
    }

    @Test func accessSaysWhoTheTokenIsAndWhatItMay() throws {
        let bench = try ConsoleBench()
        bench.walk.allow([.repositoryIndex])
        let answer = try json(try bench.known("/sluice/v1/access"))
        #expect(answer["client"] as? String == "app" && answer["issuer"] as? String == "local")
        #expect(answer["scopes"] as? [String] == ["infer:iris"])
        let may = ["index": true, "read": false, "administer": false]
        #expect(answer["may"] as? [String: Bool] == may)
        #expect((answer["why"] as? [String: String])?["read"] == "because of \"this\"")
        bench.walk.allow([.infer, .modelMetadata])
        let model = try json(try bench.known("/sluice/v1/models/iris/access"))
        let ofModel = ["infer": true, "metadata": true, "read": false, "administer": false]
        #expect(model["may"] as? [String: Bool] == ofModel && model["model"] as? String == "iris")
        #expect(bench.walk.calls.suffix(4).allSatisfy { $0.model == "iris" })
        bench.walk.answer = { _ in .failure(CallFailure(.resourceExhausted, .rateLimit, "slowly")) }
        #expect(try bench.known("/sluice/v1/access").hasPrefix("HTTP/1.1 429"))
    }

    @Test func aCallerWhoLeavesIsNotAskedFor() throws {
        let bench = try ConsoleBench()
        bench.walk.waits = true
        #expect(try bench.known("/sluice/v1/access") == "")
        _ = try bench.channel.finish(acceptAlreadyClosed: true)
        #expect(bench.walk.cancelled == 1 && bench.walk.calls.count == 1)
    }

    @Test func controlIsOneCallOfTheWalk() throws {
        let bench = try ConsoleBench()
        let path = "/sluice/v1/models/iris/control"
        for (word, control) in [
            ("sleep", ModelControl.sleep), ("pin", .pin), ("unpin", .unpin),
            ("unquarantine", .unquarantine),
        ] {
            let answer = try bench.post(path, "{\"action\":\"\(word)\",\"version\":\"2\"}")
            #expect(answer.hasPrefix("HTTP/1.1 200") && answer.hasSuffix("{}\n"))
            let call = try #require(bench.walk.calls.last)
            let question = try call.body.question()
            #expect(call.method == .modelControl && call.model == "iris" && call.version == "2")
            #expect(question.control == control)
        }
        let before = bench.walk.calls.count
        for bad in [
            "", "{}", "[]", "{\"action\":\"refresh\"}", "{\"action\":1}", "{\"action\":\"sleep\"",
            "{\"action\":\"sleep\",\"action\":\"pin\"}", "{\"action\":\"sleep\"} x",
        ] {
            let answer = try bench.post(path, bad)
            #expect(answer.hasPrefix("HTTP/1.1 400"), "\(bad)")
        }
        #expect(bench.walk.calls.count == before)
        let refused = CallFailure(.permissionDenied, .scopeMissing, "lacks models:admin")
        bench.walk.answer = { _ in .failure(refused) }
        #expect(try bench.post(path, "{\"action\":\"pin\"}").hasPrefix("HTTP/1.1 403"))
        let large = String(repeating: " ", count: 1_025)
        #expect(try bench.post(path, large).hasPrefix("HTTP/1.1 413"))
    }

    @Test func accountsAreOneCallOfTheWalk() throws {
        let bench = try ConsoleBench()
        bench.walk.answer = { _ in
            var fleet = FleetAccount()
            fleet.anonymousBudget = 7
            return .success(.account(fleet, [ModelAccount(name: "a", version: "1", state: .awake)]))
        }
        for path in ["/sluice/v1/account", "/sluice/v1/models/iris/account"] {
            let answer = try json(try bench.known(path))
            #expect((answer["fleet"] as? [String: Any])?["anonymous_budget"] as? Int == 7)
            #expect((answer["models"] as? [[String: Any]])?.first?["state"] as? String == "awake")
        }
        #expect(bench.walk.calls.map(\.model) == ["", "iris"])
        #expect(bench.walk.calls.allSatisfy { $0.method == .modelAccount })
    }

    @Test func clientsAreForAdministratorsOfEveryModel() throws {
        let bench = try ConsoleBench()
        bench.walk.allow([.infer, .repositoryIndex, .modelAccount])
        let refused = try bench.known("/sluice/v1/clients")
        #expect(refused.hasPrefix("HTTP/1.1 403") && refused.contains("models:admin"))
        #expect(bench.standings.asked == 0)
        bench.walk.allow([.modelControl])
        let measures = [
            Measure(.rate, used: 1, limit: 5, resetSeconds: 2),
            Measure(.dayCompute, used: 0.25, limit: nil, resetSeconds: 60),
            Measure(.monthCalls, used: 1e15, limit: 2e15),
        ]
        bench.standings.result = .success(
            ClientStandings(
                clients: [
                    ClientStanding(
                        issuer: "local", client: "a\"b", plan: "p", measures: measures,
                        models: [ModelStanding(model: "iris", measures: [])])
                ], total: 9))
        let answer = try bench.known("/sluice/v1/clients")
        let expected = [
            #"{"total":9,"clients":[{"issuer":"local","client":"a\"b","plan":"p","measures":"#,
            #"{"rate":{"used":1,"limit":5,"reset_s":2},"day.compute":{"used":0.25,"reset_s":60},"#,
            #""month.calls":{"used":1000000000000000,"limit":2000000000000000}},"#,
            #""models":[{"model":"iris","measures":{}}]}]}"#, "\n",
        ].joined()
        #expect(answer.hasSuffix(expected))
        // The administrator's right is asked for without a model: every one of them.
        #expect(bench.walk.calls.allSatisfy { $0.method == .accessCheck && $0.model.isEmpty })
        bench.standings.result = .failure(
            CallFailure(.unavailable, .queueFull, "many", retryAfter: .seconds(1)))
        let busy = try bench.known("/sluice/v1/clients")
        #expect(busy.hasPrefix("HTTP/1.1 503") && busy.contains("\r\nretry-after: 1\r\n"))
    }
}
