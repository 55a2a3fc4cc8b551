// SPDX-License-Identifier: MIT
#include "protocol.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "crc32.h"
#include "first_output.h"
#include "identity.h"
#include "port.h"
#include "runtime.h"
#include "stopwatch.h"
#include "text.h"
#include "transfer.h"

namespace danas::app {

namespace {

constexpr size_t kCommandLength = 80;

enum class Input : uint8_t {
  kNone,     // nothing loaded, or an inference has overwritten it
  kPartial,  // `db load` has begun
  kLoaded,
};

// All there is to know between two commands.
struct State {
  bool ready = false;
  Input input = Input::kNone;
  bool has_output = false;
  size_t received = 0;  // bytes of `db load` so far
  uint32_t input_crc = 0;
};

State state;

// The command that is executed; docs/protocol.md, "Checked commands".
struct Heard {
  char line[kCommandLength + 1] = {};
  uint32_t tag = 0;        // 0: not checked
  uint32_t first_tag = 0;  // of the first checked command since start-up
};

Heard heard;

// A streamed input on its way: of one inference.
struct Stream {
  Transfer transfer;
  Crc32 crc;
  uint32_t waited = 0;  // cycles between asking for rows and having them, modulo 2^32
  bool complete = true;
};

Stream* stream_of_rows = nullptr;  // of the inference that runs; a RowSource has no argument for it

// ---- arguments ----

// The words of a command, one after the other.
class Words {
 public:
  explicit Words(const char* command) : rest_(command) {}

  // True when the next word is `word`; then it is taken.
  bool take(const char* word) {
    skip_spaces();
    const char* rest = rest_;
    while (*word != '\0' && *rest == *word) {
      ++rest;
      ++word;
    }
    if (*word != '\0' || (*rest != ' ' && *rest != '\0')) {
      return false;
    }
    rest_ = rest;
    return true;
  }

  bool at_end() {
    skip_spaces();
    return *rest_ == '\0';
  }

  // A decimal number of up to 9 digits.
  bool number(uint32_t& value) {
    skip_spaces();
    value = 0;
    size_t digits = 0;
    for (; rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
      if (digits == 9) {
        return false;
      }
      value = value * 10 + static_cast<uint32_t>(rest_[digits] - '0');
    }
    if (digits == 0 || (rest_[digits] != ' ' && rest_[digits] != '\0')) {
      return false;
    }
    rest_ += digits;
    return true;
  }

  const char* rest() {
    skip_spaces();
    return rest_;
  }

 private:
  void skip_spaces() {
    while (*rest_ == ' ') {
      ++rest_;
    }
  }

  const char* rest_;
};

// -1 when it is no hexadecimal digit.
int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') {
    return digit - '0';
  }
  const char lower = static_cast<char>(digit | 0x20);
  if (lower >= 'a' && lower <= 'f') {
    return lower - 'a' + 10;
  }
  return -1;
}

void field(const char* name, uint64_t value) {
  text(name);
  decimal(value);
}

// A figure that a port may not know.
void known_field(const char* name, size_t value) {
  if (port::kMayNotKnow && value == port::kUnknown) {
    text(name);
    text("unknown");
  } else {
    field(name, value);
  }
}

void close() {
  text("]");
  end_line();
}

void wrong_size(size_t bytes) {
  field("e-[input takes ", bytes);
  text(" bytes");
  close();
}

// The end of a reply, or of a part of one.
void ready() {
  if (heard.tag != 0) {
    text("m-check-[");
    hex32(heard.tag);
    text(" ");
    hex32(heard.first_tag);
    text(" ");
    hex32(sum());
    close();
  }
  text("m-ready\r\n");
  begin_sum(heard.line);
}

void lap(uint64_t microseconds) {
  field("m-lap-us-", microseconds);
  end_line();
}

// ---- input and output ----

bool streamed() { return runtime::input().rows != 0; }

// Whether the input lies somewhere as a whole. Says so where it does not.
bool check_resident() {
  if (streamed()) {
    field("e-[the input is streamed: stream ", runtime::input().bytes);
    close();
    return false;
  }
  return true;
}

uint8_t* input_bytes() { return static_cast<uint8_t*>(runtime::input().data); }

