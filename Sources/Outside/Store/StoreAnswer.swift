// The two answers in XML that we read, and nothing else of XML: a page of a listing (ListObjectsV2) and an error. A
// bounded reader of our own: bytes in, values out. Source: Amazon S3 API Reference.

import Contract

/// An object as a listing shows it.
package struct ListedObject: Sendable, Equatable {
    package var key: String
    package var byteCount: UInt64
    /// With its quotation marks, as it goes into If-Match.
    package var tag: String

    package init(key: String, byteCount: UInt64, tag: String) {
        self.key = key
        self.byteCount = byteCount
        self.tag = tag
    }
}

/// One page of a listing.
package struct ListingPage: Sendable, Equatable {
    package var objects: [ListedObject] = []
    /// What to ask for the next page with; nil on the last.
    package var continuation: String?

    package init() {}
}

/// The bytes are not what they should be.
package struct StoreAnswerFault: Error, Equatable {
    package var message: String
}

package enum StoreAnswer {
    /// S3 answers at most a thousand; some stores are more generous.
    package static let objectsMax = 10_000

    /// Throws what is wrong with it.
    package static func listing(_ bytes: [UInt8]) throws(StoreAnswerFault) -> ListingPage {
        var reader = ElementReader(bytes)
        var page = ListingPage()
        var object: ListedObject?
        var isTruncated = false
        var isListing = false
        while let event = try reader.next() {
            switch event {
            case .begin:
                if reader.path == ["ListBucketResult"] { isListing = true }
                if reader.path == ["ListBucketResult", "Contents"] {
                    object = ListedObject(key: "", byteCount: 0, tag: "")
                }
            case .end(let path, let text):
                switch path {
                case ["ListBucketResult", "IsTruncated"]: isTruncated = text == "true"
                case ["ListBucketResult", "NextContinuationToken"]: page.continuation = text
                case ["ListBucketResult", "Contents", "Key"]: object?.key = text
                case ["ListBucketResult", "Contents", "ETag"]: object?.tag = text
                case ["ListBucketResult", "Contents", "Size"]:
                    guard let size = UInt64(text) else {
                        throw StoreAnswerFault(message: "a Size that is no number")
                    }
                    object?.byteCount = size
                case ["ListBucketResult", "Contents"]:
                    if let object { page.objects.append(object) }
                    object = nil
                    guard page.objects.count <= objectsMax else {
                        throw StoreAnswerFault(message: "more than \(objectsMax) objects in a page")
                    }
                default: break
                }
            }
        }
        guard isListing else { throw StoreAnswerFault(message: "it is no ListBucketResult") }
        if !isTruncated { page.continuation = nil }
        guard !isTruncated || page.continuation?.isEmpty == false else {
            throw StoreAnswerFault(message: "there are more objects and no NextContinuationToken")
        }
        return page
    }

    /// Code and message of an error; nil when it is none. The message is the store's and is shown only to operators.
    package static func error(_ bytes: [UInt8]) -> (code: String, message: String)? {
        var reader = ElementReader(bytes)
        var code: String?
        var message = ""
        do throws(StoreAnswerFault) {
            while let event = try reader.next() {
                guard case .end(let path, let text) = event else { continue }
                if path == ["Error", "Code"] { code = shown(text, 64) }
                if path == ["Error", "Message"] { message = shown(text, 256) }
            }
        } catch {
            return nil
        }
        return code.map { ($0, message) }
    }

    private static func shown(_ text: String, _ most: Int) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.prefix(most).map {
                    $0.value >= 0x20 && $0.value < 0x7F ? $0 : "?"
                }))
    }
}

/// Elements and their texts, in order. Attributes, comments and instructions are passed over; a document type, which
/// could define entities, is refused.
struct ElementReader {
    static let depthMax = 16
    static let textBytesMax = 8_192
    static let nameBytesMax = 256

    enum Event: Equatable {
        /// ``path`` ends with it.
        case begin
        /// The path with the element that ended, and its own text.
        case end([String], String)
    }

    private let bytes: [UInt8]
    private var place = 0
    private(set) var path: [String] = []
    private var texts: [[UInt8]] = []
    private var endsAtOnce = false

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Nil at the end of the document.
    mutating func next() throws(StoreAnswerFault) -> Event? {
        if endsAtOnce {
            endsAtOnce = false
            return closed()
        }
        while place < bytes.count {
            if bytes[place] != UInt8(ascii: "<") {
                try readText()
            } else if skips("<?", to: "?>") || skips("<!--", to: "-->") {
                continue
            } else if matches("<![CDATA[") {
                try readVerbatim()
            } else if matches("<!") {
                throw StoreAnswerFault(message: "a document type, which is not allowed")
            } else if matches("</") {
                place += 2
                return try readEnd()
            } else {
                place += 1
                return try readBegin()
            }
        }
        guard path.isEmpty else { throw StoreAnswerFault(message: "it is cut off") }
        return nil
    }

