// The loop over time of a cell whose gates read the input alone. What is particular to a cell is
// the pointwise step from gates and old state to the new state, a function that another library
// holds.
//
// Rows are read in place, each of its own length, from either end, a hundred steps at a
// time: the product for the gates is made just before the pass over time reads it; in the way back
// the gradients of the gates are used up, in the products for the input and for the weights, just
// after that pass has written them. All of these lie in cache, and no more of them than that.
#include "product.h"

extern "C" {

typedef void (*Pointwise)(int64_t rows, int64_t hidden, REAL *const *arguments,
                          const int64_t *strides, REAL *scratch);

struct Strided {
  REAL *base;  // null where it is not wanted
  int64_t batch_stride, time_stride;
};

struct Call {
  int64_t batch, time, input, hidden, gates, reverse, threads;
  Team team;
  const int64_t *lengths;  // [batch]; null: all of them are `time`
  // Gates and state before to the state; or these, the gradient that comes through time and that
  // which comes from outside, to gradients of gates and state before.
  Pointwise pointwise;
  Strided x;                  // [batch, time, input]
  const REAL *weight, *bias;  // [gates * hidden, input], [gates * hidden]
  REAL *product;              // [batch, time, gates * hidden]
  REAL *h, *first, *last;     // [batch, time, hidden], [batch, hidden], [batch, hidden]
  // Backward only: gradients of h and last, and of the arguments; d_first must be there.
  Strided g;
  const REAL *g_last;
  Strided d_x;
  REAL *d_first, *d_weight, *d_bias;
};
}

namespace {

// Steps that are worked on at once.
constexpr int64_t CHUNK = 96;

// Rows of the batch, and of each of them steps in the order of reading.
struct Block {
  int64_t first_row, last_row, first_step, last_step;
};

// A share of the rows of the batch.
struct Worker {
  Worker(const Call &c, const REAL *packed)
      : c(c),
        h(c.hidden),
        wide(c.gates * h),
        packed(packed),
        arguments(2 * c.gates + 4),
        strides(2 * c.gates + 4) {}

  int64_t length(int64_t i) const { return c.lengths ? c.lengths[i] : c.time; }

  // Where a step of a row lies in memory, counted in steps.
  int64_t place(int64_t i, int64_t step) const {
    return i * c.time + (c.reverse ? length(i) - 1 - step : step);
  }

  // The first of the places of a block, which follow each other.
  int64_t place(const Block &b) const {
    return place(b.first_row, c.reverse ? b.last_step - 1 : b.first_step);
  }

  int64_t count(const Block &b) const {
    return (b.last_row - b.first_row) * (b.last_step - b.first_step);
  }

  REAL *at(const Strided &array, int64_t place) const {
    return array.base + place / c.time * array.batch_stride + place % c.time * array.time_stride;
  }

  REAL *before(int64_t i, int64_t step) const {
    return (step ? c.h + place(i, step - 1) * h : c.first + i * h);
  }

  void set_gates(int64_t argument, REAL *row) {
    for (int64_t gate = 0; gate < c.gates; gate++) arguments[argument + gate] = row + gate * h;
  }

  const Call &c;
  const int64_t h, wide;
  const REAL *packed;  // the weight
  std::vector<REAL *> arguments;
  const std::vector<int64_t> strides;
};

struct Forward : Worker {
  using Worker::Worker;

