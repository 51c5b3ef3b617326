// The loop over time of a cell whose gates read the input alone. What is particular to a cell is
// the pointwise step from gates and old state to the new state, a function that another library
// holds.
//
// Rows are read in place, each of its own length, from either end. The product for the gates is
// made a hundred steps at a time, just before the pass over time reads it, and in the way back the
// gradient of the input just after that pass has written what it is made of: both lie in cache.
#include "product.h"

extern "C" {

typedef void (*Pointwise)(int64_t rows, int64_t hidden, REAL *const *arguments,
                          const int64_t *strides, REAL *scratch);

struct Strided {
  REAL *base;  // null where it is not wanted
  int64_t batch_stride, time_stride;
};

struct Call {
  int64_t batch, time, total, input, hidden, gates, reverse, threads;
  Team team;
  const int64_t *lengths;                   // [batch]; null: all of them are `time`
  // [total], the row and the time of each real step; null where there are no others, and where the
  // rows of all arrays lie evenly.
  const int32_t *batch_index, *time_index;
  // Gates and state before to the state; or these, the gradient that comes through time and that
  // which comes from outside, to gradients of gates and state before.
  Pointwise pointwise;
  Strided x;            // [batch, time, input]
  const REAL *weight, *bias;  // [gates * hidden, input], [gates * hidden]
  REAL *product;              // [batch, time, gates * hidden]
  REAL *h, *first, *last;     // [batch, time, hidden], [batch, hidden], [batch, hidden]
  // Backward only: gradients of h and last; of the product; of the arguments.
  Strided g;
  const REAL *g_last;
  REAL *d_product, *d_first;
  Strided d_x;
  REAL *d_weight, *d_bias;
};
}

namespace {

// Steps that are worked on at once.
constexpr int64_t CHUNK = 500;

// Rows of the batch, and of each of them steps in the order of reading.
struct Block {
  int64_t first_row, last_row, first_step, last_step;
};

struct Worker {
  explicit Worker(const Call &c, const REAL *packed)
      : c(c),
        h(c.hidden),
        wide(c.gates * h),
        packed(packed),
        arguments(2 * c.gates + 4),
        strides(2 * c.gates + 4),
        zeros(h) {}

  int64_t length(int64_t i) const { return c.lengths ? c.lengths[i] : c.time; }

  int64_t time(int64_t i, int64_t step) const {
    return c.reverse ? length(i) - 1 - step : step;
  }

  // The first of the places in memory of a block, which follow each other.
  int64_t place(const Block &b) const {
    return b.first_row * c.time + time(b.first_row, c.reverse ? b.last_step - 1 : b.first_step);
  }

  int64_t count(const Block &b) const {
    return (b.last_row - b.first_row) * (b.last_step - b.first_step);
  }

  REAL *at(const Strided &array, int64_t place) const {
    return array.base + place / c.time * array.batch_stride + place % c.time * array.time_stride;
  }

  void forward(const Block &b) {
    const int64_t first = place(b);
    step_product(count(b), wide, c.input, at(c.x, first), c.x.time_stride, packed,
                 c.product + first * wide, wide, Start::BIAS, c.bias);
    for (int64_t i = b.first_row; i < b.last_row; i++)
      for (int64_t step = b.first_step; step < b.last_step; step++) {
        const int64_t to = i * c.time + time(i, step);
        gates_of(c.product, to, 0);
        arguments[c.gates] = before(i, step);
        arguments[c.gates + 1] = c.h + to * h;
        c.pointwise(1, h, arguments.data(), strides.data(), nullptr);
      }
  }

  void backward(const Block &b) {
    for (int64_t i = b.first_row; i < b.last_row; i++)
      for (int64_t step = b.last_step - 1; step >= b.first_step; step--) {
        const int64_t from = i * c.time + time(i, step);
        gates_of(c.product, from, 0);
        arguments[c.gates] = before(i, step);
        // Read, and then overwritten by the gradient of the state before.
        arguments[c.gates + 1] = arguments[2 * c.gates + 3] = c.d_first + i * h;
        arguments[c.gates + 2] = c.g.base ? at(c.g, from) : zeros.data();
        gates_of(c.d_product, from, c.gates + 3);
        c.pointwise(1, h, arguments.data(), strides.data(), nullptr);
      }
    const int64_t first = place(b);
    if (c.d_x.base)
      step_product(count(b), c.input, wide, c.d_product + first * wide, wide, packed,
                   at(c.d_x, first), c.d_x.time_stride, Start::ZERO, nullptr);
  }

