// The bare limit of this machine for the gateway's main job: the same frames, TLS, protobuf and model run, with
// nothing else: no token, no quota, no deadline, no queue. One event loop a thread, straight-forward C.
//
//   limit --cert FILE --key FILE --model NAME=FILE|--echo NAME [--listen HOST:PORT] [--threads N]
#define _GNU_SOURCE
#include "limit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  frame_max = 256 << 10,
  head_bytes = 12,
  counted_head_bytes = 8,
  message_max = 64 << 20,
  header_max = 16 << 10,
  // Unsent answers at which a connection is not read any more.
  outbound_high = 8 << 20,
  read_room = 64 << 10,
  parts_max = 256,
  threads_max = 64,
};
enum { HELLO, CALL, DATA, REPLY, CANCEL, PING, GOAWAY, AUTH, PROGRESS, EXTENSION = 0x40, EXTENSION_LAST = 0x7F };
enum { END = 1, MORE = 2, ACK = 8 };

struct buffer {
  uint8_t *bytes;
  size_t start, end, capacity;
};

// A message whose parts are still coming.
struct parts {
  struct parts *next;
  uint32_t call;
  size_t header_length, length, capacity;
  uint8_t *header, *bytes;
};

struct connection {
  int socket;
  SSL *ssl;
  bool greeted, watching_writes, paused;
  size_t part_count;
  struct parts *parts;
  struct buffer in, out;
};

struct loop {
  int poll;
  struct arena arena;
};

static struct loop loops[threads_max];
static int thread_count = 1;
static SSL_CTX *context;

static void die(const char *what) {
  fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
  exit(69);
}

// MARK: Buffers

// Room for `count` more bytes at the end.
static uint8_t *reserve(struct buffer *buffer, size_t count) {
  if (buffer->start == buffer->end) buffer->start = buffer->end = 0;
  if (buffer->capacity - buffer->end < count) {
    size_t used = buffer->end - buffer->start;
    if (buffer->start > 0) memmove(buffer->bytes, buffer->bytes + buffer->start, used);
    buffer->start = 0;
    buffer->end = used;
    if (buffer->capacity - used < count) {
      size_t capacity = buffer->capacity ? buffer->capacity : 16 << 10;
      while (capacity - used < count) capacity *= 2;
      uint8_t *bytes = realloc(buffer->bytes, capacity);
      if (bytes == NULL) die("memory");
      buffer->bytes = bytes;
      buffer->capacity = capacity;
    }
  }
  return buffer->bytes + buffer->end;
}

static uint32_t read32(const uint8_t *bytes) {
  uint32_t value;
  memcpy(&value, bytes, 4);
  return ntohl(value);
}

static void write_head(uint8_t *out, size_t body, uint8_t type, uint8_t flags, size_t header, uint32_t call) {
  uint32_t length = htonl((uint32_t)(counted_head_bytes + body)), number = htonl(call);
  uint16_t header_length = htons((uint16_t)header);
  memcpy(out, &length, 4);
  out[4] = type;
  out[5] = flags;
  memcpy(out + 6, &header_length, 2);
  memcpy(out + 8, &number, 4);
}

// MARK: Answers

static void reply(struct connection *connection, struct loop *loop, const struct call *call) {
  struct answer answer;
  answer_make(call, &loop->arena, &answer);
  size_t header = answer.header_length, message = answer.message_length;
  if (header + message <= frame_max) {
    uint8_t *out = reserve(&connection->out, head_bytes + header + message);
    write_head(out, header + message, REPLY, END, header, call->id);
    answer_write_header(&answer, out + head_bytes);
    answer_write_message(&answer, out + head_bytes + header);
    connection->out.end += head_bytes + header + message;
  } else {
    uint8_t *whole = malloc(message);
    if (whole == NULL) die("memory");
    answer_write_message(&answer, whole);
    for (size_t sent = 0; sent < message;) {
      size_t lead = sent == 0 ? header : 0, part = frame_max - lead;
      if (part > message - sent) part = message - sent;
      uint8_t *out = reserve(&connection->out, head_bytes + lead + part);
      write_head(out, lead + part, sent == 0 ? REPLY : DATA, sent + part == message ? END : MORE, lead, call->id);
      if (lead > 0) answer_write_header(&answer, out + head_bytes);
      memcpy(out + head_bytes + lead, whole + sent, part);
      connection->out.end += head_bytes + lead + part;
      sent += part;
    }
    free(whole);
  }
  answer_release(&answer);
  arena_reset(&loop->arena);
}

