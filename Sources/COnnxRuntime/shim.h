// ONNX Runtime's C API for Swift. The API is a table of function pointers got from the library at run time; each
// entry the kit uses is wrapped in an inline function `COnnxRuntime_Name`, with its nullability said. Nothing of
// the library is linked: it is opened when the gateway starts. Only the target OnnxRuntime imports this module.
#pragma once

#if __has_include(<onnxruntime/onnxruntime_c_api.h>)
#include <onnxruntime/onnxruntime_c_api.h>
#else
#error "ONNX Runtime's C header is not installed: run scripts/setup (make setup)"
#endif

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#pragma clang assume_nonnull begin

// MARK: Time

// Nanoseconds of CPU the calling thread has had; 0 where that cannot be read.
static inline uint64_t COnnxRuntime_threadTime(void) {
  struct timespec time;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) != 0) return 0;
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// MARK: Who goes first

// The calling thread gives way to others of this process. Nice 10: of a core that two want it has a tenth. SCHED_BATCH (3, which the
// C library names only for those who ask for all of GNU's names): when it wakes it does not take the core from whoever is there,
// who would then wait for the kernel's next tick, 4 ms at 250 Hz. Needs no right; where it fails nothing is lost.
static inline void COnnxRuntime_giveWay(void) {
  struct sched_param parameters = {0};
  (void)sched_setscheduler(0, 3, &parameters);
  (void)setpriority(PRIO_PROCESS, 0, 10);
}

// MARK: Opening the library

typedef enum COnnxRuntimeOpening {
  COnnxRuntimeOpened = 0,
  // dlopen failed.
  COnnxRuntimeNotFound = 1,
  // A library, but without OrtGetApiBase.
  COnnxRuntimeForeign = 2,
  // The library is older than the header this was built with.
  COnnxRuntimeTooOld = 3,
} COnnxRuntimeOpening;

// Official builds of 1.29 and later send usage data to Microsoft, keep an identifier and a database under ~/.cache, and decide
// for the process's life when they are opened; DisableTelemetryEvents comes too late for the first event. Both names the
// library has used are set. Call it before the library is opened and while no other thread reads the environment.
static inline void COnnxRuntime_forbidTelemetry(void) {
  setenv("ORT_DISABLE_TELEMETRY", "1", 1);
  setenv("ORT_TELEMETRY_DISABLED", "1", 1);
}

// Opens the library at `path` (a bare name is searched for by the system) and asks for the table of the header's
// API version. On failure `reason` holds a text; on success and on TooOld `version` holds the library's version.
// The library stays open for the life of the process: its threads and thread-local data do not survive dlclose.
static inline COnnxRuntimeOpening COnnxRuntime_open(
    const char *path, const OrtApi *_Nullable *_Nonnull api, char *version, char *reason, size_t capacity) {
  *api = NULL;
  version[0] = reason[0] = 0;
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    const char *why = dlerror();
    snprintf(reason, capacity, "%s", why != NULL ? why : "dlopen failed");
    return COnnxRuntimeNotFound;
  }
  const OrtApiBase *(*base)(void) = (const OrtApiBase *(*)(void))dlsym(library, "OrtGetApiBase");
  if (base == NULL) {
    snprintf(reason, capacity, "%s has no OrtGetApiBase", path);
    dlclose(library);
    return COnnxRuntimeForeign;
  }
  snprintf(version, capacity, "%s", base()->GetVersionString());
  *api = base()->GetApi(ORT_API_VERSION);
  return *api != NULL ? COnnxRuntimeOpened : COnnxRuntimeTooOld;
}

// The library the operator names by SLUICE_ONNXRUNTIME, or NULL; belongs to the process's environment.
static inline const char *_Nullable COnnxRuntime_namedLibrary(void) {
  const char *path = getenv("SLUICE_ONNXRUNTIME");
  return path != NULL && path[0] != 0 ? path : NULL;
}

// The API version of the header, which is the oldest the library may have.
static inline uint32_t COnnxRuntime_headerVersion(void) { return ORT_API_VERSION; }

// Gives the heap's free pages back to the system; true when any were. Only glibc has it.
static inline bool COnnxRuntime_trimHeap(void) {
#if defined(__GLIBC__)
  return malloc_trim(0) != 0;
#else
  return false;
#endif
}