void input_is_loaded() {
  state.input = Input::kLoaded;
  state.input_crc = crc32(input_bytes(), runtime::input().bytes);
  text("m-load-done");
  end_line();
}

// Says why not, where there is no input to work on.
bool check_input() {
  if (!state.ready) {
    error("runtime not ready");
    return false;
  }
  if (!check_resident()) {
    return false;
  }
  if (state.input != Input::kLoaded) {
    error("no input");
    return false;
  }
  return true;
}

bool check_output() {
  if (!state.has_output) {
    error("no output");
  }
  return state.has_output;
}

void keep_output() {
  const runtime::EdgeTensor output = runtime::output();
  const uint8_t* bytes = static_cast<const uint8_t*>(output.data);
  for (size_t index = 0; index < output.bytes; ++index) {
    first_output[index] = bytes[index];
  }
  state.has_output = true;
}

// One inference. The first one on a loaded input keeps its output; it also uses the input up.
bool infer_once() {
  const bool first = state.input == Input::kLoaded;
  state.input = Input::kNone;
  if (first) {
    state.has_output = false;
  }
  if (!runtime::invoke()) {
    error("inference failed");
    return false;
  }
  if (first) {
    keep_output();
  }
  return true;
}

void print_results() {
  const runtime::EdgeTensor output = runtime::output();
  const size_t element = output.type == runtime::ElementType::kFloat32 ? 4 : 1;
  text("m-results-[");
  for (size_t offset = 0; offset < output.bytes; offset += element) {
    if (offset != 0) {
      text(",");
    }
    float value;
    if (output.type == runtime::ElementType::kFloat32) {
      std::memcpy(&value, first_output + offset, sizeof value);
    } else {
      const int32_t quantized = output.type == runtime::ElementType::kInt8 ? static_cast<int8_t>(first_output[offset])
                                                                           : first_output[offset];
      value = output.scale * static_cast<float>(quantized - output.zero_point);
    }
    real(value);
  }
  close();
}

// ---- MLPerf Tiny's commands ----

void name(Words) {
  text("m-name-dut-[danas-deploy]");
  end_line();
}

void profile(Words) {
  text("m-profile-[ULPMark for tinyML Firmware V0.0.1]");
  end_line();
  text("m-model-[");
  text(identity::model_id);
  close();
}

void timestamp(Words) { lap(microseconds()); }

void db_hex(const char* digits) {
  size_t length = 0;
  while (digits[length] != '\0') {
    ++length;
  }
  if (state.input != Input::kPartial) {
    error("no db load");
    return;
  }
  if (length == 0 || length % 2 != 0) {
    error("hexadecimal digits come in pairs");
    return;
  }
  for (size_t index = 0; index < length; ++index) {
    if (hex_value(digits[index]) < 0) {
      error("not hexadecimal");
      return;
    }
  }
  const size_t total = runtime::input().bytes;
  if (length / 2 > total - state.received) {
    error("too many bytes");
    return;
  }
  uint8_t* to = input_bytes() + state.received;
  for (size_t index = 0; index < length; index += 2) {
    const int byte = hex_value(digits[index]) << 4 | hex_value(digits[index + 1]);
    *to++ = static_cast<uint8_t>(byte ^ identity::db_flip);
  }
  state.received += length / 2;
  if (state.received == total) {
    input_is_loaded();
  }
}

void db(Words words) {
  if (!state.ready) {
    error("runtime not ready");
    return;
  }
  if (!check_resident()) {
    return;
  }
  const size_t bytes = runtime::input().bytes;
  if (words.take("load")) {
    uint32_t count = 0;
    if (!words.number(count) || !words.at_end() || count != bytes) {
      wrong_size(bytes);
      return;
    }
    state.input = Input::kPartial;
    state.received = 0;
    field("m-[Expecting ", bytes);
    text(" bytes");
    close();
  } else if (words.take("print")) {
    if (check_input()) {
      hex_lines("input", input_bytes(), bytes);
    }
  } else {
    db_hex(words.rest());
  }
}

