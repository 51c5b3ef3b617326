// The loop over time of a gated cell, forward and backward, compiled once for all cells.
#include "recurrence.h"

namespace {

void forward_rows(const Call &c, int64_t thread, REAL *const *packed) {
  Worker worker(c, thread, packed);
  const int64_t h = c.hidden;
  for (int64_t t = 0; t < c.steps; t++) {
    const int64_t rows = worker.running(t), at = worker.at(t);
    if (rows == 0) break;
    worker.forward(t);
    for (int64_t k = 0; k < c.leaves; k++) {
      if (!c.outputs[k].base) continue;
      const Rows to = rows_at(c, c.outputs[k]);
      const REAL *from = c.leaf[k] + (c.batch + at) * h;
      for (int64_t r = 0; r < rows; r++)
        std::memcpy(to.at(at + r), from + r * h, sizeof(REAL) * h);
    }
  }
}

void backward_rows(const Call &c, int64_t thread, REAL *const *packed) {
  Worker worker(c, thread, packed);
  const int64_t h = c.hidden;
  for (int64_t t = c.steps - 1; t >= 0; t--) {
    const int64_t rows = worker.running(t), at = worker.at(t);
    if (rows == 0) continue;
    for (int64_t k = 0; k < c.leaves; k++) {
      if (!c.outputs[k].base) continue;
      const Rows from = rows_at(c, c.outputs[k]);
      REAL *to = c.gradient_leaf[k] + worker.first * h;
      for (int64_t r = 0; r < rows; r++) add(to + r * h, from.at(at + r), h);
    }
    worker.backward(t);
  }
}

bool forward(const Call &c) {
  if (!read_inputs(c)) return false;
  const Packed packed(c, true);
  return in_parallel(c.team, c.threads, [&](int64_t i) { forward_rows(c, i, packed.runs.data()); });
}

bool backward(const Call &c) {
  {
    const Packed packed(c, false);
    if (!in_parallel(c.team, c.threads,
                     [&](int64_t i) { backward_rows(c, i, packed.runs.data()); }))
      return false;
  }
  return in_parallel(c.team, c.threads, [&](int64_t i) { multiply_gradients(c, i); });
}

int guarded(bool (*what)(const Call &), const Call *c) {
  try {
    return what(*c) ? 0 : 1;
  } catch (const std::bad_alloc &) {
    return 1;
  }
}

}  // namespace

extern "C" int run_forward(const Call *c) { return guarded(forward, c); }
extern "C" int run_backward(const Call *c) { return guarded(backward, c); }

// What the caller's picture of Call must agree with.
extern "C" int64_t call_size() { return sizeof(Call); }
