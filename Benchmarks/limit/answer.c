// One message into its answer: protobuf-c over an arena, the model by ONNX Runtime's C API.
#include "limit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../Sources/COnnxRuntime/shim.h"
#include "open_inference.pb-c.h"
#include "sluice.pb-c.h"

// MARK: Arena

void *arena_take(struct arena *arena, size_t size) {
  size_t rounded = (size + 15) & ~(size_t)15;
  if (arena->used + rounded <= arena->size) {
    void *taken = arena->block + arena->used;
    arena->used += rounded;
    return taken;
  }
  if (arena->block == NULL) {
    arena->size = 256 << 10;
    arena->block = malloc(arena->size);
    if (arena->block != NULL && rounded <= arena->size) {
      arena->used = rounded;
      return arena->block;
    }
  }
  // 16 bytes for the link keep what follows aligned.
  struct large *large = malloc(16 + rounded);
  if (large == NULL) return NULL;
  large->next = arena->large;
  arena->large = large;
  return (uint8_t *)large + 16;
}

void arena_reset(struct arena *arena) {
  arena->used = 0;
  while (arena->large != NULL) {
    struct large *next = arena->large->next;
    free(arena->large);
    arena->large = next;
  }
}

static void *allocate(void *arena, size_t size) { return arena_take(arena, size); }
static void release(void *arena, void *memory) {
  (void)arena;
  (void)memory;
}

// MARK: The model

enum { tensors_max = 16, rank_max = 8 };

struct tensor {
  char *name;
  const char *datatype;
  size_t width;
  ONNXTensorElementDataType type;
  size_t rank;
  int64_t shape[rank_max];
};

static struct {
  char name[129];
  const OrtApi *api;
  OrtSession *session;  // NULL: echo
  OrtMemoryInfo *memory;
  size_t input_count, output_count;
  struct tensor inputs[tensors_max], outputs[tensors_max];
  const char *input_names[tensors_max], *output_names[tensors_max];
} model;

static const struct { const char *name; size_t width; ONNXTensorElementDataType type; } datatypes[] = {
    {"FP32", 4, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},    {"INT64", 8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},
    {"FP64", 8, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE},   {"INT32", 4, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32},
    {"BOOL", 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL},     {"UINT8", 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
    {"INT8", 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},     {"UINT16", 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16},
    {"INT16", 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16},   {"UINT32", 4, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32},
    {"UINT64", 8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64}, {"FP16", 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16},
    {"BF16", 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16},
};

static void must(OrtStatus *status) {
  if (status == NULL) return;
  fprintf(stderr, "limit: %s\n", model.api->GetErrorMessage(status));
  exit(70);
}

static void silent(void *context, OrtLoggingLevel level, const char *category, const char *identity,
                   const char *place, const char *message) {
  (void)context, (void)level, (void)category, (void)identity, (void)place, (void)message;
}

// Reads type and shape into `tensor`; false when the reference does not serve them.
static bool describe(const OrtTensorTypeAndShapeInfo *info, struct tensor *tensor) {
  must(model.api->GetTensorElementType(info, &tensor->type));
  must(model.api->GetDimensionsCount(info, &tensor->rank));
  if (tensor->rank > rank_max) return false;
  must(model.api->GetDimensions(info, tensor->shape, tensor->rank));
  for (size_t i = 0; i < sizeof datatypes / sizeof *datatypes; i++) {
    if (datatypes[i].type != tensor->type) continue;
    tensor->datatype = datatypes[i].name;
    tensor->width = datatypes[i].width;
    return true;
  }
  return false;
}

static void read_side(bool inputs, size_t *count, struct tensor *tensors, const char **names) {
  OrtAllocator *allocator;
  must(model.api->GetAllocatorWithDefaultOptions(&allocator));
  must(inputs ? model.api->SessionGetInputCount(model.session, count)
              : model.api->SessionGetOutputCount(model.session, count));
  if (*count > tensors_max) *count = tensors_max;
  for (size_t i = 0; i < *count; i++) {
    must(inputs ? model.api->SessionGetInputName(model.session, i, allocator, &tensors[i].name)
                : model.api->SessionGetOutputName(model.session, i, allocator, &tensors[i].name));
    names[i] = tensors[i].name;
    OrtTypeInfo *type;
    must(inputs ? model.api->SessionGetInputTypeInfo(model.session, i, &type)
                : model.api->SessionGetOutputTypeInfo(model.session, i, &type));
    const OrtTensorTypeAndShapeInfo *info;
    must(model.api->CastTypeInfoToTensorInfo(type, &info));
    if (info == NULL || !describe(info, &tensors[i])) {
      fprintf(stderr, "limit: tensor '%s' is not one the reference serves\n", tensors[i].name);
      exit(65);
    }
    model.api->ReleaseTypeInfo(type);
  }
}

void model_open(const char *name, const char *path) {
  snprintf(model.name, sizeof model.name, "%s", name);
  if (path == NULL) {
    model.input_count = model.output_count = 1;
    model.inputs[0] = model.outputs[0] = (struct tensor){"X", "FP32", 4, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 2, {-1, 4}};
    return;
  }
  char version[256], reason[256];
  const char *library = COnnxRuntime_namedLibrary();
  COnnxRuntime_forbidTelemetry();
  if (COnnxRuntime_open(library ? library : "/usr/local/lib/libonnxruntime.so", &model.api, version, reason, 256) !=
          COnnxRuntimeOpened &&
      COnnxRuntime_open("libonnxruntime.so", &model.api, version, reason, 256) != COnnxRuntimeOpened) {
    fprintf(stderr, "limit: %s; run scripts/setup\n", reason);
    exit(69);
  }
  OrtThreadingOptions *threads;
  must(model.api->CreateThreadingOptions(&threads));
  must(model.api->SetGlobalIntraOpNumThreads(threads, 1));
  must(model.api->SetGlobalInterOpNumThreads(threads, 1));
  must(model.api->SetGlobalSpinControl(threads, 0));
  OrtEnv *environment;
  must(model.api->CreateEnvWithCustomLoggerAndGlobalThreadPools(silent, NULL, ORT_LOGGING_LEVEL_ERROR, "limit",
                                                                threads, &environment));
  OrtSessionOptions *options;
  must(model.api->CreateSessionOptions(&options));
  must(model.api->DisablePerSessionThreads(options));
  must(model.api->DisableCpuMemArena(options));
  must(model.api->DisableMemPattern(options));
  must(model.api->CreateSession(environment, path, options, &model.session));
  model.api->ReleaseSessionOptions(options);
  must(model.api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &model.memory));
  read_side(true, &model.input_count, model.inputs, model.input_names);
  read_side(false, &model.output_count, model.outputs, model.output_names);
}

