// The loop over time of a cell whose gates read the input alone: one product for the gates of all
// steps, then one pass over each row of the batch. What is particular to a cell is the pointwise
// step from gates and old state to the new state, a function that another library holds.
//
// Rows are read in place, each of its own length, from either end. No step mixes columns, so that
// blocks of columns run by themselves, and what a step needs of the one before is still in cache.
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
  const int64_t *lengths;                   // [batch]; null: all of them are `time`
  // [total], the row and the time of each real step; null where there are no others, and where the
  // rows of all arrays lie evenly.
  const int32_t *batch_index, *time_index;
  Pointwise pointwise;  // gates, state before, (gradient) -> state, or gradients of gates and state
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

constexpr int64_t COLUMNS = 1024;

int64_t length_of(const Call &c, int64_t i) { return c.lengths ? c.lengths[i] : c.time; }

// Columns column to column + n of row i of the batch.
void forward_row(const Call &c, int64_t i, int64_t column, int64_t n, REAL **arguments,
                 const int64_t *strides) {
  const int64_t h = c.hidden, wide = c.gates * h, length = length_of(c, i);
  REAL *before = c.first + i * h + column;
  for (int64_t k = 0; k < length; k++) {
    const int64_t at = i * c.time + (c.reverse ? length - 1 - k : k);
    for (int64_t gate = 0; gate < c.gates; gate++)
      arguments[gate] = c.product + at * wide + gate * h + column;
    arguments[c.gates] = before;
    arguments[c.gates + 1] = before = c.h + at * h + column;
    c.pointwise(1, n, arguments, strides, nullptr);
  }
  std::memcpy(c.last + i * h + column, before, sizeof(REAL) * n);
}

void backward_row(const Call &c, int64_t i, int64_t column, int64_t n, REAL **arguments,
                  const int64_t *strides) {
  const int64_t h = c.hidden, wide = c.gates * h, length = length_of(c, i);
  REAL *d = c.d_first + i * h + column;
  if (c.g_last) std::memcpy(d, c.g_last + i * h + column, sizeof(REAL) * n);
  else std::memset(d, 0, sizeof(REAL) * n);
  for (int64_t k = length - 1; k >= 0; k--) {
    const int64_t t = c.reverse ? length - 1 - k : k, at = i * c.time + t;
    if (c.g.base) {
      const REAL *g = c.g.base + i * c.g.batch_stride + t * c.g.time_stride + column;
#pragma omp simd
      for (int64_t j = 0; j < n; j++) d[j] += g[j];
    }
    for (int64_t gate = 0; gate < c.gates; gate++) {
      arguments[gate] = c.product + at * wide + gate * h + column;
      arguments[c.gates + 2 + gate] = c.d_product + at * wide + gate * h + column;
    }
    arguments[c.gates] = (k ? c.h + (c.reverse ? at + 1 : at - 1) * h : c.first + i * h) + column;
    // Read, and then overwritten by the gradient of the state before.
    arguments[c.gates + 1] = arguments[2 * c.gates + 2] = d;
    c.pointwise(1, n, arguments, strides, nullptr);
  }
}

template <class Row>
bool for_each_row(const Call &c, const Row &row) {
  int64_t block = COLUMNS;
  if (c.batch < c.threads) block = std::min(block, (c.hidden / c.threads + LANES) / LANES * LANES);
  const int64_t blocks = (c.hidden + block - 1) / block;
  std::atomic<int64_t> next{0};
  return in_parallel(c.threads, [&](int64_t) {
    std::vector<REAL *> arguments(2 * c.gates + 3);
    const std::vector<int64_t> strides(2 * c.gates + 3);
    for (int64_t task; (task = next.fetch_add(1)) < c.batch * blocks;) {
      const int64_t column = task % blocks * block;
      row(c, task / blocks, column, std::min(block, c.hidden - column), arguments.data(),
          strides.data());
    }
  });
}

Rows steps(const Call &c, const Strided &array) {
  if (!c.batch_index) return {array.base, array.time_stride};
  return {array.base, array.batch_stride, c.batch_index, c.time_index, array.time_stride};
}

// Rows of an array [batch, time, width].
Rows dense(const Call &c, REAL *base, int64_t width) {
  return steps(c, {base, c.time * width, width});
}

bool forward(const Call &c) {
  const int64_t wide = c.gates * c.hidden;
  const Operand weight{{const_cast<REAL *>(c.weight), c.input}, true};
  const bool enough = in_parallel(c.threads, [&](int64_t i) {
    product(share(c.total, i, c.threads), share(c.total, i + 1, c.threads), wide, c.input,
            {steps(c, c.x), false}, weight, dense(c, c.product, wide), Start::BIAS, c.bias);
  });
  return enough && for_each_row(c, forward_row);
}

bool backward(const Call &c) {
  if (!for_each_row(c, backward_row)) return false;
  const int64_t wide = c.gates * c.hidden, n = c.threads;
  const Rows gates = dense(c, c.d_product, wide);
  return in_parallel(n, [&](int64_t i) {
    if (c.d_x.base)
      product(share(c.total, i, n), share(c.total, i + 1, n), c.input, wide, {gates, false},
              {{const_cast<REAL *>(c.weight), c.input}, false}, steps(c, c.d_x), Start::ZERO,
              nullptr);
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
