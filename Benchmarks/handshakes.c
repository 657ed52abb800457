// The client of Benchmarks/handshakes: TLS connections one after the other, each to its end, for so many seconds.
//   handshakes HOST PORT CA.pem 1.2|1.3 full|resumed|chain SECONDS
// full     a new session each time
// resumed  all but the first continue the first one's session, by its ticket
// chain    as browsers do: a ticket is used once, and the next connection uses one that came since. Each connection asks for
//          a page (GET /), so that a ticket, which a server sends before its answer, is there or will not come.
// A connection is counted when the server has said goodbye: its handshake is complete on both sides. Prints one line of JSON; any
// failure ends it with 1.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum mode { FULL, RESUMED, CHAIN };

// Tickets that may wait for their use; the newest is used first, the oldest is forgotten.
enum { TICKETS_MAX = 4 };
static SSL_SESSION *tickets[TICKETS_MAX];
static int ticket_count;
static long tickets_received;

static _Noreturn void fail(const char *what) {
  fprintf(stderr, "handshakes: %s\n", what);
  perror("errno");
  ERR_print_errors_fp(stderr);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

// Called within SSL_connect or SSL_read; 1 keeps the session.
static int ticket_came(SSL *ssl, SSL_SESSION *session) {
  (void)ssl;
  if (!SSL_SESSION_is_resumable(session)) return 0;
  tickets_received++;
  if (ticket_count == TICKETS_MAX) {
    SSL_SESSION_free(tickets[0]);
    memmove(tickets, tickets + 1, sizeof tickets - sizeof tickets[0]);
    ticket_count--;
  }
  tickets[ticket_count++] = session;
  return 1;
}

static int dial(const struct sockaddr_in *address) {
  int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  if (descriptor < 0) fail("socket");
  int one = 1;
  struct timeval patience = {.tv_sec = 10};
  // What is left of a connection that the server has closed is thrown away, or ports would run out.
  struct linger gone = {.l_onoff = 1};
  if (setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) ||
      setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) ||
      setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &gone, sizeof gone))
    fail("setsockopt");
  if (connect(descriptor, (const struct sockaddr *)address, sizeof *address)) fail("connect");
  return descriptor;
}

// Reads until `ssl` ends, or, with `answer`, until the head of an answer with a status below 500 is there.
static void read_on(SSL *ssl, int answer) {
  char buffer[4096 + 1];
  size_t held = 0;
  for (;;) {
    int count = SSL_read(ssl, buffer + held, (int)(sizeof buffer - 1 - held));
    if (count <= 0) {
      int reason = SSL_get_error(ssl, count);
      // Some leave with a goodbye, some just leave: the handshake was over either way.
      int left = reason == SSL_ERROR_ZERO_RETURN ||
                 (reason == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING);
      if (answer || !left) fail("the server did not answer or end in time");
      ERR_clear_error();
      return;
    }
    // Behind the answer or without a question nothing is looked at.
    if (!answer) continue;
    held += (size_t)count;
    buffer[held] = 0;
    if (strstr(buffer, "\r\n\r\n")) {
      if (strncmp(buffer, "HTTP/1.1 ", 9) || buffer[9] > '4') fail("that is no answer");
      return;
    }
    if (held == sizeof buffer - 1) fail("an answer without an end of its head");
  }
}

// Whether the connection resumed.
static int visit(SSL_CTX *context, const struct sockaddr_in *address, enum mode mode) {
  int descriptor = dial(address);
  SSL *ssl = SSL_new(context);
  if (!ssl || !SSL_set_fd(ssl, descriptor)) fail("SSL_new");
  SSL_SESSION *offered = NULL;
  // A copy: OpenSSL does not offer a session again that has brought another ticket.
  if (mode == RESUMED && ticket_count) offered = SSL_SESSION_dup(tickets[0]);
  if (mode == CHAIN && ticket_count) offered = tickets[--ticket_count];
  if (offered && !SSL_set_session(ssl, offered)) fail("SSL_set_session");
  SSL_SESSION_free(offered);
  if (SSL_connect(ssl) != 1) fail("SSL_connect");
  int resumed = SSL_session_reused(ssl);
  if (mode == CHAIN) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    if (SSL_write(ssl, request, sizeof request - 1) != sizeof request - 1) fail("SSL_write");
    read_on(ssl, 1);
  }
  // Says goodbye and waits for the server's: tickets of TLS 1.3 come meanwhile. The server is to close first.
  SSL_shutdown(ssl);
  read_on(ssl, 0);
  SSL_free(ssl);
  close(descriptor);
  // Of the first connection one ticket is kept; later ones are not asked for.
  while (mode != CHAIN && ticket_count > (mode == RESUMED)) SSL_SESSION_free(tickets[--ticket_count]);
  return resumed;
}

int main(int count, char **words) {
  if (count != 7) {
    fprintf(stderr, "handshakes HOST PORT CA.pem 1.2|1.3 full|resumed|chain SECONDS\n");
    return 64;
  }
  signal(SIGPIPE, SIG_IGN);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[2]))};
  if (inet_pton(AF_INET, words[1], &address.sin_addr) != 1) fail("HOST is an IPv4 address");
  int version = strcmp(words[4], "1.2") ? TLS1_3_VERSION : TLS1_2_VERSION;
  enum mode mode = !strcmp(words[5], "full") ? FULL : !strcmp(words[5], "resumed") ? RESUMED : CHAIN;
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  static const unsigned char http[] = "\x08http/1.1";
  if (!context || !SSL_CTX_set_min_proto_version(context, version) || !SSL_CTX_set_max_proto_version(context, version) ||
      SSL_CTX_load_verify_locations(context, words[3], NULL) != 1 || SSL_CTX_set_alpn_protos(context, http, sizeof http - 1))
    fail("SSL_CTX");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, ticket_came);
  long connections = 0, resumed = 0;
  double began = now(), end = began + atof(words[6]);
  do {
    resumed += visit(context, &address, mode);
    connections++;
  } while (now() < end);
  printf("{\"connections\": %ld, \"resumed\": %ld, \"tickets\": %ld, \"seconds\": %.6f}\n", connections, resumed,
         tickets_received, now() - began);
  return 0;
}
