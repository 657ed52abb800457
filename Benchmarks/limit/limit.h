// The reference: what this machine allows for the gateway's main job. Two halves: limit.c moves bytes (epoll,
// OpenSSL on the socket, sluice/1 frames), answer.c turns one message into its answer (protobuf-c, ONNX Runtime).
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Memory of one call: a block is handed out from front to back and forgotten as a whole after the call.
struct arena {
  uint8_t *block;
  size_t used, size;
  // What did not fit, each a malloc of its own, to be freed with the call.
  struct large { struct large *next; } *large;
};
void *arena_take(struct arena *arena, size_t size);
void arena_reset(struct arena *arena);

// One whole call as the frames brought it; every pointer lives until the answer is written.
struct call {
  uint32_t id;
  const uint8_t *header;
  size_t header_length;
  const uint8_t *message;
  size_t message_length;
};

// An answer before it is written: both messages are in the arena or in ORT values held until answer_release.
struct answer {
  size_t header_length, message_length;
  void *header, *message;    // packed when asked
  void *values[16];          // OrtValue
  size_t value_count;
};

// Loads the model at `path`, or none: then a call's inputs come back as its outputs. Ends the process on failure.
void model_open(const char *name, const char *path);
// Builds the answer to `call`; never fails, a mistake of the caller becomes a status.
void answer_make(const struct call *call, struct arena *arena, struct answer *answer);
// Writes its two messages, of the lengths in it.
void answer_write_header(const struct answer *answer, uint8_t *out);
void answer_write_message(const struct answer *answer, uint8_t *out);
void answer_release(struct answer *answer);
// The `message_length` of a CALL header in parts; 0 when there is none or the header is broken.
uint64_t message_length_of(const uint8_t *header, size_t length, struct arena *arena);
// The server's HELLO and its answer to AUTH, packed into `out`, which has room for 512 bytes.
size_t hello_write(uint8_t *out, size_t frame_max, size_t message_max);
size_t auth_write(uint8_t *out);