void infer(Words words) {
  uint32_t count = 0;
  uint32_t warmups = 0;
  if (!words.number(count) || count == 0 || !(words.at_end() || (words.number(warmups) && words.at_end()))) {
    error("infer N W: N of 1 or more, W of 0 or more");
    return;
  }
  if (!check_input()) {
    return;
  }
  field("m-warmup-start-", warmups);
  end_line();
  for (uint32_t round = 0; round < warmups; ++round) {
    if (!infer_once()) {
      return;
    }
    (void)microseconds();
  }
  text("m-warmup-done");
  end_line();
  field("m-infer-start-", count);
  end_line();
  // Both times are printed afterwards, so that the UART is idle while the clock runs.
  const uint64_t before = microseconds();
  for (uint32_t round = 0; round < count; ++round) {
    if (!infer_once()) {
      return;
    }
    (void)microseconds();
  }
  const uint64_t after = microseconds();
  lap(before);
  lap(after);
  text("m-infer-done");
  end_line();
  print_results();
}

void results(Words) {
  if (check_output()) {
    print_results();
  }
}

// ---- our commands ----

void id(Words) {
  text("m-id-[protocol=2 board=");
  text(identity::board);
  text(" build=");
  text(identity::build_id);
  text(" model=");
  text(identity::model_hash);
  text(" runtime=");
  text(runtime::name());
  field(" clock=", port::clock_hz());
  field(" input=", runtime::input().bytes);
  field(" output=", runtime::output().bytes);
  if (streamed()) {
    field(" rows=", runtime::input().rows);
  }
  close();
}

void memory(Words) {
  const runtime::MemoryReport arena = runtime::memory();
  const port::RamReport ram = port::ram();
  field("m-memory-[arena=", arena.arena_bytes);
  field(" used=", arena.used_bytes);
  known_field(" static=", ram.static_bytes);
  known_field(" stack_reserve=", ram.stack_reserve);
  known_field(" stack_used=", ram.stack_used);
  if (arena.tail_bytes != 0) {
    field(" head=", arena.head_bytes);
    field(" tail=", arena.tail_bytes);
  }
  close();
}

void load(Words words) {
  if (!state.ready) {
    error("runtime not ready");
    return;
  }
  if (!check_resident()) {
    return;
  }
  const size_t bytes = runtime::input().bytes;
  uint32_t count = 0;
  if (!words.number(count) || !words.at_end() || count != bytes) {
    wrong_size(bytes);
    return;
  }
  state.input = Input::kNone;
  field("m-load-[piece=", kPiece);
  close();
  ready();
  if (Transfer().receive(input_bytes(), bytes)) {
    input_is_loaded();
  } else {
    error("load timed out");
  }
}

// The RowSource: asks the host for the next row. The model's clock stands still meanwhile.
bool next_row(int8_t* row, size_t bytes) {
  const uint32_t before = port::cycles();
  uint8_t* to = reinterpret_cast<uint8_t*>(row);
  stream_of_rows->complete = stream_of_rows->transfer.request(to, bytes);
  for (size_t index = 0; index < bytes; ++index) {
    stream_of_rows->crc.add(to[index]);
  }
  stream_of_rows->waited += port::cycles() - before;
  return stream_of_rows->complete;
}

void stream(Words words) {
  if (!state.ready) {
    error("runtime not ready");
    return;
  }
  const runtime::EdgeTensor input = runtime::input();
  if (!streamed()) {
    field("e-[the input is not streamed: load ", input.bytes);
    close();
    return;
  }
  uint32_t count = 0;
  if (!words.number(count) || !words.at_end() || count != input.bytes) {
    wrong_size(input.bytes);
    return;
  }
  field("m-stream-[rows=", input.rows);
  field(" bytes=", input.bytes / input.rows);
  close();
  ready();
  state.has_output = false;
  state.input_crc = 0;
  Stream rows;
  stream_of_rows = &rows;
  const uint32_t before = port::cycles();
  const bool ok = runtime::invoke(next_row);
  const uint32_t after = port::cycles();
  stream_of_rows = nullptr;
  // A frame that was sent twice may still be there.
  while (port::get() >= 0) {
  }
  (void)microseconds();
  if (!ok) {
    error(rows.complete ? "inference failed" : "input timed out");
    return;
  }
  state.input_crc = rows.crc.value();
  keep_output();
  // Less the waiting, both modulo 2^32.
  field("m-run-[cycles=", after - before - rows.waited);
  close();
}

