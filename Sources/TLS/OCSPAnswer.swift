// Whether a file holds an OCSP answer (RFC 6960) for one certificate, and until when.

private import COpenSSL

/// What an OCSP answer says of a certificate. Its signature is left to the clients, who have the authorities.
enum OCSPAnswer: Equatable {
    /// From when and until when it is good, in seconds since 1970.
    case good(begins: Int64, ends: Int64)
    /// What is wrong with it, after "the answer".
    case bad(String)

    @unsafe init(der: [UInt8], for certificate: OpaquePointer) {
        self = unsafe OCSPAnswer.read(der, certificate)
    }

    @unsafe private static func read(_ der: [UInt8], _ certificate: OpaquePointer) -> OCSPAnswer {
        guard !der.isEmpty, der.count <= 64 << 10 else { return .bad("has a wrong length") }
        let response = unsafe der.withUnsafeBufferPointer { bytes -> OpaquePointer? in
            var start = bytes.baseAddress
            let response = unsafe d2i_OCSP_RESPONSE(nil, &start, bytes.count)
            // All of it, and nothing behind.
            guard let end = unsafe start, let first = bytes.baseAddress,
                unsafe end - first == bytes.count
            else {
                unsafe OCSP_RESPONSE_free(response)
                return nil
            }
            return unsafe response
        }
        guard let response = unsafe response else { return .bad("is not DER of that kind") }
        defer { unsafe OCSP_RESPONSE_free(response) }
        guard unsafe OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL,
            let basic = unsafe OCSP_response_get1_basic(response)
        else { return .bad("tells of the responder's failure") }
        defer { unsafe OCSP_BASICRESP_free(basic) }
        for index in 0..<(unsafe OCSP_resp_count(basic)) {
            guard let single = unsafe OCSP_resp_get0(basic, index),
                unsafe isMeant(single, certificate)
            else { continue }
            return unsafe judge(single)
        }
        return .bad("is for another certificate")
    }

    /// Serial number and issuer's name; the hash of the issuer's key needs the issuer, which may not be here.
    @unsafe private static func isMeant(
        _ single: OpaquePointer, _ certificate: OpaquePointer
    ) -> Bool {
        var nameHash: UnsafeMutablePointer<ASN1_OCTET_STRING>?
        var algorithm: OpaquePointer?
        var serial: UnsafeMutablePointer<ASN1_INTEGER>?
        let id = unsafe OCSP_SINGLERESP_get0_id(single)
        guard unsafe OCSP_id_get0_info(&nameHash, &algorithm, nil, &serial, id) == 1,
            unsafe ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(certificate)) == 0,
            let kind = unsafe EVP_get_digestbyname(OBJ_nid2sn(OBJ_obj2nid(algorithm)))
        else { return false }
        var hash = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard
            unsafe X509_NAME_digest(X509_get_issuer_name(certificate), kind, &hash, &count) == 1
        else { return false }
        let said = unsafe UnsafeBufferPointer(
            start: ASN1_STRING_get0_data(nameHash), count: Int(ASN1_STRING_length(nameHash)))
        return unsafe said.elementsEqual(hash.prefix(Int(count)))
    }

    @unsafe private static func judge(_ single: OpaquePointer) -> OCSPAnswer {
        var begins: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
        var ends: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
        let status = unsafe OCSP_single_get0_status(single, nil, nil, &begins, &ends)
        guard status != V_OCSP_CERTSTATUS_REVOKED else { return .bad("says revoked") }
        guard status == V_OCSP_CERTSTATUS_GOOD else { return .bad("does not know the certificate") }
        guard let begins = unsafe begins, let ends = unsafe ends else {
            return .bad("does not say until when it is good")
        }
        return unsafe .good(begins: COpenSSL_unix_time(begins), ends: COpenSSL_unix_time(ends))
    }
}
