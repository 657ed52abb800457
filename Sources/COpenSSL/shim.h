// What Swift cannot import from OpenSSL: macros, variadic functions, and the BIO that stands between an SSL and
// two ByteBuffers. Nothing here decides anything; the TLS kit does.
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ocsp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// ---- The window: where an SSL reads ciphertext from and writes it to, for the time of one SSL_* call ----

// Space for what OpenSSL says while it reads and the caller offered no room: alerts, answers. Bytes.
#define COpenSSL_SPILL_CAPACITY 512

typedef struct COpenSSL_Window {
    const unsigned char *in;
    size_t in_length;
    size_t in_consumed;
    unsigned char *out;
    size_t out_capacity;
    size_t out_written;
    // Follows `out`: filled when `out` is full, emptied by the caller after each SSL_* call.
    unsigned char *spill;
    size_t spill_count;
    // Handshake messages received and alerts sent, for the bound on KeyUpdate and renegotiation floods.
    size_t control_messages;
} COpenSSL_Window;

static inline COpenSSL_Window *COpenSSL_window_new(void) {
    COpenSSL_Window *window = calloc(1, sizeof(COpenSSL_Window) + COpenSSL_SPILL_CAPACITY);
    if (window != NULL) {
        window->spill = (unsigned char *)(window + 1);
    }
    return window;
}

// Only after SSL_free: the BIO of the SSL points here.
static inline void COpenSSL_window_free(COpenSSL_Window *window) { free(window); }

// Points the window at the caller's memory; with NULL and 0 after the call, so that nothing stale is ever read.
static inline void COpenSSL_window_point(
    COpenSSL_Window *window, const void *in, size_t in_length, void *out, size_t out_capacity) {
    window->in = (const unsigned char *)in;
    window->in_length = in_length;
    window->in_consumed = 0;
    window->out = (unsigned char *)out;
    window->out_capacity = out_capacity;
    window->out_written = 0;
}

static inline int COpenSSL_window_read(BIO *bio, char *to, size_t room, size_t *count) {
    COpenSSL_Window *window = (COpenSSL_Window *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *count = 0;
    size_t left = window->in_length - window->in_consumed;
    if (left == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    if (left > room) {
        left = room;
    }
    memcpy(to, window->in + window->in_consumed, left);
    window->in_consumed += left;
    *count = left;
    return 1;
}

static inline int COpenSSL_window_write(BIO *bio, const char *from, size_t length, size_t *count) {
    COpenSSL_Window *window = (COpenSSL_Window *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *count = 0;
    size_t first = window->out_capacity - window->out_written;
    if (first > length) {
        first = length;
    }
    if (first > 0) {
        memcpy(window->out + window->out_written, from, first);
        window->out_written += first;
    }
    size_t second = COpenSSL_SPILL_CAPACITY - window->spill_count;
    if (second > length - first) {
        second = length - first;
    }
    if (second > 0) {
        memcpy(window->spill + window->spill_count, from + first, second);
        window->spill_count += second;
    }
    if (first + second == 0) {
        BIO_set_retry_write(bio);
        return 0;
    }
    *count = first + second;
    return 1;
}

static inline long COpenSSL_window_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static inline int COpenSSL_window_create(BIO *bio) {
    BIO_set_init(bio, 1);
    return 1;
}

// Made once for the process and never freed.
static inline BIO_METHOD *COpenSSL_window_method_new(void) {
    int type = BIO_get_new_index();
    if (type == -1) {
        return NULL;
    }
    BIO_METHOD *method = BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "buffer window");
    if (method == NULL) {
        return NULL;
    }
    BIO_meth_set_read_ex(method, COpenSSL_window_read);
    BIO_meth_set_write_ex(method, COpenSSL_window_write);
    BIO_meth_set_ctrl(method, COpenSSL_window_control);
    BIO_meth_set_create(method, COpenSSL_window_create);
    return method;
}

static inline void COpenSSL_count_message(
    int written, int version, int type, const void *bytes, size_t length, SSL *ssl, void *window) {
    (void)version;
    (void)bytes;
    (void)length;
    (void)ssl;
    if (written ? type == SSL3_RT_ALERT : type == SSL3_RT_HANDSHAKE) {
        ((COpenSSL_Window *)window)->control_messages += 1;
    }
}

// Gives the SSL its window. The SSL owns the BIO, the caller owns the window. 1, or 0 when out of memory.
static inline int COpenSSL_attach(SSL *ssl, const BIO_METHOD *method, COpenSSL_Window *window) {
    BIO *bio = BIO_new(method);
    if (bio == NULL) {
        return 0;
    }
    BIO_set_data(bio, window);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_msg_callback(ssl, COpenSSL_count_message);
    SSL_set_msg_callback_arg(ssl, window);
    return 1;
}

// ---- Calls that leave an SSL_ERROR_* code; the thread's error queue is empty before each ----

static inline void COpenSSL_clear_errors(void) {
    if (ERR_peek_error() != 0) {
        ERR_clear_error();
    }
}

static inline int COpenSSL_handshake(SSL *ssl) {
    COpenSSL_clear_errors();
    int result = SSL_do_handshake(ssl);
    return result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl, result);
}

static inline int COpenSSL_read(SSL *ssl, void *to, size_t room, size_t *count) {
    COpenSSL_clear_errors();
    int result = SSL_read_ex(ssl, to, room, count);
    return result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl, result);
}