// MARK: Answers


static void *take(struct arena *arena, size_t size) {
  void *taken = arena_take(arena, size);
  if (taken == NULL) {
    fprintf(stderr, "limit: out of memory\n");
    exit(70);
  }
  return taken;
}

static void fail(struct answer *answer, struct arena *arena, uint32_t code, char *text) {
  answer_release(answer);
  Sluice__V1__ReplyHeader *header = take(arena, sizeof *header);
  sluice__v1__reply_header__init(header);
  header->status = take(arena, sizeof *header->status);
  sluice__v1__status__init(header->status);
  header->status->code = code;
  header->status->message = text;
  answer->header = header;
  answer->message = NULL;
}

static bool fits(const struct tensor *tensor, const Inference__ModelInferRequest__InferInputTensor *given,
                 size_t byte_count) {
  if (strcmp(tensor->datatype, given->datatype) != 0 || tensor->rank != given->n_shape) return false;
  uint64_t elements = 1;
  for (size_t i = 0; i < tensor->rank; i++) {
    int64_t dimension = given->shape[i];
    if (dimension < 0 || (tensor->shape[i] >= 0 && tensor->shape[i] != dimension)) return false;
    if (__builtin_mul_overflow(elements, (uint64_t)dimension, &elements)) return false;
  }
  return !__builtin_mul_overflow(elements, tensor->width, &elements) && elements == byte_count;
}

// The bytes of the request's input `index`, raw or from the FP32 contents.
static ProtobufCBinaryData contents(const Inference__ModelInferRequest *request, size_t index) {
  if (request->n_raw_input_contents > index) return request->raw_input_contents[index];
  const Inference__InferTensorContents *typed = request->inputs[index]->contents;
  if (typed == NULL) return (ProtobufCBinaryData){0, NULL};
  return (ProtobufCBinaryData){typed->n_fp32_contents * sizeof(float), (uint8_t *)typed->fp32_contents};
}

// Takes a value of the run as output `index` of the response.
static bool add_output(Inference__ModelInferResponse *response, size_t index, const struct tensor *tensor,
                       OrtValue *value, struct arena *arena) {
  Inference__ModelInferResponse__InferOutputTensor *output = take(arena, sizeof *output);
  inference__model_infer_response__infer_output_tensor__init(output);
  struct tensor actual;
  OrtTensorTypeAndShapeInfo *info;
  must(model.api->GetTensorTypeAndShape(value, &info));
  bool served = describe(info, &actual);
  model.api->ReleaseTensorTypeAndShapeInfo(info);
  if (!served) return false;
  size_t length = actual.width;
  output->shape = take(arena, sizeof(int64_t) * rank_max);
  for (size_t i = 0; i < actual.rank; i++) {
    output->shape[i] = actual.shape[i];
    length *= (size_t)actual.shape[i];
  }
  output->n_shape = actual.rank;
  output->name = tensor->name;
  output->datatype = (char *)actual.datatype;
  void *data;
  must(model.api->GetTensorMutableData(value, &data));
  response->outputs[index] = output;
  response->raw_output_contents[index] = (ProtobufCBinaryData){length, data};
  return true;
}