// Resident bytes of this process from /proc/self/status; false when they are not told.
static inline bool COnnxRuntime_readMemory(uint64_t *anonymous, uint64_t *mapped, uint64_t *peak) {
  char text[4096];
  int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  ssize_t count = read(file, text, sizeof text - 1);
  close(file);
  if (count <= 0) return false;
  text[count] = 0;
  unsigned long long own = 0, files = 0, most = 0;
  const char *line = strstr(text, "\nRssAnon:");
  if (line == NULL || sscanf(line, "\nRssAnon: %llu", &own) != 1) return false;
  line = strstr(text, "\nRssFile:");
  if (line == NULL || sscanf(line, "\nRssFile: %llu", &files) != 1) return false;
  line = strstr(text, "\nVmHWM:");
  if (line == NULL || sscanf(line, "\nVmHWM: %llu", &most) != 1) return false;
  *anonymous = own << 10;
  *mapped = files << 10;
  *peak = most << 10;
  return true;
}

static inline void COnnxRuntime_resetMemoryPeak(void) {
  int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  ssize_t written = write(file, "5\n", 2);
  (void)written;
  close(file);
}

// MARK: Status

static inline OrtErrorCode COnnxRuntime_GetErrorCode(const OrtApi *api, const OrtStatus *status) {
  return api->GetErrorCode(status);
}
static inline const char *COnnxRuntime_GetErrorMessage(const OrtApi *api, const OrtStatus *status) {
  return api->GetErrorMessage(status);
}
static inline void COnnxRuntime_ReleaseStatus(const OrtApi *api, OrtStatus *status) { api->ReleaseStatus(status); }

// MARK: Environment

static inline OrtStatus *_Nullable COnnxRuntime_CreateThreadingOptions(
    const OrtApi *api, OrtThreadingOptions *_Nullable *_Nonnull out) {
  return api->CreateThreadingOptions(out);
}
static inline OrtStatus *_Nullable COnnxRuntime_SetGlobalIntraOpNumThreads(
    const OrtApi *api, OrtThreadingOptions *options, int count) {
  return api->SetGlobalIntraOpNumThreads(options, count);
}
static inline OrtStatus *_Nullable COnnxRuntime_SetGlobalInterOpNumThreads(
    const OrtApi *api, OrtThreadingOptions *options, int count) {
  return api->SetGlobalInterOpNumThreads(options, count);
}
static inline OrtStatus *_Nullable COnnxRuntime_SetGlobalSpinControl(
    const OrtApi *api, OrtThreadingOptions *options, int allow) {
  return api->SetGlobalSpinControl(options, allow);
}
static inline void COnnxRuntime_ReleaseThreadingOptions(const OrtApi *api, OrtThreadingOptions *options) {
  api->ReleaseThreadingOptions(options);
}
static inline OrtStatus *_Nullable COnnxRuntime_CreateEnv(
    const OrtApi *api, OrtLoggingFunction log, void *_Nullable context, OrtLoggingLevel level, const char *identity,
    const OrtThreadingOptions *threads, OrtEnv *_Nullable *_Nonnull out) {
  return api->CreateEnvWithCustomLoggerAndGlobalThreadPools(log, context, level, identity, threads, out);
}
static inline OrtStatus *_Nullable COnnxRuntime_DisableTelemetryEvents(const OrtApi *api, const OrtEnv *environment) {
  return api->DisableTelemetryEvents(environment);
}
static inline void COnnxRuntime_ReleaseEnv(const OrtApi *api, OrtEnv *environment) { api->ReleaseEnv(environment); }

static inline OrtStatus *_Nullable COnnxRuntime_CreateCpuMemoryInfo(
    const OrtApi *api, OrtMemoryInfo *_Nullable *_Nonnull out) {
  return api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, out);
}
static inline void COnnxRuntime_ReleaseMemoryInfo(const OrtApi *api, OrtMemoryInfo *info) {
  api->ReleaseMemoryInfo(info);
}
// The allocator belongs to the library and is never released.
static inline OrtStatus *_Nullable COnnxRuntime_GetAllocatorWithDefaultOptions(
    const OrtApi *api, OrtAllocator *_Nullable *_Nonnull out) {
  return api->GetAllocatorWithDefaultOptions(out);
}
static inline OrtStatus *_Nullable COnnxRuntime_AllocatorFree(
    const OrtApi *api, OrtAllocator *allocator, void *memory) {
  return api->AllocatorFree(allocator, memory);
}

// MARK: Session options

