// The small languages of the settings: HOST:PORT, sizes, times, and what a mistyped word was meant to be.

import Contract
import Gateway
import Testing

@Suite struct SettingTextTests {
    @Test(arguments: [
        ("0.0.0.0:8443", "0.0.0.0", 8_443), ("localhost:0", "localhost", 0),
        ("[::1]:443", "::1", 443), ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
        ("a-b.c_d:65535", "a-b.c_d", 65_535),
    ])
    func endpoints(_ text: String, _ host: String, _ port: Int) {
        let endpoint = Endpoint(text)
        #expect(endpoint == Endpoint(host: host, port: port))
        #expect(endpoint?.description == text)
    }

    @Test(arguments: [
        "", ":", ":1", "a", "a:", "a:65536", "a:-1", "a:+1", "a: 1", "::1:443", "::1", "[::1]",
        "[::1]443",
        "[]:1", "[a]:1", "a b:1", "a/b:1", "http://a:1", "a:1:", "a:٣", "a:000001",
    ])
    func noEndpoints(_ text: String) {
        #expect(Endpoint(text) == nil)
    }

    @Test(
        arguments: [
            ("0", 0), ("7", 7), ("512B", 512), ("1KiB", 1_024), ("64 MiB", 64 << 20),
            ("2GiB", 2 << 30),
            ("1TiB", 1 << 40),
        ] as [(String, UInt64)])
    func sizes(_ text: String, _ bytes: UInt64) {
        #expect(SettingText.size(text) == bytes)
        #expect(SettingText.size(SettingText.written(size: bytes)) == bytes)
    }

    @Test(arguments: ["", "KiB", "1kib", "1K", "1MB", "1.5GiB", "-1", "1 2", "0x10", "٣"])
    func noSizes(_ text: String) {
        #expect(SettingText.size(text) == nil)
    }

    @Test(
        arguments: [
            ("0", 0), ("5ns", 5), ("100us", 100_000), ("20ms", 20_000_000), ("30s", 30_000_000_000),
            ("5m", 300_000_000_000), ("1h", 3_600_000_000_000), ("7d", 604_800_000_000_000),
        ] as [(String, UInt64)])
    func times(_ text: String, _ nanoseconds: UInt64) {
        #expect(SettingText.time(text) == Nanoseconds(nanoseconds))
        #expect(
            SettingText.time(SettingText.written(time: Nanoseconds(nanoseconds)))?.count
                == nanoseconds)
    }

    @Test(arguments: ["", "1", "s", "1 week", "1S", "-1s", "1.5s", "999999999999999999d"])
    func noTimes(_ text: String) {
        #expect(SettingText.time(text) == nil)
    }

    @Test(arguments: [
        ("", "", 0), ("abc", "abc", 0), ("abc", "ab", 1), ("abc", "acb", 1),
        ("kitten", "sitting", 3),
        ("", "abc", 3), ("listen", "lisen", 1),
    ])
    func distances(_ left: String, _ right: String, _ distance: Int) {
        #expect(SettingText.distance(left, right) == distance)
        #expect(SettingText.distance(right, left) == distance)
    }

    @Test func onlyNearWordsAreSuggested() {
        let known = Settings.keys
        #expect(SettingText.nearest(to: "limits.mesage", among: known) == "limits.message")
        #expect(SettingText.nearest(to: "tls.cert", among: known) == nil)
        #expect(SettingText.nearest(to: "deadline_max", among: known) == "limits.deadline_max")
        #expect(SettingText.nearest(to: "bananas", among: known) == nil)
        #expect(SettingText.nearest(to: String(repeating: "x", count: 10_000), among: known) == nil)
    }
}