void run(Words) {
  if (!check_input()) {
    return;
  }
  const uint32_t before = port::cycles();
  const bool ok = infer_once();
  const uint32_t after = port::cycles();
  if (ok) {
    field("m-run-[cycles=", after - before);
    close();
  }
}

void crc(Words) {
  text("m-crc-[input=");
  hex32(state.input_crc);
  text(" output=");
  hex32(state.has_output ? crc32(first_output, runtime::output().bytes) : 0);
  close();
}

void output(Words) {
  if (check_output()) {
    hex_lines("output", first_output, runtime::output().bytes);
  }
}

void ops(Words) {
  if (!check_output()) {
    return;
  }
  for (size_t index = 0; index < runtime::operator_count(); ++index) {
    const runtime::OperatorProfile entry = runtime::profile(index);
    field("m-op-[", index);
    text(" ");
    text(entry.code);
    field(" ", entry.cycles);
    close();
  }
}

void help(Words);

struct Command {
  const char* name;
  const char* arguments;
  void (*run)(Words);
  bool takes_arguments;
};

constexpr Command kCommands[] = {
    {"name", "", name, false},
    {"profile", "", profile, false},
    {"help", "", help, false},
    {"timestamp", "", timestamp, false},
    {"db", " load N | db HEX | db print", db, true},
    {"infer", " N W", infer, true},
    {"results", "", results, false},
    {"id", "", id, false},
    {"memory", "", memory, false},
    {"load", " N", load, true},
    {"stream", " N", stream, true},
    {"run", "", run, false},
    {"crc", "", crc, false},
    {"output", "", output, false},
    {"ops", "", ops, false},
};

void help(Words) {
  for (const Command& command : kCommands) {
    text("m-help-[");
    text(command.name);
    text(command.arguments);
    close();
  }
}

// The tag that a checked command begins with, as 8 hexadecimal digits behind a `#`, and what follows it; nullptr where
// there is none.
const char* after_tag(const char* line, uint32_t& tag) {
  constexpr size_t kDigits = 8;
  uint32_t value = 0;
  for (size_t index = 1; index <= kDigits; ++index) {
    const int digit = hex_value(line[index]);
    if (digit < 0) {
      return nullptr;
    }
    value = value << 4 | static_cast<uint32_t>(digit);
  }
  if (line[kDigits + 1] != ' ' || value == 0) {
    return nullptr;
  }
  tag = value;
  return line + kDigits + 1;
}

void execute() {
  const char* line = heard.line;
  heard.tag = 0;
  begin_sum(line);
  if (line[0] == '#') {
    line = after_tag(line, heard.tag);
    if (line == nullptr) {
      error("no tag");
      return;
    }
    if (heard.first_tag == 0) {
      heard.first_tag = heard.tag;
    }
  }
  Words words(line);
  for (const Command& command : kCommands) {
    if (words.take(command.name)) {
      if (!command.takes_arguments && !words.at_end()) {
        error("no arguments expected");
      } else {
        command.run(words);
      }
      return;
    }
  }
  error("unknown command");
}

}  // namespace

void serve(bool runtime_ready) {
  size_t length = 0;
  state.ready = runtime_ready;
  // As MLPerf Tiny's own firmware begins.
  text("m-timestamp-mode-performance\r\n");
  lap(microseconds());
  text("m-init-done\r\nm-ready\r\n");
  for (;;) {
    const int byte = port::get();
    if (byte < 0) {
      (void)microseconds();
      continue;
    }
    if (byte == '\r' || byte == '\n') {
      continue;
    }
    if (byte == '#') {
      length = 0;  // a checked command begins, whatever noise came before
    }
    if (byte != '%') {
      // What is no printable character is kept as one: the command will be unknown, and is answered.
      if (length < kCommandLength) {
        heard.line[length] = byte >= ' ' && byte <= '~' ? static_cast<char>(byte) : '?';
      }
      length += length <= kCommandLength ? 1 : 0;
      continue;
    }
    if (length > kCommandLength) {
      heard.tag = 0;
      error("command too long");
    } else {
      heard.line[length] = '\0';
      execute();
    }
    length = 0;
    ready();
  }
}

}  // namespace danas::app
