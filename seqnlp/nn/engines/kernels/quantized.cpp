// The loop over time of a gated cell with int8 weights, for inference.
//
// A weight was quantized once, with one scale for each of its rows; a row of x or of the state is
// quantized here, with a scale of its own, when its turn comes. Both are symmetric, codes from -127
// to 127, so that zero stays zero and products are exact in int32: every processor has the same.
// The pointwise part is the float one of the other loop; see recurrence.cpp for how rows are packed.
#include "codes.h"

extern "C" {

// What an argument of the pointwise function is, and which of them: a gate of x_gates or h_gates,
// a leaf before or after the step, or one of `fixed`.
enum Kind : int64_t { X_GATES = 0, H_GATES = 1, BEFORE = 2, AFTER = 3, FIXED = 4 };
struct Slot {
  int64_t kind, index;
};

typedef void (*Pointwise)(int64_t rows, int64_t hidden, float *const *arguments,
                          const int64_t *strides, float *scratch);

struct Quantized {
  int64_t steps, batch, input, hidden, gates, separate, threads, slots, leaves, scratch;
  const int32_t *running;      // [steps]
  const int64_t *offset;       // [steps]
  const int64_t *cuts;         // [threads + 1], rows of the batch that each thread runs
  const int32_t *batch_index;  // [N], the row of the batch that a packed row came from
  const int32_t *time_index;   // [N], and its time
  const int64_t *order;        // [batch], which rows those are that were sorted; null: as they stand
  const float *x;
  int64_t x_batch_stride, x_time_stride;
  float *outputs;              // [batch, T, hidden]
  int64_t output_time;         // T
  const float *const *initial; // [leaves], [batch, hidden] each
  float *const *final;         // the same
  Weight weight_x, weight_h;
  const float *bias, *bias_h;  // [gates, hidden]; the second may be null
  const int64_t *apart;        // [gates], its place in h_gates; -1: added to x_gates
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
struct Loop {
  Loop(const Quantized &c, int64_t thread)
      : c(c), h(c.hidden), first(c.cuts[thread]), count(c.cuts[thread + 1] - first),
        x_codes(BLOCK + count, c.input), h_codes(count, h), x_gates((BLOCK + count) * c.gates * h),
        h_gates(count * c.separate * h), leaves(2 * c.leaves * count * h), scratch(c.scratch * h),
        arguments(c.slots), strides(c.slots) {}

  void run() {
    for (int64_t k = 0; k < c.leaves; k++)
      for (int64_t r = 0; r < count; r++)
        std::memcpy(leaf(k, 0) + r * h, c.initial[k] + place(r) * h, sizeof(float) * h);
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
    return std::max<int64_t>(0, std::min<int64_t>(c.running[t] - first, count));
  }
  int64_t place(int64_t r) const { return c.order ? c.order[first + r] : first + r; }
  // A leaf of the state: what was in one half is computed anew into the other.
  float *leaf(int64_t k, int64_t half) { return leaves.data + (half * c.leaves + k) * count * h; }

  // The final states of rows that have ended.
  void finish(int64_t begin, int64_t end, int64_t half) {
    for (int64_t k = 0; k < c.leaves; k++)
      for (int64_t r = begin; r < end; r++)
        std::memcpy(c.final[k] + place(r) * h, leaf(k, half) + r * h, sizeof(float) * h);
  }

  // The products of some steps' inputs, from t on.
  void multiply_inputs(int64_t t) {
    int64_t rows = 0;
    for (block_end = t; block_end < c.steps && rows < BLOCK; block_end++) {
      const int64_t at = c.offset[block_end] + first, some = running(block_end);
      for (int64_t r = 0; r < some; r++)
        x_codes.quantize(rows + r, c.x + c.batch_index[at + r] * c.x_batch_stride +
                                       c.time_index[at + r] * c.x_time_stride);
      rows += some;
    }
    block_row = 0;
    for (int64_t g = 0; g < c.gates; g++)
      multiply(rows, x_codes, c.weight_x, g, h,
               {x_gates.data + g * h, c.gates * h, false, c.bias + g * h});
  }

  void step(int64_t t) {
    const int64_t rows = running(t), half = t % 2;
    float *gates = x_gates.data + block_row * c.gates * h;
    block_row += rows;
    for (int64_t r = 0; r < rows; r++) h_codes.quantize(r, leaf(0, half) + r * h);
    for (int64_t g = 0; g < c.gates; g++) {
      const float *bias = c.bias_h ? c.bias_h + g * h : nullptr;
      const bool added = c.apart[g] < 0;
      const Target to = added ? Target{gates + g * h, c.gates * h, true, bias}
                              : Target{h_gates.data + c.apart[g] * h, c.separate * h, false, bias};
      multiply(rows, h_codes, c.weight_h, g, h, to);
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
    const int64_t at = c.offset[t] + first;
    for (int64_t r = 0; r < rows; r++) {
      const int64_t row = c.batch_index[at + r] * c.output_time + c.time_index[at + r];
      std::memcpy(c.outputs + row * h, leaf(0, 1 - half) + r * h, sizeof(float) * h);
    }
  }

  const Quantized &c;
  const int64_t h, first, count;
  int64_t block_end = 0, block_row = 0;
  Codes x_codes, h_codes;
  Buffer x_gates, h_gates, leaves, scratch;
  std::vector<float *> arguments;
  std::vector<int64_t> strides;
};

}  // namespace

extern "C" int run_quantized(const Quantized *c) {
  try {
    return in_parallel(c->team, c->threads, [&](int64_t i) { Loop(*c, i).run(); }) ? 0 : 1;
  } catch (const std::bad_alloc &) {
    return 1;
  }
}
