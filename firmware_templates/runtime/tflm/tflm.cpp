// SPDX-License-Identifier: MIT
// The TensorFlow Lite Micro interpreter behind runtime.h. Its sources come from a tree that the user names.
#include <cstdlib>
#include <new>

#include "port.h"
#include "runtime.h"
#include "tensorflow/lite/micro/arena_allocator/single_arena_buffer_allocator.h"
#include "tensorflow/lite/micro/compatibility.h"
#include "tensorflow/lite/micro/memory_planner/greedy_memory_planner.h"
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm.h"

// linker.ld: the first address behind RAM.
extern "C" uint8_t danas_ram_end[];

namespace danas::runtime {
namespace {

constexpr size_t kAlignment = 16;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Cycles of each operator; the interpreter says when one begins and ends.
class Profiler : public tflite::MicroProfilerInterface {
 public:
  void restart() {
    next_ = 0;
    running_ = false;
  }

  // What a kernel reports within an operator belongs to that operator.
  uint32_t BeginEvent(const char* tag) override {
    if (running_ || next_ >= model::kOperators) return kNested;
    running_ = true;
    model::code_of[next_] = tag;
    start_ = port::cycles();
    return next_;
  }

  void EndEvent(uint32_t event) override {
    if (event == kNested) return;
    model::cycles_of[event] = port::cycles() - start_;
    running_ = false;
    ++next_;
  }

 private:
  static constexpr uint32_t kNested = UINT32_MAX;

  uint32_t next_ = 0;
  uint32_t start_ = 0;
  bool running_ = false;

  TF_LITE_REMOVE_VIRTUAL_DELETE
};

// Two things tell how large an arena must be beyond what is in use at the end: kernels look at their tensors through
// copies that are dropped again, and the planner keeps lists. So the most that was ever taken is watched. There are no
// members: it takes the bytes in the arena that the allocator would take which the interpreter makes itself.
size_t most_taken = 0;
size_t taken_before_planning = 0;

class WatchedAllocator : public tflite::SingleArenaBufferAllocator {
 public:
  WatchedAllocator(uint8_t* arena, size_t bytes) : tflite::SingleArenaBufferAllocator(arena, bytes) {}

  uint8_t* AllocateTemp(size_t size, size_t alignment) override {
    // All that is left goes to the planner, which needs a part of it.
    const bool planner = size == GetAvailableMemory(alignment);
    uint8_t* const result = tflite::SingleArenaBufferAllocator::AllocateTemp(size, alignment);
    if (planner) {
      taken_before_planning = static_cast<size_t>(result - model::kArena) + aligned(GetPersistentUsedBytes());
    } else {
      note();
    }
    return result;
  }

  uint8_t* AllocatePersistentBuffer(size_t size, size_t alignment) override {
    uint8_t* const result = tflite::SingleArenaBufferAllocator::AllocatePersistentBuffer(size, alignment);
    note();
    return result;
  }

  TfLiteStatus ResizeBuffer(uint8_t* buffer, size_t size, size_t alignment) override {
    const TfLiteStatus status = tflite::SingleArenaBufferAllocator::ResizeBuffer(buffer, size, alignment);
    note();
    return status;
  }

 private:
  void note() {
    if (GetUsedBytes() > most_taken) most_taken = GetUsedBytes();
  }