    private func matches(_ text: String) -> Bool { bytes[place...].starts(with: text.utf8) }

    private mutating func skips(_ begin: String, to end: String) -> Bool {
        guard matches(begin) else { return false }
        place = find(end) ?? bytes.count
        return true
    }

    /// The place behind the next `text`.
    private func find(_ text: String) -> Int? {
        let wanted = Array(text.utf8)
        var index = place
        while index + wanted.count <= bytes.count {
            if bytes[index] == wanted[0], bytes[index...].starts(with: wanted) {
                return index + wanted.count
            }
            index += 1
        }
        return nil
    }

    private mutating func closed() -> Event {
        let event = Event.end(path, String(decoding: texts.removeLast(), as: UTF8.self))
        path.removeLast()
        return event
    }

    private mutating func readBegin() throws(StoreAnswerFault) -> Event {
        let name = try readName()
        // Values of attributes may hold a `>`.
        var quote: UInt8?
        var last: UInt8 = 0
        while place < bytes.count {
            let byte = bytes[place]
            place += 1
            if let open = quote {
                if byte == open { quote = nil }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if byte == UInt8(ascii: ">") {
                guard path.count < ElementReader.depthMax else {
                    throw StoreAnswerFault(
                        message: "elements more than \(ElementReader.depthMax) deep")
                }
                path.append(name)
                texts.append([])
                endsAtOnce = last == UInt8(ascii: "/")
                return .begin
            }
            last = byte
        }
        throw StoreAnswerFault(message: "it is cut off")
    }

    private mutating func readEnd() throws(StoreAnswerFault) -> Event {
        let name = try readName()
        while place < bytes.count, bytes[place] != UInt8(ascii: ">") { place += 1 }
        guard place < bytes.count else { throw StoreAnswerFault(message: "it is cut off") }
        place += 1
        guard path.last == name else {
            throw StoreAnswerFault(message: "an element ends that did not begin")
        }
        return closed()
    }

    /// Without its namespace's prefix.
    private mutating func readName() throws(StoreAnswerFault) -> String {
        var name: [UInt8] = []
        while place < bytes.count {
            let byte = bytes[place]
            if byte <= 0x20 || byte == UInt8(ascii: ">") || byte == UInt8(ascii: "/") { break }
            name.append(byte)
            place += 1
            guard name.count <= ElementReader.nameBytesMax else {
                throw StoreAnswerFault(message: "a name that is too long")
            }
        }
        guard !name.isEmpty else { throw StoreAnswerFault(message: "an element without a name") }
        let local = name.split(separator: UInt8(ascii: ":")).last.map { Array($0) } ?? name
        return String(decoding: local, as: UTF8.self)
    }

    private mutating func readVerbatim() throws(StoreAnswerFault) {
        place += "<![CDATA[".utf8.count
        guard let end = find("]]>") else { throw StoreAnswerFault(message: "it is cut off") }
        try add(bytes[place..<(end - 3)])
        place = end
    }

    private mutating func readText() throws(StoreAnswerFault) {
        let start = place
        while place < bytes.count, bytes[place] != UInt8(ascii: "<"),
            bytes[place] != UInt8(ascii: "&")
        {
            place += 1
        }
        try add(bytes[start..<place])
        if place < bytes.count, bytes[place] == UInt8(ascii: "&") { try readEntity() }
    }

    private mutating func add(_ part: ArraySlice<UInt8>) throws(StoreAnswerFault) {
        guard !texts.isEmpty else {
            // White space around the root.
            if part.allSatisfy({ $0 <= 0x20 || $0 >= 0x80 }) { return }
            throw StoreAnswerFault(message: "text outside of all elements")
        }
        let index = texts.count - 1
        guard texts[index].count + part.count <= ElementReader.textBytesMax else {
            throw StoreAnswerFault(message: "a text that is too long")
        }
        texts[index] += part
    }

    private static let entities: [String: String] = [
        "amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'",
    ]

    private mutating func readEntity() throws(StoreAnswerFault) {
        let end = bytes[place...].prefix(12).firstIndex(of: UInt8(ascii: ";"))
        guard let end else { throw StoreAnswerFault(message: "an entity without an end") }
        let name = String(decoding: bytes[(place + 1)..<end], as: UTF8.self)
        var text = ElementReader.entities[name]
        if name.hasPrefix("#x") {
            text = UInt32(name.dropFirst(2), radix: 16).flatMap { Unicode.Scalar($0) }
                .map { String(Character($0)) }
        } else if name.hasPrefix("#") {
            text = UInt32(name.dropFirst()).flatMap { Unicode.Scalar($0) }
                .map { String(Character($0)) }
        }
        guard let text else { throw StoreAnswerFault(message: "an entity that is unknown") }
        place = end + 1
        try add(Array(text.utf8)[...])
    }
}