static void start_response(Inference__ModelInferResponse *response, const Inference__ModelInferRequest *request,
                           size_t count, struct arena *arena) {
  inference__model_infer_response__init(response);
  response->model_name = request->model_name;
  response->model_version = "1";
  response->id = request->id;
  response->n_outputs = response->n_raw_output_contents = count;
  response->outputs = take(arena, count * sizeof *response->outputs);
  response->raw_output_contents = take(arena, count * sizeof *response->raw_output_contents);
}

static void echo(const Inference__ModelInferRequest *request, struct arena *arena, struct answer *answer) {
  Inference__ModelInferResponse *response = take(arena, sizeof *response);
  start_response(response, request, request->n_inputs, arena);
  for (size_t i = 0; i < request->n_inputs; i++) {
    Inference__ModelInferResponse__InferOutputTensor *output = take(arena, sizeof *output);
    inference__model_infer_response__infer_output_tensor__init(output);
    output->name = request->inputs[i]->name;
    output->datatype = request->inputs[i]->datatype;
    output->n_shape = request->inputs[i]->n_shape;
    output->shape = request->inputs[i]->shape;
    response->outputs[i] = output;
    response->raw_output_contents[i] = contents(request, i);
  }
  answer->message = response;
}

static void run(const Inference__ModelInferRequest *request, struct arena *arena, struct answer *answer) {
  OrtValue *inputs[tensors_max] = {0};
  OrtValue **outputs = (OrtValue **)answer->values;
  const char *names[tensors_max];
  const struct tensor *wanted[tensors_max];
  size_t output_count = request->n_outputs > 0 ? request->n_outputs : model.output_count;
  char *reason = NULL;
  size_t made = 0;
  if (request->n_inputs != model.input_count || output_count > model.output_count) reason = "wrong number of tensors";
  for (size_t i = 0; reason == NULL && i < model.input_count; i++) {
    size_t at = 0;
    while (at < request->n_inputs && strcmp(request->inputs[at]->name, model.inputs[i].name) != 0) at++;
    if (at == request->n_inputs) {
      reason = "an input is missing";
      break;
    }
    ProtobufCBinaryData bytes = contents(request, at);
    if (!fits(&model.inputs[i], request->inputs[at], bytes.len)) {
      reason = "an input does not fit the model";
      break;
    }
    must(model.api->CreateTensorWithDataAsOrtValue(model.memory, bytes.data ? bytes.data : (void *)&model, bytes.len,
                                                   request->inputs[at]->shape, model.inputs[i].rank,
                                                   model.inputs[i].type, &inputs[i]));
    made++;
  }
  for (size_t i = 0; reason == NULL && i < output_count; i++) {
    size_t at = i;
    if (request->n_outputs > 0) {
      for (at = 0; at < model.output_count && strcmp(request->outputs[i]->name, model.outputs[at].name) != 0;) at++;
      if (at == model.output_count) {
        reason = "an output is unknown";
        break;
      }
    }
    names[i] = model.output_names[at];
    wanted[i] = &model.outputs[at];
  }
  if (reason == NULL) {
    OrtStatus *status = model.api->Run(model.session, NULL, model.input_names, (const OrtValue *const *)inputs,
                                       model.input_count, names, output_count, outputs);
    if (status != NULL) {
      model.api->ReleaseStatus(status);
      reason = "the model failed";
    } else {
      answer->value_count = output_count;
    }
  }
  for (size_t i = 0; i < made; i++) model.api->ReleaseValue(inputs[i]);
  Inference__ModelInferResponse *response = take(arena, sizeof *response);
  start_response(response, request, output_count, arena);
  for (size_t i = 0; reason == NULL && i < output_count; i++) {
    if (!add_output(response, i, wanted[i], outputs[i], arena)) reason = "an output's datatype is not served";
  }
  if (reason != NULL) {
    fail(answer, arena, 3, reason);
    return;
  }
  answer->message = response;
}

static Inference__ModelMetadataResponse__TensorMetadata **list(const struct tensor *tensors, size_t count,
                                                               struct arena *arena) {
  Inference__ModelMetadataResponse__TensorMetadata **rows = take(arena, count * sizeof *rows);
  for (size_t i = 0; i < count; i++) {
    rows[i] = take(arena, sizeof **rows);
    inference__model_metadata_response__tensor_metadata__init(rows[i]);
    rows[i]->name = tensors[i].name;
    rows[i]->datatype = (char *)tensors[i].datatype;
    rows[i]->n_shape = tensors[i].rank;
    rows[i]->shape = (int64_t *)tensors[i].shape;
  }
  return rows;
}

