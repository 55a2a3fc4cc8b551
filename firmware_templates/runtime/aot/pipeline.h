// SPDX-License-Identifier: MIT
// How a segment of a model runs: its stages take steps, one row at a time, each as late as it can.
//
// The last stage of a segment runs as soon as its inputs have the rows that its next step needs. While they have not,
// the stage that makes the first input that lacks some takes a step, if it can; if not, what it lacks is made, and so
// on backwards. So no row is made before somebody needs it, none is made twice, and a ring of few rows is enough for
// each image on the way (pipeline/estimate/storage.py works out how many).
#pragma once

#include <cstddef>
#include <cstdint>

namespace danas::aot {

constexpr uint8_t kNoFeed = 0xFF;

// An input that a stage of the same segment makes: step y needs rows up to y * stride + ahead.
struct Feed {
  uint8_t back;    // how many stages before this one; kNoFeed: none, or it was there before
  uint8_t stride;
  int16_t ahead;   // the rows that step 0 needs
};

struct Stage {
  uint16_t steps;
  Feed feeds[2];
};

// The stage that has to run before `stage` can take its next step; `stage` itself if it can.
inline size_t lacking(const Stage* stages, const uint16_t* done, size_t stage) {
  for (const Feed& feed : stages[stage].feeds) {
    if (feed.back == kNoFeed) continue;
    const size_t source = stage - feed.back;
    const int32_t rows = stages[source].steps;
    const int32_t needed = done[stage] * feed.stride + feed.ahead;
    if (done[source] < (needed < rows ? needed : rows)) return source;
  }
  return stage;
}

// Runs stages [first, end) to the end of the last one. step(stage, y) takes step y of a stage; `done` counts the steps
// that each has taken. False: a step has failed, and nothing was done after it.
template <typename Step>
bool run(const Stage* stages, uint16_t* done, size_t first, size_t end, const Step& step) {
  for (size_t stage = first; stage < end; ++stage) done[stage] = 0;
  while (done[end - 1] < stages[end - 1].steps) {
    size_t stage = end - 1;
    for (size_t source = lacking(stages, done, stage); source != stage; source = lacking(stages, done, stage)) {
      stage = source;
    }
    if (!step(stage, done[stage])) return false;
    ++done[stage];
  }
  return true;
}

}  // namespace danas::aot
