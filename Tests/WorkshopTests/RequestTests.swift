// What may be asked of an import, and the words it uses.

import Contract
import Testing
import Workshop

@Suite struct RequestTests {
    @Test(
        arguments: [
            ("a.onnx", SourceKind.onnx), ("dir/B.ONNX", .onnx), ("m.pkl", .pickle),
            ("m.pickle", .pickle), ("m.joblib", .pickle), ("x.json", .xgboost), ("x.ubj", .xgboost),
            ("l.txt", .lightgbm),
        ])
    func kindsAreToldByTheName(_ name: String, _ kind: SourceKind) throws {
        #expect(SourceKind(fileName: name) == kind)
        #expect(try ImportRequest(file: name, name: "m", version: nil).kind == kind)
    }

    @Test(arguments: ["model", "model.pt", ".onnx", "a.onnx.gz", ""])
    func otherNamesAreRefusedWithTheList(_ name: String) {
        let error = #expect(throws: GatewayError.self) {
            try ImportRequest(file: name, name: "m", version: nil)
        }
        #expect(error?.description.contains(".joblib") == true)
    }

    @Test(arguments: ["", "..", "a/b", "-x", "a\0b", String(repeating: "a", count: 129)])
    func namesThatAreNoneAreRefused(_ name: String) {
        #expect(throws: GatewayError.self) {
            try ImportRequest(file: "a.onnx", name: name, version: nil)
        }
    }

    @Test(arguments: ["0", "-1", "abc", "01", "1.0", ""])
    func versionsThatAreNoneAreRefused(_ version: String) {
        #expect(throws: GatewayError.self) {
            try ImportRequest(file: "a.onnx", name: "a", version: version)
        }
    }

    @Test func thePathOfTheSourceStaysHere() throws {
        let request = try ImportRequest(file: "/home/me/secret/a.pkl", name: "a", version: "3")
        #expect(request.fileName == "a.pkl")
        #expect(request.version?.number == 3)
    }

    @Test func sizesTimesAndDifferencesInWords() {
        let sizes = [UInt64(0), 999, 1_000, 1_234_000, 90_000_000, 2_400_000_000].map {
            Wording.bytes($0)
        }
        #expect(sizes == ["0 B", "999 B", "1.0 kB", "1.2 MB", "90 MB", "2.4 GB"])
        let times = [0.4, 3.5, 999, 1_500, 250_000, 3_000_000].map { Wording.time($0) }
        #expect(times == ["0.4 us", "3.5 us", "999 us", "1.5 ms", "250 ms", "3.0 s"])
        let differences = [0, 1.25e-7, 0.5, 3].map { Wording.difference($0) }
        #expect(differences == ["0", "1.3e-7", "5.0e-1", "3.0"])
    }

    @Test func progressIsABarOnATerminalAndALineElsewhere() {
        let events: [ImportEvent] = [
            .began(.convert), .progress(.convert, 0.5), .note("look"), .ended(.convert, "done"),
        ]
        let plain = ProgressText(isTerminal: false)
        #expect(
            events.compactMap { plain.text(for: $0) } == [
                "convert     begins\n", "note        look\n", "convert     done\n",
            ])
        let terminal = ProgressText(isTerminal: true)
        let shown = events.compactMap { terminal.text(for: $0) }
        #expect(shown.count == 4 && shown.allSatisfy { $0.hasPrefix("\r\u{1B}[K") })
        #expect(shown[1].hasSuffix("[############............] 50 %"))
        // More than all is all.
        let over = terminal.text(for: .progress(.write, 7))
        #expect(over?.hasSuffix("[########################] 100 %") == true)
    }
}