static inline OrtStatus *_Nullable COnnxRuntime_CreateSessionOptions(
    const OrtApi *api, OrtSessionOptions *_Nullable *_Nonnull out) {
  return api->CreateSessionOptions(out);
}
static inline void COnnxRuntime_ReleaseSessionOptions(const OrtApi *api, OrtSessionOptions *options) {
  api->ReleaseSessionOptions(options);
}
static inline OrtStatus *_Nullable COnnxRuntime_DisablePerSessionThreads(const OrtApi *api, OrtSessionOptions *options) {
  return api->DisablePerSessionThreads(options);
}
static inline OrtStatus *_Nullable COnnxRuntime_DisableCpuMemArena(const OrtApi *api, OrtSessionOptions *options) {
  return api->DisableCpuMemArena(options);
}
static inline OrtStatus *_Nullable COnnxRuntime_DisableMemPattern(const OrtApi *api, OrtSessionOptions *options) {
  return api->DisableMemPattern(options);
}
static inline OrtStatus *_Nullable COnnxRuntime_SetSessionGraphOptimizationLevel(
    const OrtApi *api, OrtSessionOptions *options, GraphOptimizationLevel level) {
  return api->SetSessionGraphOptimizationLevel(options, level);
}
static inline OrtStatus *_Nullable COnnxRuntime_AddSessionConfigEntry(
    const OrtApi *api, OrtSessionOptions *options, const char *key, const char *value) {
  return api->AddSessionConfigEntry(options, key, value);
}
// The model is written there, optimised, when the session is made.
static inline OrtStatus *_Nullable COnnxRuntime_SetOptimizedModelFilePath(
    const OrtApi *api, OrtSessionOptions *options, const char *path) {
  return api->SetOptimizedModelFilePath(options, path);
}

// MARK: Session

static inline OrtStatus *_Nullable COnnxRuntime_CreateSessionFromArray(
    const OrtApi *api, const OrtEnv *environment, const void *model, size_t count, const OrtSessionOptions *options,
    OrtSession *_Nullable *_Nonnull out) {
  return api->CreateSessionFromArray(environment, model, count, options, out);
}
static inline OrtStatus *_Nullable COnnxRuntime_CreateSession(
    const OrtApi *api, const OrtEnv *environment, const char *path, const OrtSessionOptions *options,
    OrtSession *_Nullable *_Nonnull out) {
  return api->CreateSession(environment, path, options, out);
}
static inline void COnnxRuntime_ReleaseSession(const OrtApi *api, OrtSession *session) {
  api->ReleaseSession(session);
}
static inline OrtStatus *_Nullable COnnxRuntime_SessionGetInputCount(
    const OrtApi *api, const OrtSession *session, size_t *out) {
  return api->SessionGetInputCount(session, out);
}
static inline OrtStatus *_Nullable COnnxRuntime_SessionGetOutputCount(
    const OrtApi *api, const OrtSession *session, size_t *out) {
  return api->SessionGetOutputCount(session, out);
}
static inline OrtStatus *_Nullable COnnxRuntime_SessionGetInputName(
    const OrtApi *api, const OrtSession *session, size_t index, OrtAllocator *allocator,
    char *_Nullable *_Nonnull out) {
  return api->SessionGetInputName(session, index, allocator, out);
}
static inline OrtStatus *_Nullable COnnxRuntime_SessionGetOutputName(
    const OrtApi *api, const OrtSession *session, size_t index, OrtAllocator *allocator,
    char *_Nullable *_Nonnull out) {
  return api->SessionGetOutputName(session, index, allocator, out);
}
static inline OrtStatus *_Nullable COnnxRuntime_SessionGetInputTypeInfo(
    const OrtApi *api, const OrtSession *session, size_t index, OrtTypeInfo *_Nullable *_Nonnull out) {
  return api->SessionGetInputTypeInfo(session, index, out);
}
static inline OrtStatus *_Nullable COnnxRuntime_SessionGetOutputTypeInfo(
    const OrtApi *api, const OrtSession *session, size_t index, OrtTypeInfo *_Nullable *_Nonnull out) {
  return api->SessionGetOutputTypeInfo(session, index, out);
}
static inline void COnnxRuntime_ReleaseTypeInfo(const OrtApi *api, OrtTypeInfo *info) { api->ReleaseTypeInfo(info); }
static inline OrtStatus *_Nullable COnnxRuntime_GetOnnxTypeFromTypeInfo(
    const OrtApi *api, const OrtTypeInfo *info, enum ONNXType *out) {
  return api->GetOnnxTypeFromTypeInfo(info, out);
}
// The result belongs to `info`.
static inline OrtStatus *_Nullable COnnxRuntime_CastTypeInfoToTensorInfo(
    const OrtApi *api, const OrtTypeInfo *info, const OrtTensorTypeAndShapeInfo *_Nullable *_Nonnull out) {
  return api->CastTypeInfoToTensorInfo(info, out);
}

// MARK: Type and shape of a tensor

