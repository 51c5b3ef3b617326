// The loop over time of a gated cell, forward and backward. What is particular to a cell is its
// pointwise part, a function that another library holds; everything else is here, once.
//
// Rows are sorted by length, longest first, and packed: step t has running[t] rows, numbered from
// offset[t]; N in all. A leaf of the state has batch + N rows: the initial ones, then one a step.
#include "product.h"

extern "C" {

// Where an argument of a pointwise function has its rows.
enum Place : int64_t {
  STEP = 0,      // [N, ...], the rows of this step
  PREVIOUS = 1,  // [batch + N, ...], the state before this step
  NEXT = 2,      // [batch + N, ...], the state after this step
  ROW = 3,       // [batch, ...], one for each row of the batch
  FIXED = 4,     // the same for every row
  THREAD = 5,    // a sum of its own for each thread
};

struct Argument {
  REAL *base;
  int64_t stride;  // between rows; of THREAD, between threads
  int64_t place;
};

typedef void (*Pointwise)(int64_t rows, int64_t hidden, REAL *const *arguments,
                          const int64_t *strides, REAL *scratch);

// Gates that follow each other and whose products with h go to one place.
struct Run {
  int64_t first, count;   // gates
  REAL *base;             // [N, stride]: of x's product, which is added to, or an array of its own
  int64_t stride;
  int64_t added;
  const REAL *bias;       // of an array of its own, or null
};

struct Strided {
  REAL *base;  // null where it is not wanted
  int64_t batch_stride, time_stride;
};

struct Call {
  int64_t steps, batch, total, input, hidden, gates, threads, runs, arguments, leaves, scratch;
  const int32_t *running;      // [steps]
  const int64_t *offset;       // [steps]
  const int64_t *cuts;         // [threads + 1], rows of the batch that each thread runs
  const int32_t *batch_index;  // [N], the row of the batch that a packed row came from
  const int32_t *time_index;   // [N], and its time
  const int32_t *previous;     // [N], the row of a leaf that holds the state before
  Strided x, gradient_x;
  const Strided *outputs;      // [leaves], every state after its step; backward: its gradient
  const REAL *weight_x, *weight_h, *bias;
  REAL *gates_x;               // [N, gates * hidden]; backward: its gradient
  const Run *run;
  const Argument *argument;
  Pointwise pointwise;
  REAL *const *leaf;           // [batch + N, hidden] each
  REAL *masked;                // [N, hidden], what the recurrent product saw; null: the state
  const REAL *mask;            // [batch, hidden], what it is multiplied by
  REAL *const *gradient_leaf;  // [batch, hidden] each
  REAL *gradient_weight_x, *gradient_weight_h, *gradient_bias;
  REAL *const *gradient_bias_run;  // [runs], null where a run has no bias of its own
  Team team;
};
}

namespace {

// Arguments of a pointwise call on `rows` rows of step t, from row `first` of the batch.
struct Frame {
  explicit Frame(const Call &c, int64_t thread)
      : c(c), thread(thread), pointers(c.arguments), strides(c.arguments) {}

  void run(int64_t t, int64_t first, int64_t rows, REAL *scratch) {
    for (int64_t i = 0; i < c.arguments; i++) {
      const Argument &a = c.argument[i];
      int64_t row = 0;
      strides[i] = a.stride;
      switch (a.place) {
        case STEP: row = c.offset[t] + first; break;
        case PREVIOUS: row = first + (t ? c.batch + c.offset[t - 1] : 0); break;
        case NEXT: row = first + c.batch + c.offset[t]; break;
        case ROW: row = first; break;
        case FIXED: strides[i] = 0; break;
        case THREAD: row = thread; strides[i] = 0; break;
      }
      pointers[i] = a.base + row * a.stride;
    }
    c.pointwise(rows, c.hidden, pointers.data(), strides.data(), scratch);
  }