static inline int COpenSSL_write(SSL *ssl, const void *from, size_t length, size_t *count) {
    COpenSSL_clear_errors();
    int result = SSL_write_ex(ssl, from, length, count);
    return result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl, result);
}

// Sends close_notify; both 0 (sent) and 1 (sent, and the peer's has come) are SSL_ERROR_NONE.
static inline int COpenSSL_shutdown(SSL *ssl) {
    COpenSSL_clear_errors();
    int result = SSL_shutdown(ssl);
    return result >= 0 ? SSL_ERROR_NONE : SSL_get_error(ssl, result);
}

// ---- Macros of the error queue ----

static inline int COpenSSL_error_reason(unsigned long code) { return ERR_GET_REASON(code); }
static inline int COpenSSL_error_library(unsigned long code) { return ERR_GET_LIB(code); }

// ---- Macros of SSL and SSL_CTX ----

static inline void COpenSSL_SSL_set_owner(SSL *ssl, void *owner) { SSL_set_app_data(ssl, owner); }
static inline void *COpenSSL_SSL_owner(const SSL *ssl) { return SSL_get_app_data(ssl); }
static inline const char *COpenSSL_SSL_cipher_name(const SSL *ssl) { return SSL_get_cipher_name(ssl); }
static inline int COpenSSL_SSL_set_host_name(SSL *ssl, const char *name) {
    return (int)SSL_set_tlsext_host_name(ssl, name);
}

static inline int COpenSSL_CTX_set_minimum_version(SSL_CTX *context, int version) {
    return SSL_CTX_set_min_proto_version(context, version);
}
static inline int COpenSSL_CTX_set_maximum_version(SSL_CTX *context, int version) {
    return SSL_CTX_set_max_proto_version(context, version);
}
static inline int COpenSSL_CTX_set_groups(SSL_CTX *context, const char *list) {
    return (int)SSL_CTX_set1_groups_list(context, list);
}

// The options and modes of every server context, in one place.
static inline void COpenSSL_CTX_harden(SSL_CTX *context) {
    SSL_CTX_set_options(
        context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE
                     | SSL_OP_SINGLE_ECDH_USE);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_early_data(context, 0);
    SSL_CTX_set_recv_max_early_data(context, 0);
}

static inline void COpenSSL_CTX_forbid_tickets(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
}

static inline void COpenSSL_CTX_set_server_name_callback(
    SSL_CTX *context, int (*callback)(SSL *, int *, void *)) {
    SSL_CTX_set_tlsext_servername_callback(context, callback);
}

// Gives the certificate a further one of its chain, which the context owns from then on when this is 1.
static inline int COpenSSL_CTX_add_issuer(SSL_CTX *context, X509 *issuer) {
    return (int)SSL_CTX_add0_chain_cert(context, issuer);
}

