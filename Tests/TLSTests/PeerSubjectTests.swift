// The subject of a client's certificate as text: every string type, every character that means something, NUL.

import COpenSSL
import Foundation
import TLS
import Testing

@Suite struct PeerSubjectTests {
    /// One attribute of a name: OpenSSL's number of the type, ASN.1 string type, bytes.
    typealias Attribute = (type: Int32, kind: Int32, bytes: [UInt8])

    /// The text that a handshake with a certificate of this subject gives.
    private func text(_ attributes: [Attribute]) throws -> String? {
        let folder = try TemporaryFolder()
        let fixtures = try Fixtures.shared.get()
        let file = folder.path + "/named.pem"
        try rename(fixtures.path("client.pem"), to: attributes, signedBy: "authority", at: file)
        var settings = try Fixtures.settings()
        settings.clientCertificates = .required
        settings.clientAuthorityFile = fixtures.path("authority.pem")
        let pair = try Pair(
            ClientOptions(certificate: (file, fixtures.path("client.key"))),
            context: TLSServerContext(settings))
        try pair.handshake()
        return pair.recorder.completed?.peerCertificateSubject
    }

    /// A copy of a certificate with another subject, signed anew.
    private func rename(
        _ source: String, to attributes: [Attribute], signedBy authority: String, at target: String
    ) throws {
        let fixtures = try Fixtures.shared.get()
        let input = try unsafe #require(BIO_new_file(source, "r"))
        let certificate = try unsafe #require(PEM_read_bio_X509(input, nil, nil, nil))
        let keyFile = try unsafe #require(BIO_new_file(fixtures.path("\(authority).key"), "r"))
        let key = try unsafe #require(PEM_read_bio_PrivateKey(keyFile, nil, nil, nil))
        let name = try unsafe #require(X509_NAME_new())
        let output = try unsafe #require(BIO_new_file(target, "w"))
        defer {
            unsafe BIO_free_all(input)
            unsafe BIO_free_all(keyFile)
            unsafe BIO_free_all(output)
            unsafe X509_free(certificate)
            unsafe EVP_PKEY_free(key)
            unsafe X509_NAME_free(name)
        }
        for (type, kind, bytes) in attributes {
            // The string as it is: X509_NAME_add_entry would refuse what a hostile authority would not.
            let text = unsafe ASN1_STRING_type_new(kind)
            unsafe ASN1_STRING_set(text, bytes, Int32(bytes.count))
            let entry = unsafe X509_NAME_ENTRY_new()
            unsafe X509_NAME_ENTRY_set_object(entry, OBJ_nid2obj(type))
            unsafe X509_NAME_ENTRY_set_data(entry, kind, bytes, Int32(bytes.count))
            #expect(unsafe X509_NAME_add_entry(name, entry, -1, 0) == 1)
            unsafe X509_NAME_ENTRY_free(entry)
            unsafe ASN1_STRING_free(text)
        }
        #expect(unsafe X509_set_subject_name(certificate, name) == 1)
        #expect(unsafe X509_sign(certificate, key, EVP_sha256()) > 0)
        #expect(unsafe PEM_write_bio_X509(output, certificate) == 1)
    }

    @Test func `the first attribute of the certificate stands last`() throws {
        let text = try text([
            (NID_organizationName, V_ASN1_UTF8STRING, Array("Example".utf8)),
            (NID_commonName, V_ASN1_PRINTABLESTRING, Array("app1".utf8)),
        ])
        #expect(text == "CN=app1,O=Example")
    }

    @Test func `a NUL does not end a name, and nothing can be smuggled in`() throws {
        #expect(
            try text([(NID_commonName, V_ASN1_UTF8STRING, Array("app1\0.evil".utf8))])
                == #"CN=app1\00.evil"#)
        #expect(
            try text([(NID_commonName, V_ASN1_UTF8STRING, Array("app1,O=Example".utf8))])
                == #"CN=app1\,O=Example"#)
        #expect(
            try text([(NID_commonName, V_ASN1_UTF8STRING, Array("a\nb\u{202E}+\"".utf8))])
                == #"CN=a\0Ab\E2\80\AE\+\""#)
    }

    @Test func `one name in other string types is one text`() throws {
        let utf8 = try text([(NID_commonName, V_ASN1_UTF8STRING, Array("Müller".utf8))])
        let wide = try text([
            (
                NID_commonName, V_ASN1_BMPSTRING,
                "Müller".utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
            )
        ])
        #expect(utf8 == #"CN=M\C3\BCller"#)
        #expect(wide == utf8)
    }

    @Test func `a name that is too long is none, and one that is not UTF-8 is no name`() throws {
        let long = [UInt8](repeating: 0x61, count: 5_000)
        #expect(try text([(NID_commonName, V_ASN1_UTF8STRING, long)]) == "")
        // OpenSSL refuses to read such a name at all: no certificate with it is ever verified.
        let name = unsafe X509_NAME_new()
        defer { unsafe X509_NAME_free(name) }
        let entry = unsafe X509_NAME_ENTRY_new()
        defer { unsafe X509_NAME_ENTRY_free(entry) }
        unsafe X509_NAME_ENTRY_set_object(entry, OBJ_nid2obj(NID_commonName))
        let broken: [UInt8] = [0x61, 0xFF, 0xC3]
        unsafe X509_NAME_ENTRY_set_data(entry, V_ASN1_UTF8STRING, broken, Int32(broken.count))
        unsafe X509_NAME_add_entry(name, entry, -1, 0)
        var der: UnsafeMutablePointer<UInt8>?
        #expect(unsafe i2d_X509_NAME(name, &der) < 0)
    }
}
