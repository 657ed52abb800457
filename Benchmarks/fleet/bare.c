// The bare engine: how long ONNX Runtime alone takes from nothing to a model's first answer. Creates a session as the
// gateway does, runs one row, releases, N times, and prints a JSON list of microseconds.
//   bare LIBRARY MODEL.onnx WIDTH TIMES mapped|plain
#include <dlfcn.h>
#include <malloc.h>
#include <onnxruntime/onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const OrtApi *api;

static void must(OrtStatus *status) {
  if (status == NULL) return;
  fprintf(stderr, "bare: %s\n", api->GetErrorMessage(status));
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static OrtSession *load(OrtEnv *environment, const char *path, int mapped) {
  OrtSessionOptions *options;
  must(api->CreateSessionOptions(&options));
  must(api->DisablePerSessionThreads(options));
  must(api->DisableCpuMemArena(options));
  must(api->DisableMemPattern(options));
  if (mapped) {
    must(api->SetSessionGraphOptimizationLevel(options, ORT_DISABLE_ALL));
    must(api->AddSessionConfigEntry(options, "session.disable_prepacking", "1"));
  }
  OrtSession *session;
  must(api->CreateSession(environment, path, options, &session));
  api->ReleaseSessionOptions(options);
  return session;
}

static void run(OrtSession *session, OrtMemoryInfo *memory, float *row, int64_t width) {
  OrtAllocator *allocator;
  must(api->GetAllocatorWithDefaultOptions(&allocator));
  char *input_name, *output_name;
  must(api->SessionGetInputName(session, 0, allocator, &input_name));
  must(api->SessionGetOutputName(session, 0, allocator, &output_name));
  int64_t shape[] = {1, width};
  OrtValue *input, *output = NULL;
  must(api->CreateTensorWithDataAsOrtValue(
      memory, row, width * sizeof *row, shape, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input));
  must(api->Run(session, NULL, (const char *const *)&input_name, (const OrtValue *const *)&input, 1,
                (const char *const *)&output_name, 1, &output));
  api->ReleaseValue(output);
  api->ReleaseValue(input);
  allocator->Free(allocator, input_name);
  allocator->Free(allocator, output_name);
}

int main(int count, char **words) {
  if (count != 6) {
    fprintf(stderr, "usage: bare LIBRARY MODEL.onnx WIDTH TIMES mapped|plain\n");
    return 64;
  }
  void *library = dlopen(words[1], RTLD_NOW | RTLD_LOCAL);
  const OrtApiBase *(*base)(void) = library ? (const OrtApiBase *(*)(void))dlsym(library, "OrtGetApiBase") : NULL;
  if (base == NULL) {
    fprintf(stderr, "bare: %s\n", dlerror());
    return 69;
  }
  api = base()->GetApi(21);
  OrtThreadingOptions *threads;
  must(api->CreateThreadingOptions(&threads));
  must(api->SetGlobalIntraOpNumThreads(threads, 1));
  must(api->SetGlobalInterOpNumThreads(threads, 1));
  OrtEnv *environment;
  must(api->CreateEnvWithGlobalThreadPools(ORT_LOGGING_LEVEL_ERROR, "bare", threads, &environment));
  must(api->DisableTelemetryEvents(environment));
  OrtMemoryInfo *memory;
  must(api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
  int64_t width = atoll(words[3]);
  float *row = malloc(width * sizeof *row);
  for (int64_t index = 0; index < width; index++) row[index] = 0.5f;
  int times = atoi(words[4]);
  printf("[");
  for (int round = 0; round < times; round++) {
    double began = now();
    OrtSession *session = load(environment, words[2], strcmp(words[5], "mapped") == 0);
    run(session, memory, row, width);
    printf("%s%.0f", round ? ", " : "", now() - began);
    api->ReleaseSession(session);
    malloc_trim(0);
  }
  printf("]\n");
  return 0;
}