  REAL *before(int64_t i, int64_t step) const {
    return step ? c.h + (i * c.time + time(i, step - 1)) * h : c.first + i * h;
  }

  void gates_of(REAL *array, int64_t place, int64_t argument) {
    for (int64_t gate = 0; gate < c.gates; gate++)
      arguments[argument + gate] = array + place * wide + gate * h;
  }

  const Call &c;
  const int64_t h, wide;
  const REAL *packed;
  std::vector<REAL *> arguments;
  std::vector<int64_t> strides;
  std::vector<REAL> zeros;
};

// Rows that lie evenly are taken several at once where they are short.
int64_t rows_at_once(const Call &c) {
  const auto even = [&](const Strided &array) {
    return !array.base || array.batch_stride == c.time * array.time_stride;
  };
  if (c.lengths || !even(c.x) || !even(c.d_x)) return 1;
  return std::min(std::max<int64_t>(1, CHUNK / c.time), (c.batch + c.threads - 1) / c.threads);
}

bool run(const Call &c, const Operand &weight, int64_t columns, int64_t depth, bool back) {
  Buffer packed(panels(columns) * TILE_COLUMNS * depth);
  pack_columns(weight, 0, depth, 0, columns, packed.data);
  const int64_t rows = rows_at_once(c);
  std::atomic<int64_t> next{0};
  return in_parallel(c.team, c.threads, [&](int64_t) {
    Worker worker(c, packed.data);
    for (int64_t i; (i = next.fetch_add(rows)) < c.batch;) {
      const int64_t last = std::min(i + rows, c.batch), length = worker.length(i);
      const int64_t chunks = (length + CHUNK - 1) / CHUNK;
      for (int64_t k = 0; k < chunks; k++) {
        const int64_t step = (back ? chunks - 1 - k : k) * CHUNK;
        const Block block{i, last, step, std::min(step + CHUNK, length)};
        back ? worker.backward(block) : worker.forward(block);
      }
      for (int64_t row = i; !back && row < last; row++)
        std::memcpy(c.last + row * c.hidden, worker.before(row, length), sizeof(REAL) * c.hidden);
    }
  });
}

bool forward(const Call &c) {
  const Operand weight{{const_cast<REAL *>(c.weight), c.input}, true};
  return run(c, weight, c.gates * c.hidden, c.input, false);
}

Rows steps(const Call &c, const Strided &array) {
  if (!c.batch_index) return {array.base, array.time_stride};
  return {array.base, array.batch_stride, c.batch_index, c.time_index, array.time_stride};
}

bool backward(const Call &c) {
  const int64_t wide = c.gates * c.hidden, n = c.threads, all = c.batch * c.hidden;
  if (c.g_last) std::memcpy(c.d_first, c.g_last, sizeof(REAL) * all);
  else std::memset(c.d_first, 0, sizeof(REAL) * all);
  const Operand weight{{const_cast<REAL *>(c.weight), c.input}, false};
  if (!run(c, weight, c.input, wide, true)) return false;
  const Rows gates = steps(c, {c.d_product, c.time * wide, wide});
  return in_parallel(c.team, n, [&](int64_t i) {
    if (c.d_weight)
      product(share(wide, i, n), share(wide, i + 1, n), c.input, c.total, {gates, true},
              {steps(c, c.x), false}, {c.d_weight, c.input}, Start::ZERO, nullptr);
    if (c.d_bias && i == n - 1) {
      std::memset(c.d_bias, 0, sizeof(REAL) * wide);
      for (int64_t k = 0; k < c.total; k++) {
        const REAL *row = gates.at(k);
#pragma omp simd
        for (int64_t j = 0; j < wide; j++) c.d_bias[j] += row[j];
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
