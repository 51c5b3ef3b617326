// The loop over time of a gated cell for inference: only outputs are kept, and weights are laid out
// once for any number of calls. Who includes it says what `Weight` is and defines `Products`:
//
//   Products(weight, rows, columns, hidden): room for so many rows of x or of the state.
//   take(i, from): row i.
//   multiply(rows, run, to): the first rows by the weight of a run of gates.
//
// Rows are sorted by length and packed as in recurrence.cpp or, without the arrays that say so, all
// of one length. The pointwise part is the one of the other loop.

extern "C" {

// What an argument of the pointwise function is, and which of them: a gate of x_gates or h_gates,
// a leaf before or after the step, or one of `fixed`.
enum Kind : int64_t { X_GATES = 0, H_GATES = 1, BEFORE = 2, AFTER = 3, FIXED = 4 };
struct Slot {
  int64_t kind, index;
};

// Gates that follow each other and whose products with h go to one place: from gate `column` of
// h_gates on or, where that is -1, to what is there of x. panel: where their weight begins.
struct Run {
  int64_t first, count, column, panel;
};

typedef void (*Pointwise)(int64_t rows, int64_t hidden, float *const *arguments,
                          const int64_t *strides, float *scratch);

struct Inference {
  int64_t steps, batch, input, hidden, gates, separate, threads, runs, slots, leaves, scratch;
  int64_t reverse;             // whether rows of one length are read from their end
  // All null where every row has all steps.
  const int32_t *running;      // [steps]
  const int64_t *offset;       // [steps]
  const int64_t *cuts;         // [threads + 1], rows of the batch that each thread runs
  const int32_t *batch_index;  // [N], the row of the batch that a packed row came from
  const int32_t *time_index;   // [N], and its time
  const int64_t *order;        // [batch], which rows those are that were sorted; null: as they stand
  const float *x;
  int64_t x_batch_stride, x_time_stride;
  float *outputs;
  int64_t output_batch_stride, output_time_stride;
  const float *const *initial; // [leaves], [batch, hidden] each; null: zeros
  float *const *final;         // the same; null: not wanted
  Weight weight_x, weight_h;
  const float *bias, *bias_h;  // [gates, hidden] and [separate, hidden], which may be null
  const Run *run;
  const Slot *slot;
  float *const *fixed;
  Pointwise pointwise;
  Team team;
};
}

namespace {

// So many rows of x are multiplied at once: enough that its weight is rarely read again, and few
// enough that the products are still in cache when the loop comes to them.
constexpr int64_t BLOCK = 4 * TILE_ROWS;

// The rows of one thread over time.
template <class Products>
struct Loop {
  Loop(const Inference &c, int64_t thread)
      : c(c), h(c.hidden), first(c.cuts ? c.cuts[thread] : 0),
        count((c.cuts ? c.cuts[thread + 1] : c.batch) - first),
        block(std::min<int64_t>(BLOCK, c.steps * count) + count),
        x_rows(c.weight_x, block, c.input, h), h_rows(c.weight_h, count, h, h),
        x_gates(block * c.gates * h), h_gates(count * c.separate * h),
        leaves(2 * c.leaves * count * h), scratch(c.scratch * h), arguments(c.slots),
        strides(c.slots) {}

  void run() {
    for (int64_t k = 0; k < c.leaves; k++)
      for (int64_t r = 0; r < count; r++)
        if (c.initial)
          std::memcpy(leaf(k, 0) + r * h, c.initial[k] + place(r) * h, sizeof(float) * h);
        else
          std::memset(leaf(k, 0) + r * h, 0, sizeof(float) * h);
    finish(running(0), count, 0);
    for (int64_t t = 0; t < c.steps && running(t); t++) {
      if (t == block_end) multiply_inputs(t);
      step(t);
      finish(running(t + 1), running(t), (t + 1) % 2);
    }
  }

