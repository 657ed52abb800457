// What a server thinks the time is, as it writes it.

import Outside
import Testing

@Suite struct ServerProbeTests {
    @Test(
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Mon, 23 Nov 2026 06:30:00 GMT", 1_795_415_400),
            ("Fri, 31 Dec 2027 23:59:59 GMT", 1_830_297_599),
        ] as [(String, Int64)])
    func datesAreRead(text: String, seconds: Int64) {
        #expect(ServerProbe.seconds(ofDate: text) == seconds)
    }

    @Test(arguments: [
        "", "now", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET",
    ])
    func whatIsNoDateIsNone(text: String) {
        #expect(ServerProbe.seconds(ofDate: text) == nil)
    }
}