// MARK: Frames

static void free_parts(struct parts *parts) {
  free(parts->header);
  free(parts->bytes);
  free(parts);
}

// The first part of a message. False ends the connection.
static bool begin_parts(struct connection *connection, struct loop *loop, uint32_t call, const uint8_t *header,
                        size_t header_length, const uint8_t *payload, size_t length) {
  uint64_t whole = message_length_of(header, header_length, &loop->arena);
  arena_reset(&loop->arena);
  if (whole == 0 || whole > message_max || length > whole || connection->part_count == parts_max) return false;
  struct parts *parts = calloc(1, sizeof *parts);
  if (parts == NULL) die("memory");
  *parts = (struct parts){connection->parts, call,  header_length, length, whole,
                          malloc(header_length + 1), malloc(whole)};
  if (parts->header == NULL || parts->bytes == NULL) die("memory");
  memcpy(parts->header, header, header_length);
  memcpy(parts->bytes, payload, length);
  connection->parts = parts;
  connection->part_count++;
  return true;
}

static bool continue_parts(struct connection *connection, struct loop *loop, uint32_t call, bool more,
                           const uint8_t *payload, size_t length) {
  struct parts **link = &connection->parts;
  while (*link != NULL && (*link)->call != call) link = &(*link)->next;
  struct parts *parts = *link;
  if (parts == NULL || length > parts->capacity - parts->length) return false;
  memcpy(parts->bytes + parts->length, payload, length);
  parts->length += length;
  if (more) return true;
  *link = parts->next;
  connection->part_count--;
  bool whole = parts->length == parts->capacity;
  if (whole) {
    struct call done = {call, parts->header, parts->header_length, parts->bytes, parts->length};
    reply(connection, loop, &done);
  }
  free_parts(parts);
  return whole;
}

static void send_small(struct connection *connection, uint8_t type, uint8_t flags, size_t header, const uint8_t *body,
                       size_t length) {
  uint8_t *out = reserve(&connection->out, head_bytes + length);
  write_head(out, length, type, flags, header, 0);
  memcpy(out + head_bytes, body, length);
  connection->out.end += head_bytes + length;
}

// One whole frame. False ends the connection.
static bool take_frame(struct connection *connection, struct loop *loop, const uint8_t *frame, size_t body) {
  uint8_t type = frame[4], flags = frame[5], text[512];
  size_t header = (size_t)frame[6] << 8 | frame[7];
  uint32_t id = read32(frame + 8);
  const uint8_t *start = frame + head_bytes, *payload = start + header;
  if (header > body || header > header_max || (flags & ~(END | MORE | ACK))) return false;
  size_t length = body - header;
  if (!connection->greeted && type != HELLO) return false;
  switch (type) {
    case HELLO: {
      if (connection->greeted) return false;
      connection->greeted = true;
      size_t written = hello_write(text, frame_max, message_max);
      send_small(connection, HELLO, 0, written, text, written);
      return true;
    }
    case CALL:
      if (flags & MORE) return begin_parts(connection, loop, id, start, header, payload, length);
      reply(connection, loop, &(struct call){id, start, header, payload, length});
      return true;
    case DATA:
      return continue_parts(connection, loop, id, flags & MORE, payload, length);
    case PING:
      if (length != 8) return false;
      if (!(flags & ACK)) send_small(connection, PING, ACK, 0, payload, length);
      return true;
    case AUTH: {
      size_t written = auth_write(text);
      send_small(connection, AUTH, 0, written, text, written);
      return true;
    }
    case CANCEL:
    case GOAWAY:
      return true;
    default:
      return type >= EXTENSION && type <= EXTENSION_LAST;
  }
}