static void metadata(struct arena *arena, struct answer *answer) {
  static char *versions[] = {"1"};
  Inference__ModelMetadataResponse *response = take(arena, sizeof *response);
  inference__model_metadata_response__init(response);
  response->name = model.name;
  response->platform = "onnxruntime_onnx";
  response->n_versions = 1;
  response->versions = versions;
  response->n_inputs = model.input_count;
  response->inputs = list(model.inputs, model.input_count, arena);
  response->n_outputs = model.output_count;
  response->outputs = list(model.outputs, model.output_count, arena);
  answer->message = response;
}

void answer_make(const struct call *call, struct arena *arena, struct answer *answer) {
  ProtobufCAllocator allocator = {allocate, release, arena};
  // A value that is there before a run would be taken as memory for the output.
  memset(answer, 0, sizeof *answer);
  Sluice__V1__CallHeader *header = sluice__v1__call_header__unpack(&allocator, call->header_length, call->header);
  if (header == NULL) {
    fail(answer, arena, 3, "the header is not a CallHeader");
  } else if (header->method == SLUICE__V1__METHOD__METHOD_SERVER_READY) {
    Inference__ServerReadyResponse *response = take(arena, sizeof *response);
    inference__server_ready_response__init(response);
    response->ready = true;
    answer->message = response;
  } else if (strcmp(header->model, model.name) != 0) {
    fail(answer, arena, 5, "no such model");
  } else if (header->method == SLUICE__V1__METHOD__METHOD_INFER) {
    Inference__ModelInferRequest *request =
        inference__model_infer_request__unpack(&allocator, call->message_length, call->message);
    if (request == NULL || (request->n_raw_input_contents > 0 && request->n_raw_input_contents != request->n_inputs)) {
      fail(answer, arena, 3, "the payload is not a ModelInferRequest");
    } else if (model.session != NULL) {
      run(request, arena, answer);
    } else {
      echo(request, arena, answer);
    }
  } else if (header->method == SLUICE__V1__METHOD__METHOD_MODEL_METADATA) {
    metadata(arena, answer);
  } else if (header->method == SLUICE__V1__METHOD__METHOD_MODEL_READY) {
    Inference__ModelReadyResponse *response = take(arena, sizeof *response);
    inference__model_ready_response__init(response);
    response->ready = true;
    answer->message = response;
  } else {
    fail(answer, arena, 12, "the reference does not serve this method");
  }
  answer->message_length = answer->message ? protobuf_c_message_get_packed_size(answer->message) : 0;
  if (answer->header == NULL) {
    Sluice__V1__ReplyHeader *reply = take(arena, sizeof *reply);
    sluice__v1__reply_header__init(reply);
    // Needed only when the answer goes in parts.
    if (answer->message_length > (200 << 10)) reply->message_length = answer->message_length;
    answer->header = reply;
  }
  answer->header_length = protobuf_c_message_get_packed_size(answer->header);
}

void answer_write_header(const struct answer *answer, uint8_t *out) { protobuf_c_message_pack(answer->header, out); }
void answer_write_message(const struct answer *answer, uint8_t *out) {
  if (answer->message) protobuf_c_message_pack(answer->message, out);
}

void answer_release(struct answer *answer) {
  for (size_t i = 0; i < answer->value_count; i++) model.api->ReleaseValue(answer->values[i]);
  answer->value_count = 0;
}

// MARK: The connection's own messages

uint64_t message_length_of(const uint8_t *header, size_t length, struct arena *arena) {
  ProtobufCAllocator allocator = {allocate, release, arena};
  Sluice__V1__CallHeader *call = sluice__v1__call_header__unpack(&allocator, length, header);
  return call ? call->message_length : 0;
}

size_t hello_write(uint8_t *out, size_t frame_max, size_t message_max) {
  Sluice__V1__ServerHello hello = SLUICE__V1__SERVER_HELLO__INIT;
  Sluice__V1__AuthResult auth = SLUICE__V1__AUTH_RESULT__INIT;
  hello.max_frame = (uint32_t)frame_max;
  hello.max_message = message_max;
  hello.max_header = 16 << 10;
  hello.max_concurrent_calls = 4096;
  hello.min_ping_interval_ms = 1000;
  hello.idle_timeout_ms = 600000;
  hello.default_deadline_ms = 60000;
  hello.max_deadline_ms = 3600000;
  hello.auth = &auth;
  hello.server = "limit";
  return sluice__v1__server_hello__pack(&hello, out);
}

size_t auth_write(uint8_t *out) {
  Sluice__V1__AuthResult auth = SLUICE__V1__AUTH_RESULT__INIT;
  return sluice__v1__auth_result__pack(&auth, out);
}
