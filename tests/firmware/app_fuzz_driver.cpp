// SPDX-License-Identifier: MIT
// A small coverage-guided fuzzer for GCC, where clang's libFuzzer is not at hand: the same entry points.
//
//     PROGRAM RUNS SEED CURRENT [FILE...]
//
// The FILEs are the first inputs. CURRENT holds the input that is being run, so that it is there after a crash. An input
// that reaches a new pair of places, one after the other, is kept and changed further.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed);

namespace {

constexpr size_t kPairs = 1 << 16;
constexpr size_t kMost = 2048;  // bytes of an input

uint8_t seen[kPairs];
size_t pairs = 0;
size_t before = 0;

using Input = std::vector<uint8_t>;

struct Current {
  uint32_t size;
  uint8_t bytes[kMost];
};

Current* map(const char* path) {
  const int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || ftruncate(file, sizeof(Current)) != 0) {
    std::perror(path);
    std::exit(2);
  }
  void* at = mmap(nullptr, sizeof(Current), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (at == MAP_FAILED) {
    std::perror(path);
    std::exit(2);
  }
  return static_cast<Current*>(at);
}

bool reaches_new(const Input& input, Current* current) {
  current->size = static_cast<uint32_t>(input.size());
  std::memcpy(current->bytes, input.data(), input.size());
  const size_t known = pairs;
  before = 0;
  LLVMFuzzerTestOneInput(input.data(), input.size());
  return pairs != known;
}

}  // namespace

// GCC calls it at the start of every basic block (-fsanitize-coverage=trace-pc).
extern "C" void __sanitizer_cov_trace_pc() {
  const size_t here = reinterpret_cast<uintptr_t>(__builtin_return_address(0)) * 0x9E37'79B1u >> 4;
  uint8_t& pair = seen[(here ^ before) % kPairs];
  pairs += pair == 0;
  pair = 1;
  before = here >> 1;
}

int main(int count, char** arguments) {
  if (count < 4) {
    std::fprintf(stderr, "usage: RUNS SEED CURRENT [FILE...]\n");
    return 2;
  }
  const unsigned long runs = std::strtoul(arguments[1], nullptr, 10);
  uint64_t random = std::strtoul(arguments[2], nullptr, 10) * 2 + 1;
  const auto next = [&random] {
    random = random * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX
    return static_cast<uint32_t>(random >> 33);
  };
  Current* current = map(arguments[3]);
  std::vector<Input> corpus;
  for (int index = 4; index < count; ++index) {
    Input input(kMost);
    std::FILE* file = std::fopen(arguments[index], "rb");
    if (file == nullptr) {
      std::perror(arguments[index]);
      return 2;
    }
    input.resize(std::fread(input.data(), 1, kMost, file));
    std::fclose(file);
    reaches_new(input, current);
    corpus.push_back(input);
  }
  if (corpus.empty()) {
    corpus.push_back(Input{0});
  }
  const size_t pairs_of_corpus = pairs;
  for (unsigned long run = 0; run != runs; ++run) {
    Input input = corpus[next() % corpus.size()];
    const size_t size = input.size();
    input.resize(kMost);
    input.resize(LLVMFuzzerCustomMutator(input.data(), size, kMost, next()));
    if (reaches_new(input, current)) {
      corpus.push_back(input);
    }
  }
  std::printf("runs %lu, inputs kept %zu, pairs of places %zu, before %zu\n", runs, corpus.size(), pairs, pairs_of_corpus);
  return 0;
}
