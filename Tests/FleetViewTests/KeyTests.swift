// Keys from the bytes of a terminal, whole and in pieces, and from bytes that mean nothing.

import FleetView
import Testing

@Suite struct KeyTests {
    private func keys(_ text: String) -> [Key] {
        var reader = KeyReader()
        var keys = text.utf8.compactMap { reader.take($0) }
        if let last = reader.flush() { keys.append(last) }
        return keys
    }

    @Test func keysAreRead() {
        #expect(keys("q?/") == [.character("q"), .character("?"), .character("/")])
        #expect(keys("\u{1B}[A\u{1B}[B\u{1B}OC\u{1B}[1;5D") == [.up, .down, .right, .left])
        #expect(
            keys("\u{1B}[5~\u{1B}[6~\u{1B}[H\u{1B}[4~") == [.pageUp, .pageDown, .home, .end])
        #expect(keys("\r\n\u{7F}\u{08}") == [.enter, .enter, .erase, .erase])
        #expect(keys("\u{03}\u{1A}\u{0C}") == [.interrupt, .suspend, .redraw])
        #expect(keys("\u{1B}") == [.escape])
    }

    @Test func whatMeansNothingIsNoKey() {
        #expect(keys("\u{1B}[99~\u{1B}[Zq") == [.character("q")])
        #expect(keys("\u{1B}xq") == [.character("q")], "Alt means nothing")
        #expect(keys("é\u{01}q") == [.character("q")])
        // A sequence without an end is not kept.
        #expect(keys("\u{1B}[" + String(repeating: "1", count: 40)).count <= 40)
        #expect(keys("\u{1B}[" + String(repeating: ";", count: 14) + "q") == [.character("q")])
    }

    @Test func escapeWaitsForWhatFollows() {
        var reader = KeyReader()
        #expect(reader.take(0x1B) == nil && reader.isWaiting)
        #expect(reader.flush() == .escape && !reader.isWaiting)
        #expect(reader.flush() == nil)
        _ = reader.take(0x1B)
        _ = reader.take(UInt8(ascii: "["))
        #expect(reader.flush() == nil, "half a sequence")
    }
}