// Every whole frame in the buffer.
static bool take_frames(struct connection *connection, struct loop *loop) {
  struct buffer *in = &connection->in;
  while (in->end - in->start >= head_bytes) {
    const uint8_t *frame = in->bytes + in->start;
    size_t counted = read32(frame);
    if (counted < counted_head_bytes || counted > frame_max + counted_head_bytes) return false;
    if (in->end - in->start < 4 + counted) {
      // The whole frame's room at once, so that a large one is not moved again and again.
      reserve(in, 4 + counted - (in->end - in->start));
      return true;
    }
    if (!take_frame(connection, loop, frame, counted - counted_head_bytes)) return false;
    in->start += 4 + counted;
  }
  return true;
}

// MARK: Sockets

static void watch(struct connection *connection, struct loop *loop) {
  bool writes = connection->out.end > connection->out.start;
  bool paused = connection->out.end - connection->out.start > outbound_high;
  if (writes == connection->watching_writes && paused == connection->paused) return;
  connection->watching_writes = writes;
  connection->paused = paused;
  struct epoll_event event = {(paused ? 0 : EPOLLIN) | (writes ? EPOLLOUT : 0), {.ptr = connection}};
  if (epoll_ctl(loop->poll, EPOLL_CTL_MOD, connection->socket, &event) < 0) die("epoll_ctl");
}

// False when the connection is over.
static bool flush(struct connection *connection) {
  struct buffer *out = &connection->out;
  while (out->start < out->end) {
    size_t written = 0;
    ERR_clear_error();
    if (SSL_write_ex(connection->ssl, out->bytes + out->start, out->end - out->start, &written) != 1) {
      int error = SSL_get_error(connection->ssl, 0);
      return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ;
    }
    out->start += written;
  }
  if (out->capacity > 1 << 20) {
    free(out->bytes);
    *out = (struct buffer){0};
  }
  return true;
}

static bool serve(struct connection *connection, struct loop *loop) {
  for (;;) {
    size_t count = 0;
    uint8_t *room = reserve(&connection->in, read_room);
    ERR_clear_error();
    if (SSL_read_ex(connection->ssl, room, connection->in.capacity - connection->in.end, &count) != 1) {
      int error = SSL_get_error(connection->ssl, 0);
      if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return false;
      break;
    }
    connection->in.end += count;
    // What is already decrypted or read ahead comes before the answers: they leave together.
    if (SSL_has_pending(connection->ssl) && connection->in.end - connection->in.start < 4 * read_room) continue;
    if (!take_frames(connection, loop)) return false;
    if (connection->out.end - connection->out.start > outbound_high) break;
    if (!SSL_has_pending(connection->ssl)) break;
  }
  return take_frames(connection, loop) && flush(connection);
}

static void end_connection(struct connection *connection, struct loop *loop) {
  epoll_ctl(loop->poll, EPOLL_CTL_DEL, connection->socket, NULL);
  SSL_shutdown(connection->ssl);
  SSL_free(connection->ssl);
  close(connection->socket);
  while (connection->parts != NULL) {
    struct parts *next = connection->parts->next;
    free_parts(connection->parts);
    connection->parts = next;
  }
  free(connection->in.bytes);
  free(connection->out.bytes);
  free(connection);
}

static void accept_all(int listener) {
  static unsigned next;
  for (;;) {
    int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) return;
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) die("memory");
    connection->socket = socket;
    connection->ssl = SSL_new(context);
    SSL_set_fd(connection->ssl, socket);
    SSL_set_accept_state(connection->ssl);
    // Connections are dealt out in turn: a few of them are shared evenly, which SO_REUSEPORT does not promise.
    struct loop *loop = &loops[next++ % (unsigned)thread_count];
    struct epoll_event event = {EPOLLIN, {.ptr = connection}};
    if (epoll_ctl(loop->poll, EPOLL_CTL_ADD, socket, &event) < 0) die("epoll_ctl");
  }
}

