import SluiceClient
import Testing

@Suite struct EndpointTests {
    @Test(arguments: [
        ("gateway:1", "gateway:1"), ("gateway", "gateway:8443"), ("127.0.0.1:99", "127.0.0.1:99"),
        ("[::1]:99", "[::1]:99"), ("[::1]", "[::1]:8443"), ("::1", "[::1]:8443"),
        ("unix:/tmp/s", "unix:/tmp/s"),
    ])
    func readsAndPrints(_ text: String, _ printed: String) throws {
        #expect("\(try Endpoint(text))" == printed)
        #expect(try Endpoint(printed) == Endpoint(text))
    }

    @Test(arguments: [
        "", ":1", "gateway:", "gateway:0", "gateway:65536", "gateway:x", "unix:", "[::1", "[]:1",
        "[::1]x", "a b:1", "http://gateway:1",
    ])
    func refuses(_ text: String) {
        let error = #expect(throws: SluiceError.self) { try Endpoint(text) }
        #expect(error?.code == .invalidArgument)
    }

    @Test func literalsAndParts() {
        let endpoint: Endpoint = "gateway:1"
        #expect(endpoint == .hostPort("gateway", 1))
        #expect(Endpoint.hostPort("gateway") == "gateway:8443")
        #expect(Endpoint.unixSocket("/tmp/s") == "unix:/tmp/s")
    }
}

@Suite struct ConfigurationTests {
    @Test func aTokenIsNeverPrinted() {
        let configuration = SluiceClient.Configuration(token: .token("very-secret"))
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in [
            dumped, "\(configuration)", "\(configuration.token)",
            String(reflecting: configuration.token), String(reflecting: configuration),
        ] {
            #expect(!text.contains("secret"))
        }
    }

    @Test func wrongFilesAreKnownAtOnce() {
        for trust in [
            SluiceClient.Configuration.Trust.file("/nowhere/cert.pem"), .pem([1, 2, 3]),
        ] {
            let error = #expect(throws: SluiceError.self) {
                try SluiceClient(
                    endpoint: "localhost:1",
                    configuration: .init(security: .tls(.init(trust: trust))))
            }
            #expect(error?.code == .invalidArgument)
            #expect(error?.reason == "BAD_CONFIGURATION")
        }
    }

    @Test func durationsBecomeNanoseconds() {
        #expect(Duration.milliseconds(1_500).nanoseconds == 1_500_000_000)
        #expect(Duration.seconds(Int64.max).nanoseconds == .max)
        #expect(Duration.seconds(-Int64.max).nanoseconds == .min)
    }

    @Test func pausesGrowToTheirMaximum() {
        let backoff = SluiceClient.Configuration.Backoff(
            base: .milliseconds(100), maximum: .seconds(1))
        let pauses = (1...6).map { backoff.pause(failures: $0, luck: 1) / 1_000_000 }
        #expect(pauses == [100, 200, 400, 800, 1_000, 1_000])
        #expect(backoff.pause(failures: 3, luck: 0) == 0)
        #expect(backoff.pause(failures: 3, luck: 0.5) == 200_000_000)
        #expect(backoff.pause(failures: .max, luck: 1) == 1_000_000_000)
    }

    @Test func theBudgetIsEarnedAndSpent() {
        var budget = RetryBudget(.init(budgetRatio: 0.5, budgetReserve: 2))
        let spent = [budget.spend(), budget.spend(), budget.spend()]
        #expect(spent == [true, true, false])
        budget.earn()
        let half = budget.spend()
        #expect(!half)
        budget.earn()
        let whole = budget.spend()
        #expect(whole)
        for _ in 0..<1_000 { budget.earn() }
        #expect(budget.balance == 20)
    }
}

@Suite struct SluiceErrorTests {
    @Test func printsWhatAPersonNeeds() {
        let error = SluiceError(
            .unavailable, reason: "MODEL_LOADING", "It is being loaded.", retryAfter: .seconds(2))
        #expect(
            "\(error)"
                == "UNAVAILABLE (MODEL_LOADING): It is being loaded. Try again after 2.0 seconds.")
        #expect("\(SluiceError.Code.unauthenticated)" == "UNAUTHENTICATED")
        #expect("\(SluiceError.Code(rawValue: 99))" == "CODE_99")
    }

    @Test func onlyUnavailableAndNotStartedAreRetryable() {
        for number in 1...16 {
            let code = SluiceError.Code(rawValue: number)
            #expect(SluiceError(code, "").isRetryable == (code == .unavailable))
            #expect(SluiceError(code, "", notStarted: true).isRetryable)
        }
    }
}