  const Call &c;
  const int64_t thread;
  std::vector<REAL *> pointers;
  std::vector<int64_t> strides;
};

int64_t rows_of(const Call &c, int64_t t, int64_t first, int64_t last) {
  return std::max<int64_t>(0, std::min<int64_t>(c.running[t], last) - first);
}

Rows rows_at(const Call &c, const Strided &s) {
  return {s.base, s.batch_stride, c.batch_index, c.time_index, s.time_stride};
}

void add(REAL *to, const REAL *from, int64_t count) {
  for (int64_t i = 0; i < count; i++) to[i] += from[i];
}

void multiply(REAL *to, const REAL *a, const REAL *b, int64_t count) {
  for (int64_t i = 0; i < count; i++) to[i] = a[i] * b[i];
}

int64_t packed_size(int64_t columns, int64_t depth) {
  return panels(columns) * TILE_COLUMNS * depth;
}

void forward_rows(const Call &c, int64_t thread, REAL *const *packed) {
  const int64_t h = c.hidden, first = c.cuts[thread], last = c.cuts[thread + 1];
  Frame frame(c, thread);
  Buffer scratch(c.scratch * h);
  for (int64_t t = 0; t < c.steps; t++) {
    const int64_t rows = rows_of(c, t, first, last), at = c.offset[t] + first;
    if (rows == 0) break;
    const REAL *state = c.leaf[0] + (first + (t ? c.batch + c.offset[t - 1] : 0)) * h;
    if (c.masked) {
      multiply(c.masked + at * h, state, c.mask + first * h, rows * h);
      state = c.masked + at * h;
    }
    for (int64_t i = 0; i < c.runs; i++) {
      const Run &run = c.run[i];
      const Start start = run.added ? Start::OLD : run.bias ? Start::BIAS : Start::ZERO;
      step_product(rows, run.count * h, h, state, h, packed[i], run.base + at * run.stride,
                   run.stride, start, run.bias);
    }
    frame.run(t, first, rows, scratch.data);
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
  const int64_t h = c.hidden, first = c.cuts[thread], last = c.cuts[thread + 1];
  Frame frame(c, thread);
  Buffer scratch(c.scratch * h), product(c.masked ? (last - first) * h : 0);
  for (int64_t t = c.steps - 1; t >= 0; t--) {
    const int64_t rows = rows_of(c, t, first, last), at = c.offset[t] + first;
    if (rows == 0) continue;
    REAL *state = c.gradient_leaf[0] + first * h;
    for (int64_t k = 0; k < c.leaves; k++) {
      if (!c.outputs[k].base) continue;
      const Rows from = rows_at(c, c.outputs[k]);
      REAL *to = c.gradient_leaf[k] + first * h;
      for (int64_t r = 0; r < rows; r++) add(to + r * h, from.at(at + r), h);
    }
    frame.run(t, first, rows, scratch.data);
    if (c.masked) std::memset(product.data, 0, sizeof(REAL) * rows * h);
    for (int64_t i = 0; i < c.runs; i++) {
      const Run &run = c.run[i];
      step_product(rows, h, run.count * h, run.base + at * run.stride, run.stride, packed[i],
                   c.masked ? product.data : state, h, Start::OLD, nullptr);
    }
    if (c.masked)
      for (int64_t i = 0; i < rows * h; i++) state[i] += product.data[i] * c.mask[first * h + i];
  }
}

// Sums over rows of [rows, columns], in two stages, so that many small numbers are not added to a
// large one.
void sum_rows(const REAL *from, int64_t rows, int64_t stride, int64_t columns, REAL *to) {
  constexpr int64_t STAGE = 128;
  Buffer part(columns);
  std::memset(to, 0, sizeof(REAL) * columns);
  for (int64_t first = 0; first < rows; first += STAGE) {
    std::memset(part.data, 0, sizeof(REAL) * columns);
    for (int64_t i = first; i < std::min(first + STAGE, rows); i++)
      add(part.data, from + i * stride, columns);
    add(to, part.data, columns);
  }
}

struct Packed {
  explicit Packed(const Call &c, bool transposed) : runs(c.runs) {
    for (int64_t i = 0; i < c.runs; i++) {
      const int64_t wide = c.run[i].count * c.hidden, h = c.hidden;
      const Operand weight{{const_cast<REAL *>(c.weight_h) + c.run[i].first * h * h, h}, transposed};
      buffers.emplace_back(new Buffer(transposed ? packed_size(wide, h) : packed_size(h, wide)));
      if (transposed)
        pack_columns(weight, 0, h, 0, wide, buffers[i]->data);
      else
        pack_columns(weight, 0, wide, 0, h, buffers[i]->data);
      runs[i] = buffers[i]->data;
    }
  }
  std::vector<std::unique_ptr<Buffer>> buffers;
  std::vector<REAL *> runs;
};

bool forward(const Call &c) {
  const int64_t wide = c.gates * c.hidden;
  const Operand x{rows_at(c, c.x), false};
  const Operand weight{{const_cast<REAL *>(c.weight_x), c.input}, true};
  const bool enough = in_parallel(c.team, c.threads, [&](int64_t i) {
    product(share(c.total, i, c.threads), share(c.total, i + 1, c.threads), wide, c.input, x,
            weight, {c.gates_x, wide}, Start::BIAS, c.bias);
  });
  if (!enough) return false;
  const Packed packed(c, true);
  return in_parallel(c.team, c.threads, [&](int64_t i) { forward_rows(c, i, packed.runs.data()); });
}

bool backward(const Call &c) {
  const int64_t h = c.hidden, wide = c.gates * h, n = c.threads;
  {
    const Packed packed(c, false);
    if (!in_parallel(c.team, n, [&](int64_t i) { backward_rows(c, i, packed.runs.data()); })) return false;
  }
  const Rows x = rows_at(c, c.x), to_x = rows_at(c, c.gradient_x);
  const Operand gates{{c.gates_x, wide}, false}, gates_turned{{c.gates_x, wide}, true};
  const Rows states = c.masked ? Rows{c.masked, h} : Rows{c.leaf[0], h, c.previous};
  return in_parallel(c.team, n, [&](int64_t i) {
    if (c.gradient_x.base)
      product(share(c.total, i, n), share(c.total, i + 1, n), c.input, wide, gates,
              {{const_cast<REAL *>(c.weight_x), c.input}, false}, to_x, Start::ZERO, nullptr);
    if (c.gradient_weight_x)
      product(share(wide, i, n), share(wide, i + 1, n), c.input, c.total, gates_turned, {x, false},
              {c.gradient_weight_x, c.input}, Start::ZERO, nullptr);
    if (c.gradient_bias) {
      const int64_t first = share(wide, i, n), last = share(wide, i + 1, n);
      sum_rows(c.gates_x + first, c.total, wide, last - first, c.gradient_bias + first);
    }
    for (int64_t k = 0; k < c.runs; k++) {
      const Run &run = c.run[k];
      const int64_t rows = run.count * h;
      if (c.gradient_weight_h)
        product(share(rows, i, n), share(rows, i + 1, n), h, c.total,
                {{run.base, run.stride}, true}, {states, false},
                {c.gradient_weight_h + run.first * h * h, h}, Start::ZERO, nullptr);
      if (c.gradient_bias_run && c.gradient_bias_run[k]) {
        const int64_t first = share(rows, i, n), last = share(rows, i + 1, n);
        sum_rows(run.base + first, c.total, run.stride, last - first,
                 c.gradient_bias_run[k] + first);
      }
    }
  });
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