static int listener = -1;

static void *turn(void *argument) {
  struct loop *loop = argument;
  struct epoll_event events[64];
  for (;;) {
    int count = epoll_wait(loop->poll, events, 64, -1);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
      struct connection *connection = events[i].data.ptr;
      if (connection == NULL) {
        accept_all(listener);
        continue;
      }
      bool alive = true;
      if (events[i].events & EPOLLOUT) alive = flush(connection);
      if (alive && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) alive = serve(connection, loop);
      // A connection that was paused may hold whole frames that OpenSSL has already read.
      if (alive && connection->paused && connection->out.end - connection->out.start <= outbound_high) {
        alive = serve(connection, loop);
      }
      if (alive) {
        watch(connection, loop);
      } else {
        end_connection(connection, loop);
      }
    }
  }
  return NULL;
}

// MARK: Start

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *length, const unsigned char *offered,
                           unsigned int count, void *argument) {
  static const unsigned char ours[] = "\x08sluice/1";
  (void)ssl, (void)argument;
  return SSL_select_next_proto((unsigned char **)out, length, ours, sizeof ours - 1, offered, count) ==
                 OPENSSL_NPN_NEGOTIATED
             ? SSL_TLSEXT_ERR_OK
             : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void open_context(const char *certificate, const char *key) {
  context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // One read(2) may bring several records.
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, read_room);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
  if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
    ERR_print_errors_fp(stderr);
    exit(78);
  }
}

static void open_listener(const char *place) {
  char host[64];
  const char *colon = strrchr(place, ':');
  struct sockaddr_in address = {.sin_family = AF_INET};
  if (colon == NULL || (size_t)(colon - place) >= sizeof host) die("--listen wants HOST:PORT");
  memcpy(host, place, (size_t)(colon - place));
  host[colon - place] = 0;
  address.sin_port = htons((uint16_t)atoi(colon + 1));
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) die("--listen wants a numeric host");
  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1024) < 0) die(place);
  socklen_t length = sizeof address;
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("ready tls=%s:%d\n", host, ntohs(address.sin_port));
  fflush(stdout);
}

static int usage(void) {
  fprintf(stderr, "usage: limit --cert FILE --key FILE --model NAME=FILE|--echo NAME [--listen HOST:PORT] [--threads N]\n");
  return 64;
}

int main(int count, char **arguments) {
  const char *certificate = NULL, *key = NULL, *place = "127.0.0.1:0", *name = NULL, *path = NULL;
  for (int i = 1; i < count; i++) {
    const char *option = arguments[i], *value = i + 1 < count ? arguments[++i] : NULL;
    if (value == NULL) return usage();
    if (strcmp(option, "--cert") == 0) certificate = value;
    else if (strcmp(option, "--key") == 0) key = value;
    else if (strcmp(option, "--listen") == 0) place = value;
    else if (strcmp(option, "--threads") == 0) thread_count = atoi(value);
    else if (strcmp(option, "--echo") == 0) name = value;
    else if (strcmp(option, "--model") == 0) {
      char *equals = strchr(arguments[i], '=');
      if (equals == NULL) return usage();
      *equals = 0;
      name = arguments[i];
      path = equals + 1;
    } else return usage();
  }
  if (certificate == NULL || key == NULL || name == NULL || thread_count < 1 || thread_count > threads_max) return usage();
  signal(SIGPIPE, SIG_IGN);
  model_open(name, path);
  open_context(certificate, key);
  for (int i = 0; i < thread_count; i++) {
    if ((loops[i].poll = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll_create1");
  }
  open_listener(place);
  struct epoll_event event = {EPOLLIN, {.ptr = NULL}};
  if (epoll_ctl(loops[0].poll, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll_ctl");
  for (int i = 1; i < thread_count; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, turn, &loops[i]) != 0) die("pthread_create");
  }
  turn(&loops[0]);
  return 0;
}
