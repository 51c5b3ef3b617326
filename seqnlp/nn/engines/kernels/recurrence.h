// The steps of a gated cell, forward and backward, and the products around them. What is particular
// to a cell is its pointwise part, a function that another library holds; everything else is here.
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
  THREAD = 5,    // a sum of its own for each thread, of double
};

struct Argument {
  REAL *base;
  int64_t stride;  // between rows; of THREAD, between threads; in numbers of REAL
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
  // A row of weight_x, and of its gradient, has `width` numbers, of which `input` are read here.
  int64_t width;
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

// The rows of one thread in one step after another.
struct Worker {
  Worker(const Call &c, int64_t thread, REAL *const *packed)
      : c(c),
        first(c.cuts[thread]),
        last(c.cuts[thread + 1]),
        packed(packed),
        frame(c, thread),
        scratch(c.scratch * c.hidden),
        unmasked(c.masked ? (last - first) * c.hidden : 0) {}

  int64_t running(int64_t t) const {
    return std::max<int64_t>(0, std::min<int64_t>(c.running[t], last) - first);
  }

  // The first of the rows of step t among the packed ones; and of the state before, in a leaf.
  int64_t at(int64_t t) const { return c.offset[t] + first; }
  int64_t before(int64_t t) const { return first + (t ? c.batch + c.offset[t - 1] : 0); }

  // From the products with the inputs, which are there, to the new state.
  void forward(int64_t t) {
    const int64_t h = c.hidden, rows = running(t), at = this->at(t);
    const REAL *state = c.leaf[0] + before(t) * h;
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
  }

  // From the gradients of the new state to those of the gates and of the state before.
  void backward(int64_t t) {
    const int64_t h = c.hidden, rows = running(t), at = this->at(t);
    REAL *state = c.gradient_leaf[0] + first * h;
    frame.run(t, first, rows, scratch.data);
    if (c.masked) std::memset(unmasked.data, 0, sizeof(REAL) * rows * h);
    for (int64_t i = 0; i < c.runs; i++) {
      const Run &run = c.run[i];
      step_product(rows, h, run.count * h, run.base + at * run.stride, run.stride, packed[i],
                   c.masked ? unmasked.data : state, h, Start::OLD, nullptr);
    }
    if (c.masked)
      for (int64_t i = 0; i < rows * h; i++) state[i] += unmasked.data[i] * c.mask[first * h + i];
  }

  const Call &c;
  const int64_t first, last;
  REAL *const *packed;
  Frame frame;
  Buffer scratch, unmasked;
};

// Sums over rows of [rows, columns], of which there may be any number.
void sum_rows(const REAL *from, int64_t rows, int64_t stride, int64_t columns, REAL *to) {
  std::vector<double> sum(columns);
  for (int64_t i = 0; i < rows; i++, from += stride)
    for (int64_t j = 0; j < columns; j++) sum[j] += from[j];
  for (int64_t j = 0; j < columns; j++) to[j] = REAL(sum[j]);
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

// The products with the inputs of all steps.
bool read_inputs(const Call &c) {
  const int64_t wide = c.gates * c.hidden;
  const Operand x{rows_at(c, c.x), false};
  const Operand weight{{const_cast<REAL *>(c.weight_x), c.width}, true};
  return in_parallel(c.team, c.threads, [&](int64_t i) {
    product(share(c.total, i, c.threads), share(c.total, i + 1, c.threads), wide, c.input, x,
            weight, {c.gates_x, wide}, Start::BIAS, c.bias);
  });
}

// A thread's share of the gradients of inputs, weights and biases, once those of all gates are there.
void multiply_gradients(const Call &c, int64_t i) {
  const int64_t h = c.hidden, wide = c.gates * h, n = c.threads;
  const Rows x = rows_at(c, c.x), to_x = rows_at(c, c.gradient_x);
  const Operand gates{{c.gates_x, wide}, false}, gates_turned{{c.gates_x, wide}, true};
  const Rows states = c.masked ? Rows{c.masked, h} : Rows{c.leaf[0], h, c.previous};
  if (c.gradient_x.base)
    product(share(c.total, i, n), share(c.total, i + 1, n), c.input, wide, gates,
            {{const_cast<REAL *>(c.weight_x), c.width}, false}, to_x, Start::ZERO, nullptr);
  if (c.gradient_weight_x)
    product(share(wide, i, n), share(wide, i + 1, n), c.input, c.total, gates_turned, {x, false},
            {c.gradient_weight_x, c.width}, Start::ZERO, nullptr);
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
}

}  // namespace