  void run(const Block &b) {
    const int64_t first = place(b);
    step_product(count(b), wide, c.input, at(c.x, first), c.x.time_stride, packed,
                 c.product + first * wide, wide, Start::BIAS, c.bias);
    for (int64_t i = b.first_row; i < b.last_row; i++)
      for (int64_t step = b.first_step; step < b.last_step; step++) {
        const int64_t to = place(i, step);
        set_gates(0, c.product + to * wide);
        arguments[c.gates] = before(i, step);
        arguments[c.gates + 1] = c.h + to * h;
        c.pointwise(1, h, arguments.data(), strides.data(), nullptr);
      }
  }
};

struct Backward : Worker {
  Backward(const Call &c, const REAL *packed, REAL *d_weight, REAL *d_bias)
      : Worker(c, packed),
        d_weight(d_weight),
        d_bias(d_bias),
        stride((wide + LANES - 1) / LANES * LANES + LANES),
        zeros(h),
        gates(CHUNK * stride),
        inputs(d_weight ? panels(c.input) * TILE_COLUMNS * CHUNK : 0),
        batch_index(CHUNK),
        time_index(CHUNK) {
    if (d_weight) std::memset(d_weight, 0, sizeof(REAL) * wide * c.input);
    if (d_bias) std::memset(d_bias, 0, sizeof(REAL) * wide);
  }

  void run(const Block &b) {
    const int64_t steps = count(b), first = place(b);
    if (filled + steps > CHUNK) flush();
    REAL *const rows = gates.data + filled * stride;
    for (int64_t i = b.first_row; i < b.last_row; i++)
      for (int64_t step = b.last_step - 1; step >= b.first_step; step--) {
        const int64_t from = place(i, step);
        set_gates(0, c.product + from * wide);
        arguments[c.gates] = before(i, step);
        // Read, and then overwritten by the gradient of the state before.
        arguments[c.gates + 1] = arguments[2 * c.gates + 3] = c.d_first + i * h;
        arguments[c.gates + 2] = c.g.base ? at(c.g, from) : zeros.data();
        set_gates(c.gates + 3, rows + (from - first) * stride);
        c.pointwise(1, h, arguments.data(), strides.data(), nullptr);
      }
    if (c.d_x.base)
      step_product(steps, c.input, wide, rows, stride, packed, at(c.d_x, first),
                   c.d_x.time_stride, Start::ZERO, nullptr);
    for (int64_t k = 0; k < steps; k++, filled++) {
      batch_index[filled] = int32_t((first + k) / c.time);
      time_index[filled] = int32_t((first + k) % c.time);
    }
  }

  // Use up the gradients of the gates that have come together.
  void flush() {
    if (d_weight) add_product();
    if (d_bias && filled) {
      // Apart first, so that a sum of many steps keeps its digits.
      for (int64_t k = 1; k < filled; k++) add(gates.data, gates.data + k * stride, wide);
      add(d_bias, gates.data, wide);
    }
    filled = 0;
  }

  // To d_weight, the product of the transposed gates with the inputs. The gates are read in place.
  void add_product() {
    const Rows x{c.x.base, c.x.batch_stride, batch_index.data(), time_index.data(),
                 c.x.time_stride};
    pack_columns({x, false}, 0, filled, 0, c.input, inputs.data);
    REAL *to[TILE_ROWS];
    for (int64_t j = 0; j < c.input; j += TILE_COLUMNS)
      for (int64_t i = 0; i < wide; i += TILE_ROWS) {
        const int64_t some = std::min<int64_t>(TILE_ROWS, wide - i);
        for (int64_t r = 0; r < some; r++) to[r] = d_weight + (i + r) * c.input + j;
        any_tile<true, false>(some, filled, gates.data + i, stride, inputs.data + j * filled, to,
                       std::min<int64_t>(TILE_COLUMNS, c.input - j), Start::OLD, nullptr);
      }
  }

  static void add(REAL *to, const REAL *from, int64_t count) {
#pragma omp simd
    for (int64_t j = 0; j < count; j++) to[j] += from[j];
  }