  TF_LITE_REMOVE_VIRTUAL_DELETE
};
static_assert(sizeof(WatchedAllocator) == sizeof(tflite::SingleArenaBufferAllocator), "it must take no more");

// Interpreter and profiler are no objects of their own: nothing is to be destroyed when the program ends.
alignas(Profiler) uint8_t profiler_storage[sizeof(Profiler)];
Profiler* profiler = nullptr;

// Made anew for each size that is tried. There is no heap to make it on, and nothing to give back: all that it takes
// is in the arena.
alignas(tflite::MicroInterpreter) uint8_t interpreter_storage[sizeof(tflite::MicroInterpreter)];
tflite::MicroInterpreter* interpreter = nullptr;
WatchedAllocator* allocator = nullptr;

bool allocated = false;
size_t arena_needed = 0;

// True when the model's tensors fit into that much memory from the arena's beginning on. The parts are those that the
// interpreter would make itself; made here, they tell head and tail apart.
bool start(const tflite::MicroOpResolver& operators, size_t bytes) {
  most_taken = 0;
  WatchedAllocator first(model::kArena, bytes);
  void* place = first.AllocatePersistentBuffer(sizeof(WatchedAllocator), alignof(WatchedAllocator));
  allocator = new (place) WatchedAllocator(first);
  place = allocator->AllocatePersistentBuffer(sizeof(tflite::GreedyMemoryPlanner), alignof(tflite::GreedyMemoryPlanner));
  auto* const planner = new (place) tflite::GreedyMemoryPlanner();
  auto* const parts = tflite::MicroAllocator::Create(allocator, planner);
  interpreter = new (interpreter_storage)
      tflite::MicroInterpreter(tflite::GetModel(model::kFlatbuffer), operators, parts, nullptr, profiler);
  allocated = interpreter->AllocateTensors() == kTfLiteOk;
  const size_t buffers = static_cast<size_t>(planner->GetBufferCount());
  const size_t planning = taken_before_planning + buffers * tflite::GreedyMemoryPlanner::per_buffer_size();
  if (planning > most_taken) most_taken = planning;
  return allocated;
}

ElementType type_of(const TfLiteTensor& tensor) {
  switch (tensor.type) {
    case kTfLiteFloat32:
      return ElementType::kFloat32;
    case kTfLiteUInt8:
      return ElementType::kUint8;
    default:
      return ElementType::kInt8;
  }
}

EdgeTensor edge(const TfLiteTensor* tensor) {
  if (tensor == nullptr) return EdgeTensor{nullptr, 0, ElementType::kInt8, 0.0F, 0};
  const ElementType type = type_of(*tensor);
  const float scale = type == ElementType::kFloat32 ? 0.0F : tensor->params.scale;
  return EdgeTensor{tensor->data.data, tensor->bytes, type, scale, tensor->params.zero_point};
}

}  // namespace

// How much memory a model takes is known once its tensors are allocated, and kernels do not check every allocation
// that fails: an arena must not be tried that may be too small. So the model is first given all RAM from the arena on,
// which nothing else uses, and then the arena, where that is enough. Where it is not, memory() tells what would be.
bool init() {
  const tflite::MicroOpResolver* operators = model::operators();
  if (operators == nullptr || tflite::GetModel(model::kFlatbuffer)->version() != TFLITE_SCHEMA_VERSION) return false;
  profiler = new (profiler_storage) Profiler();
  const size_t room = static_cast<size_t>(danas_ram_end - model::kArena);
  arena_needed = room + 1;
  if (!start(*operators, room)) return false;
  arena_needed = aligned(most_taken);
  if (arena_needed > model::kArenaBytes) return false;
  if (!start(*operators, model::kArenaBytes)) arena_needed = aligned(model::kArenaBytes + 1);
  return allocated;
}

EdgeTensor input() { return edge(allocated ? interpreter->input(0) : nullptr); }

EdgeTensor output() { return edge(allocated ? interpreter->output(0) : nullptr); }

bool invoke(RowSource) {
  profiler->restart();
  return interpreter->Invoke() == kTfLiteOk;
}

MemoryReport memory() {
  if (!allocated || arena_needed > model::kArenaBytes) return MemoryReport{model::kArenaBytes, arena_needed};
  return MemoryReport{model::kArenaBytes, interpreter->arena_used_bytes(), allocator->GetNonPersistentUsedBytes(),
                      allocator->GetPersistentUsedBytes()};
}

size_t operator_count() { return model::kOperators; }

OperatorProfile profile(size_t index) {
  if (index >= model::kOperators || model::code_of[index] == nullptr) return OperatorProfile{"", 0};
  return OperatorProfile{model::code_of[index], model::cycles_of[index]};
}

const char* name() { return "tflm"; }

}  // namespace danas::runtime
