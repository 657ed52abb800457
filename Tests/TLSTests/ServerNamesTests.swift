// Which certificate a name gets.

import TLS
import Testing

@Suite struct ServerNamesTests {
    private let names: ServerNames<Int> = {
        var names = ServerNames<Int>()
        names.add("api.example.com", 0)
        names.add("*.example.com", 1)
        names.add("Other.Example.", 2)
        return names
    }()

    @Test(
        arguments: [
            ("api.example.com", 0), ("API.Example.COM", 0), ("api.example.com.", 0),
            ("b.example.com", 1), ("other.example", 2), ("example.com", nil),
            ("a.b.example.com", nil),
            (".example.com", nil), ("*.example.com", nil), ("", nil), (".", nil),
            ("b.example.com\n", nil),
            ("bücher.example.com", nil), ("x.other.example", nil),
        ] as [(String, Int?)])
    func `exact names come before one label of a wildcard`(asked: String, place: Int?) {
        #expect(names.find(asked) == place)
    }

    @Test func `the first that claims a name has it`() {
        var names = ServerNames<Int>()
        let added = [("a.example", 0), ("A.example.", 1), ("*.b.example", 0), ("*.b.example", 1)]
            .map { names.add($0.0, $0.1) }
        #expect(added == [true, false, true, false])
        #expect(names.find("a.example") == 0)
        #expect(names.find("x.b.example") == 0)
    }

    @Test(arguments: ["*", "*.", "w*.example", "a.*.example", "*.*.example", "", "a b", "\0"])
    func `what is no name is not added`(name: String) {
        var names = ServerNames<Int>()
        let isAdded = names.add(name, 0)
        #expect(!isAdded)
        #expect(names.isEmpty)
    }

    @Test func `a name of any length is found or not, and nothing breaks`() {
        var generator = SplitMix(seed: 11)
        for _ in 0..<2_000 {
            let count = Int.random(in: 0...300, using: &generator)
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            #expect(names.find(String(decoding: bytes, as: UTF8.self)) == nil)
        }
    }
}
