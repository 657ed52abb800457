// Lines as a terminal shows them: text that cannot do anything but be read, and how it is set.

/// How a part of a line is set.
package enum ScreenStyle: Sendable, Equatable {
    case plain, strong, heading, chosen, faint, good, warning, trouble
}

/// One line, in parts.
package struct ScreenLine: Sendable, Equatable {
    package private(set) var parts: [(text: String, style: ScreenStyle)] = []

    package init(_ text: String = "", _ style: ScreenStyle = .plain) {
        if !text.isEmpty { add(text, style) }
    }

    package static func == (left: ScreenLine, right: ScreenLine) -> Bool {
        left.parts.count == right.parts.count
            && zip(left.parts, right.parts).allSatisfy { $0 == $1 }
    }

    package mutating func add(_ text: String, _ style: ScreenStyle = .plain) {
        parts.append((Self.harmless(text), style))
    }

    package var text: String { parts.map(\.text).joined() }
    package var count: Int { parts.reduce(0) { $0 + $1.text.utf8.count } }

    /// What a gateway or a file says cannot move the cursor: everything but ASCII's printed characters, each of which takes
    /// one place, is a question mark.
    package static func harmless(_ text: String) -> String {
        guard !text.utf8.allSatisfy({ 0x20..<0x7F ~= $0 }) else { return text }
        return String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { 0x20..<0x7F ~= $0.value ? $0 : "?" }))
    }

    /// No longer than `width`; the rest is filled with spaces where `fills` says so.
    package func cut(to width: Int, fills: Bool = false) -> ScreenLine {
        var line = ScreenLine()
        var room = max(0, width)
        for part in parts where room > 0 {
            let text = part.text.prefix(room)
            room -= text.utf8.count
            line.parts.append((String(text), part.style))
        }
        if fills, room > 0 {
            line.parts.append((String(repeating: " ", count: room), parts.last?.style ?? .plain))
        }
        return line
    }

    /// Every part in one style.
    func styled(_ style: ScreenStyle) -> ScreenLine {
        ScreenLine(text, style)
    }
}

/// What a terminal may be asked for.
package struct ScreenInk: Sendable {
    /// Without, styles are bold, faint and inverse alone (no-color.org).
    package var hasColor: Bool

    package init(hasColor: Bool) { self.hasColor = hasColor }

    /// One whole picture, to be written at once: every line of a screen from its top (ECMA-48).
    /// - Parameter width: The screen's. Behind a line that fills it nothing is erased: the cursor stands on its last place.
    package func frame(_ lines: [ScreenLine], width: Int) -> String {
        "\u{1B}[H"
            + lines.map { coded($0) + ($0.count < width ? "\u{1B}[K" : "") }
            .joined(separator: "\r\n")
    }

    func coded(_ line: ScreenLine) -> String {
        line.parts.map { part in
            let code = code(part.style)
            return code.isEmpty ? part.text : "\u{1B}[\(code)m\(part.text)\u{1B}[m"
        }.joined()
    }

    private func code(_ style: ScreenStyle) -> String {
        switch style {
        case .plain: ""
        case .strong: "1"
        case .heading: "7"
        case .chosen: hasColor ? "1;97;44" : "1;7"
        case .faint: hasColor ? "90" : "2"
        case .good: hasColor ? "32" : ""
        case .warning: hasColor ? "33" : "1"
        case .trouble: hasColor ? "1;31" : "1"
        }
    }
}