// `callback` is asked for an OCSP answer when a client wants one; `owner` is handed to it.
static inline void COpenSSL_CTX_set_status_callback(
    SSL_CTX *context, int (*callback)(SSL *, void *), void *owner) {
    SSL_CTX_set_tlsext_status_cb(context, callback);
    SSL_CTX_set_tlsext_status_arg(context, owner);
}

// Copies the answer into the handshake. 1, or 0 when out of memory.
static inline int COpenSSL_SSL_staple(SSL *ssl, const void *answer, size_t length) {
    unsigned char *copy = OPENSSL_memdup(answer, length);
    if (copy == NULL) {
        return 0;
    }
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)length);
    return 1;
}

// A key file that asks for a passphrase fails instead of reading the terminal.
static inline int COpenSSL_no_passphrase(char *to, int room, int writing, void *unused) {
    (void)to;
    (void)room;
    (void)writing;
    (void)unused;
    return -1;
}
static inline void COpenSSL_CTX_never_ask(SSL_CTX *context) {
    SSL_CTX_set_default_passwd_cb(context, COpenSSL_no_passphrase);
}

// ---- Session tickets: AES-256-CBC and HMAC-SHA-256 with the caller's keys of 32 bytes each ----

static inline int COpenSSL_ticket_keys(
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, const unsigned char *aes, unsigned char *hmac,
    const unsigned char *iv, int encrypt) {
    char digest[] = "SHA256";
    OSSL_PARAM parameters[3];
    parameters[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, hmac, 32);
    parameters[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
    parameters[2] = OSSL_PARAM_construct_end();
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, aes, iv, encrypt) == 1
           && EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

// HMAC-SHA-256 under a key, also one of no bytes: a NULL key would mean "the key of before".
static inline int COpenSSL_hmac_sha256_init(EVP_MAC_CTX *mac, const unsigned char *key, size_t count) {
    static const unsigned char none[1] = {0};
    char digest[] = "SHA256";
    OSSL_PARAM parameters[2];
    parameters[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
    parameters[1] = OSSL_PARAM_construct_end();
    return EVP_MAC_init(mac, key == NULL ? none : key, count, parameters);
}

// ---- Certificates ----

static inline EVP_PKEY *COpenSSL_make_p256_key(void) { return EVP_EC_gen("P-256"); }

static inline int COpenSSL_add_extension(X509 *certificate, int kind, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    if (extension == NULL) {
        return 0;
    }
    int result = X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return result;
}

static inline long COpenSSL_memory_bytes(BIO *bio, unsigned char **bytes) {
    return BIO_get_mem_data(bio, bytes);
}

// Whether the last thing that went wrong is that a PEM text has no further part; then the queue is emptied.
static inline int COpenSSL_pem_has_ended(void) {
    unsigned long error = ERR_peek_last_error();
    if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE) {
        ERR_clear_error();
        return 1;
    }
    return 0;
}

// The subject's alternative names, to be freed by GENERAL_NAMES_free; NULL when there are none.
static inline GENERAL_NAMES *COpenSSL_alternative_names(const X509 *certificate) {
    return X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
}
static inline int COpenSSL_alternative_name_count(const GENERAL_NAMES *names) {
    return sk_GENERAL_NAME_num(names);
}
// The bytes of a DNS name, or NULL when the name at `index` is of another kind.
static inline const unsigned char *COpenSSL_dns_name(const GENERAL_NAMES *names, int index, int *length) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
    if (name == NULL || name->type != GEN_DNS) {
        return NULL;
    }
    *length = ASN1_STRING_length(name->d.dNSName);
    return ASN1_STRING_get0_data(name->d.dNSName);
}

// How names are written: RFC 4514 (RFC 2253), everything that is not printable ASCII escaped.
static inline unsigned long COpenSSL_subject_flags(void) { return XN_FLAG_RFC2253; }

// Seconds since 1970, or INT64_MIN when the time cannot be read.
static inline int64_t COpenSSL_unix_time(const ASN1_TIME *time) {
    int days = 0, seconds = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int read = epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, time);
    ASN1_TIME_free(epoch);
    return read ? (int64_t)days * 86400 + seconds : INT64_MIN;
}
