// Whether some bytes stand anywhere in a stream that goes by in parts.

import Glibc

/// Looks for one pattern. A value: it keeps only the end of the part before.
package struct ByteSearch: Sendable {
    private let pattern: [UInt8]
    /// The last bytes seen, fewer than the pattern has: where a match over two parts may begin.
    private var tail: [UInt8] = []
    /// Whether the pattern has gone by.
    package private(set) var isFound = false

    /// The pattern must not be empty.
    package init(for pattern: String) {
        precondition(!pattern.isEmpty, "nothing to look for")
        self.pattern = Array(pattern.utf8)
    }

    /// The next part of the stream.
    package mutating func look(at bytes: ArraySlice<UInt8>) {
        guard !isFound else { return }
        let seam = pattern.count - 1
        if ByteSearch.find(pattern, in: (tail + bytes.prefix(seam))[...])
            || ByteSearch.find(pattern, in: bytes)
        {
            isFound = true
            tail = []
        } else {
            tail = Array((tail + bytes.suffix(seam)).suffix(seam))
        }
    }

    private static func find(_ pattern: [UInt8], in bytes: ArraySlice<UInt8>) -> Bool {
        // SAFETY: memchr and memcmp read inside the buffers: a match begins early enough to end in it.
        unsafe pattern.withUnsafeBytes { pattern in
            unsafe bytes.withUnsafeBytes { bytes in
                guard let start = bytes.baseAddress, let wanted = pattern.baseAddress,
                    bytes.count >= pattern.count
                else { return false }
                let first = unsafe Int32(pattern[0])
                let end = bytes.count - pattern.count + 1
                var offset = 0
                while offset < end,
                    let match = unsafe memchr(start + offset, first, end - offset)
                {
                    if unsafe memcmp(match, wanted, pattern.count) == 0 { return true }
                    offset = unsafe UnsafeRawPointer(match) - start + 1
                }
                return false
            }
        }
    }
}
