// Published vectors for the functions over libcrypto.

import TLS
import Testing

@Suite struct CryptographyTests {
    /// FIPS 180-4 examples.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func `sha256 gives the published digests`(text: String, digest: String) {
        #expect(Cryptography.hex(Cryptography.sha256(Array(text.utf8))) == digest)
    }

    /// FIPS 180-4's long example, and the same bytes in parts of any size.
    @Test func `a stream gives the hash of the whole`() {
        var million = SHA256Stream()
        let thousand = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000)
        for _ in 0..<1_000 { million.update(thousand[...]) }
        #expect(
            Cryptography.hex(million.finish())
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
        let bytes = Cryptography.randomBytes(100_000)
        for step in [1, 63, 64, 65, 4_096, 99_999, 100_000] {
            var stream = SHA256Stream()
            for start in Swift.stride(from: 0, to: bytes.count, by: step) {
                stream.update(bytes[start..<min(start + step, bytes.count)])
            }
            stream.update([])
            #expect(stream.finish() == Cryptography.sha256(bytes), "parts of \(step)")
        }
        #expect(SHA256Stream().finish() == Cryptography.sha256([]))
    }

    /// RFC 4231, test cases 1, 2 and 6 (a key longer than the block).
    @Test func `hmac gives the published codes`() {
        func code(_ key: [UInt8], _ message: String) -> String {
            Cryptography.hex(Cryptography.hmacSHA256(key: key, message: Array(message.utf8)))
        }
        #expect(
            code([UInt8](repeating: 0x0b, count: 20), "Hi There")
                == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        #expect(
            code(Array("Jefe".utf8), "what do ya want for nothing?")
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        #expect(
            code(
                [UInt8](repeating: 0xaa, count: 131),
                "Test Using Larger Than Block-Size Key - Hash Key First")
                == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    }

    @Test func `hmac takes an empty key and an empty message`() {
        let code = Cryptography.hmacSHA256(key: [], message: [])
        #expect(
            Cryptography.hex(code)
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
    }

    @Test(arguments: [0, 1, 32, 64, 65, 131])
    func `a key that stays gives the same codes`(keyLength: Int) {
        let key = Cryptography.randomBytes(keyLength)
        let hash = KeyedHash(key: key)
        for (label, message) in [
            ("", ""), ("main", "token"), ("main", ""), ("", "token"), ("main", "token"),
        ] {
            let code = hash.code(label: label, message: Array(message.utf8))
            #expect(
                code.indices.map { code[$0] }
                    == Cryptography.hmacSHA256(
                        key: key, message: Array("\(label)\0\(message)".utf8)))
        }
    }

    @Test func `a key that stays is used by many threads at once`() async {
        let key = Cryptography.randomBytes(32)
        let hash = KeyedHash(key: key)
        await withTaskGroup { group in
            for number in 0..<8 {
                group.addTask {
                    let message = Array("token \(number)".utf8)
                    let right = Cryptography.hmacSHA256(
                        key: key, message: Array("main\0".utf8) + message)
                    for _ in 0..<2_000 {
                        let code = hash.code(label: "main", message: message)
                        #expect(code.indices.allSatisfy { code[$0] == right[$0] })
                    }
                }
            }
        }
    }

    /// RFC 4648 section 10, without padding.
    @Test(arguments: [
        ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"),
        ("fooba", "Zm9vYmE"), ("foobar", "Zm9vYmFy"),
    ])
    func `base64url gives the published texts`(text: String, encoded: String) {
        #expect(Cryptography.base64URL(Array(text.utf8)) == encoded)
    }

    @Test func `base64url has its own two characters`() {
        #expect(Cryptography.base64URL([0xfb, 0xff, 0xbf]) == "-_-_")
    }

    @Test func `random bytes have the asked count and differ`() {
        #expect(Cryptography.randomBytes(0).isEmpty)
        let first = Cryptography.randomBytes(32)
        #expect(first.count == 32)
        #expect(first != Cryptography.randomBytes(32))
    }
}