 private:
  int64_t running(int64_t t) const {
    if (t == c.steps) return 0;
    if (!c.running) return count;
    return std::max<int64_t>(0, std::min<int64_t>(c.running[t] - first, count));
  }
  int64_t place(int64_t r) const { return c.order ? c.order[first + r] : first + r; }
  // Row r of step t, among the rows of the batch, and its time there.
  int64_t row(int64_t t, int64_t r) const {
    return c.batch_index ? c.batch_index[c.offset[t] + first + r] : first + r;
  }
  int64_t time(int64_t t, int64_t r) const {
    if (c.time_index) return c.time_index[c.offset[t] + first + r];
    return c.reverse ? c.steps - 1 - t : t;
  }
  // A leaf of the state: what was in one half is computed anew into the other.
  float *leaf(int64_t k, int64_t half) { return leaves.data + (half * c.leaves + k) * count * h; }

  // The final states of rows that have ended.
  void finish(int64_t begin, int64_t end, int64_t half) {
    for (int64_t k = 0; c.final && k < c.leaves; k++)
      for (int64_t r = begin; r < end; r++)
        std::memcpy(c.final[k] + place(r) * h, leaf(k, half) + r * h, sizeof(float) * h);
  }

  // The products of some steps' inputs, from t on.
  void multiply_inputs(int64_t t) {
    int64_t rows = 0;
    for (block_end = t; block_end < c.steps && rows < BLOCK; block_end++)
      for (int64_t r = 0, some = running(block_end); r < some; r++)
        x_rows.take(rows++, c.x + row(block_end, r) * c.x_batch_stride +
                                time(block_end, r) * c.x_time_stride);
    block_row = 0;
    x_rows.multiply(rows, {0, c.gates, 0, 0}, {x_gates.data, c.gates * h, false, c.bias});
  }

  void step(int64_t t) {
    const int64_t rows = running(t), half = t % 2;
    float *gates = x_gates.data + block_row * c.gates * h;
    block_row += rows;
    for (int64_t r = 0; r < rows; r++) h_rows.take(r, leaf(0, half) + r * h);
    for (int64_t i = 0; i < c.runs; i++) {
      const Run &run = c.run[i];
      const int64_t at = run.column * h;
      h_rows.multiply(rows, run,
                      run.column < 0
                          ? Target{gates + run.first * h, c.gates * h, true, nullptr}
                          : Target{h_gates.data + at, c.separate * h, false,
                                   c.bias_h ? c.bias_h + at : nullptr});
    }
    for (int64_t i = 0; i < c.slots; i++) {
      const Slot &slot = c.slot[i];
      strides[i] = h;
      switch (slot.kind) {
        case X_GATES: arguments[i] = gates + slot.index * h; strides[i] = c.gates * h; break;
        case H_GATES:
          arguments[i] = h_gates.data + slot.index * h;
          strides[i] = c.separate * h;
          break;
        case BEFORE: arguments[i] = leaf(slot.index, half); break;
        case AFTER: arguments[i] = leaf(slot.index, 1 - half); break;
        case FIXED: arguments[i] = c.fixed[slot.index]; strides[i] = 0; break;
      }
    }
    c.pointwise(rows, h, arguments.data(), strides.data(), scratch.data);
    for (int64_t r = 0; r < rows; r++)
      std::memcpy(c.outputs + row(t, r) * c.output_batch_stride + time(t, r) * c.output_time_stride,
                  leaf(0, 1 - half) + r * h, sizeof(float) * h);
  }

  const Inference &c;
  const int64_t h, first, count, block;
  int64_t block_end = 0, block_row = 0;
  Products x_rows, h_rows;
  Buffer x_gates, h_gates, leaves, scratch;
  std::vector<float *> arguments;
  std::vector<int64_t> strides;
};

template <class Products>
int infer(const Inference &c) {
  try {
    return in_parallel(c.team, c.threads, [&](int64_t i) { Loop<Products>(c, i).run(); }) ? 0 : 1;
  } catch (const std::bad_alloc &) {
    return 1;
  }
}

}  // namespace