  REAL *const d_weight, *const d_bias;  // null where they are not wanted
  // No multiple of a power of two, which would crowd a column into few lines of the nearest cache.
  const int64_t stride;
  std::vector<REAL> zeros;
  Buffer gates, inputs;  // [CHUNK, stride], the first `filled` of them gradients; and packed x
  int64_t filled = 0;
  std::vector<int32_t> batch_index, time_index;
};

// Blocks of the rows begin to end, one after another in the order of reading.
template <class Run>
void for_each_block(const Worker &worker, int64_t begin, int64_t end, bool back, const Run &run) {
  const Call &c = worker.c;
  const auto even = [&](const Strided &array) {
    return !array.base || array.batch_stride == c.time * array.time_stride;
  };
  // Short rows that lie evenly are taken several at once.
  const bool several = !c.lengths && even(c.x) && even(c.d_x);
  const int64_t rows = several ? std::max<int64_t>(1, CHUNK / c.time) : 1;
  for (int64_t i = begin; i < end; i += rows) {
    const int64_t last = std::min(i + rows, end), length = worker.length(i);
    const int64_t chunks = (length + CHUNK - 1) / CHUNK;
    for (int64_t k = 0; k < chunks; k++) {
      const int64_t step = (back ? chunks - 1 - k : k) * CHUNK;
      run({i, last, step, std::min(step + CHUNK, length)});
    }
  }
}

// Where to cut the rows of the batch for so many threads, step for step: always at the same places,
// so that sums come out the same.
std::vector<int64_t> cut(const Call &c) {
  int64_t total = 0, done = 0;
  for (int64_t i = 0; i < c.batch; i++) total += c.lengths ? c.lengths[i] : c.time;
  std::vector<int64_t> cuts{0};
  for (int64_t i = 0; i < c.batch; i++) {
    while (int64_t(cuts.size()) < c.threads && done * c.threads >= total * int64_t(cuts.size()))
      cuts.push_back(i);
    done += c.lengths ? c.lengths[i] : c.time;
  }
  cuts.resize(c.threads + 1, c.batch);
  return cuts;
}

bool forward(const Call &c) {
  const int64_t wide = c.gates * c.hidden;
  Buffer packed(panels(wide) * TILE_COLUMNS * c.input);
  pack_columns({{const_cast<REAL *>(c.weight), c.input}, true}, 0, c.input, 0, wide, packed.data);
  const std::vector<int64_t> cuts = cut(c);
  return in_parallel(c.team, c.threads, [&](int64_t k) {
    Forward worker(c, packed.data);
    for_each_block(worker, cuts[k], cuts[k + 1], false, [&](const Block &b) { worker.run(b); });
    for (int64_t i = cuts[k]; i < cuts[k + 1]; i++)
      std::memcpy(c.last + i * c.hidden, worker.before(i, worker.length(i)),
                  sizeof(REAL) * c.hidden);
  });
}

bool backward(const Call &c) {
  const int64_t wide = c.gates * c.hidden, all = c.batch * c.hidden, size = wide * c.input;
  if (c.g_last) std::memcpy(c.d_first, c.g_last, sizeof(REAL) * all);
  else std::memset(c.d_first, 0, sizeof(REAL) * all);
  Buffer packed(panels(c.input) * TILE_COLUMNS * wide);
  pack_columns({{const_cast<REAL *>(c.weight), c.input}, false}, 0, wide, 0, c.input, packed.data);
  // The first share adds up where the sum is to be, the others in places of their own.
  Buffer others(c.threads > 1 ? (c.threads - 1) * (size + wide) : 0);
  const auto own = [&](int64_t k, REAL *wanted, int64_t offset) {
    return wanted && k ? others.data + (k - 1) * (size + wide) + offset : wanted;
  };
  const std::vector<int64_t> cuts = cut(c);
  const bool enough = in_parallel(c.team, c.threads, [&](int64_t k) {
    Backward worker(c, packed.data, own(k, c.d_weight, 0), own(k, c.d_bias, size));
    for_each_block(worker, cuts[k], cuts[k + 1], true, [&](const Block &b) { worker.run(b); });
    worker.flush();
  });
  for (int64_t k = 1; enough && k < c.threads; k++) {
    if (c.d_weight) Backward::add(c.d_weight, own(k, c.d_weight, 0), size);
    if (c.d_bias) Backward::add(c.d_bias, own(k, c.d_bias, size), wide);
  }
  return enough;
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