static inline OrtStatus *_Nullable COnnxRuntime_GetTensorElementType(
    const OrtApi *api, const OrtTensorTypeAndShapeInfo *info, ONNXTensorElementDataType *out) {
  return api->GetTensorElementType(info, out);
}
static inline OrtStatus *_Nullable COnnxRuntime_GetDimensionsCount(
    const OrtApi *api, const OrtTensorTypeAndShapeInfo *info, size_t *out) {
  return api->GetDimensionsCount(info, out);
}
static inline OrtStatus *_Nullable COnnxRuntime_GetDimensions(
    const OrtApi *api, const OrtTensorTypeAndShapeInfo *info, int64_t *dimensions, size_t count) {
  return api->GetDimensions(info, dimensions, count);
}
static inline OrtStatus *_Nullable COnnxRuntime_GetTensorTypeAndShape(
    const OrtApi *api, const OrtValue *value, OrtTensorTypeAndShapeInfo *_Nullable *_Nonnull out) {
  return api->GetTensorTypeAndShape(value, out);
}
static inline void COnnxRuntime_ReleaseTensorTypeAndShapeInfo(const OrtApi *api, OrtTensorTypeAndShapeInfo *info) {
  api->ReleaseTensorTypeAndShapeInfo(info);
}

// MARK: Values

// Wraps memory which must outlive the value; the engine only reads an input's memory.
static inline OrtStatus *_Nullable COnnxRuntime_CreateTensorWithData(
    const OrtApi *api, const OrtMemoryInfo *info, const void *data, size_t byteCount, const int64_t *shape,
    size_t rank, ONNXTensorElementDataType type, OrtValue *_Nullable *_Nonnull out) {
  return api->CreateTensorWithDataAsOrtValue(info, (void *)data, byteCount, shape, rank, type, out);
}
static inline OrtStatus *_Nullable COnnxRuntime_CreateTensor(
    const OrtApi *api, OrtAllocator *allocator, const int64_t *shape, size_t rank, ONNXTensorElementDataType type,
    OrtValue *_Nullable *_Nonnull out) {
  return api->CreateTensorAsOrtValue(allocator, shape, rank, type, out);
}
static inline void COnnxRuntime_ReleaseValue(const OrtApi *api, OrtValue *value) { api->ReleaseValue(value); }
static inline OrtStatus *_Nullable COnnxRuntime_GetTensorData(
    const OrtApi *api, OrtValue *value, void *_Nullable *_Nonnull out) {
  return api->GetTensorMutableData(value, out);
}
// The element's buffer, made `byteCount` long, for the caller to fill; unlike FillStringTensor it may hold zeros.
static inline OrtStatus *_Nullable COnnxRuntime_GetResizedStringTensorElementBuffer(
    const OrtApi *api, OrtValue *value, size_t index, size_t byteCount, char *_Nullable *_Nonnull out) {
  return api->GetResizedStringTensorElementBuffer(value, index, byteCount, out);
}
static inline OrtStatus *_Nullable COnnxRuntime_GetStringTensorDataLength(
    const OrtApi *api, const OrtValue *value, size_t *out) {
  return api->GetStringTensorDataLength(value, out);
}
static inline OrtStatus *_Nullable COnnxRuntime_GetStringTensorContent(
    const OrtApi *api, const OrtValue *value, void *bytes, size_t byteCount, size_t *offsets, size_t count) {
  return api->GetStringTensorContent(value, bytes, byteCount, offsets, count);
}

// MARK: Runs

static inline OrtStatus *_Nullable COnnxRuntime_CreateRunOptions(
    const OrtApi *api, OrtRunOptions *_Nullable *_Nonnull out) {
  return api->CreateRunOptions(out);
}
static inline void COnnxRuntime_ReleaseRunOptions(const OrtApi *api, OrtRunOptions *options) {
  api->ReleaseRunOptions(options);
}
static inline OrtStatus *_Nullable COnnxRuntime_RunOptionsSetTerminate(const OrtApi *api, OrtRunOptions *options) {
  return api->RunOptionsSetTerminate(options);
}
static inline OrtStatus *_Nullable COnnxRuntime_Run(
    const OrtApi *api, OrtSession *session, const OrtRunOptions *_Nullable options,
    const char *_Nonnull const *_Nullable inputNames, const OrtValue *_Nullable const *_Nullable inputs,
    size_t inputCount, const char *_Nonnull const *_Nonnull outputNames, size_t outputCount,
    OrtValue *_Nullable *_Nonnull outputs) {
  return api->Run(session, options, inputNames, inputs, inputCount, outputNames, outputCount, outputs);
}

#pragma clang assume_nonnull end
