// The loop over time of a gated cell with int8 weights, for inference.
//
// A weight was quantized once, with one scale for each of its rows; a row of x or of the state is
// quantized here, with a scale of its own, when its turn comes. Both are symmetric, codes from -127
// to 127, so that zero stays zero and products are exact in int32: every processor has the same.
// The pointwise part is the float one of the other loop; see recurrence.cpp for how rows are packed.
#include "product.h"
#include <cmath>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

extern "C" {

// [gates, panels, groups, PANEL, GROUP], zero where rows or columns are filled up; and of each row
// its scale and the sum of its codes, [gates, panels * PANEL].
struct Weight {
  const int8_t *codes;
  const float *scales;
  const int32_t *sums;
};

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

constexpr int PANEL = 16, GROUP = 4;
// So many rows of x are multiplied at once: enough that its weight is rarely read again, and few
// enough that the products are still in cache when the loop comes to them.
constexpr int64_t BLOCK = 4 * TILE_ROWS;

// Add to each of a panel's sums the products of GROUP codes of a row, `a`, with GROUP of its own.
#if defined(__AVX512VNNI__)
constexpr int PARTS = 1, SHIFT = 128;  // the instruction takes `a` unsigned
typedef int32_t Sums __attribute__((vector_size(64)));
inline Sums dot(Sums sum, const int8_t *w, int32_t a) {
  return (Sums)_mm512_dpbusd_epi32((__m512i)sum, _mm512_set1_epi32(a), _mm512_loadu_si512(w));
}
#elif defined(__AVXVNNI__)
constexpr int PARTS = 2, SHIFT = 128;
typedef int32_t Sums __attribute__((vector_size(32)));
inline Sums dot(Sums sum, const int8_t *w, int32_t a) {
  const __m256i codes = _mm256_loadu_si256((const __m256i *)w);
  return (Sums)_mm256_dpbusd_avx_epi32((__m256i)sum, _mm256_set1_epi32(a), codes);
}
#elif defined(__AVX2__)
// |a| times w with the sign of a: two products add up to 2 * 127 * 127 at most, which 16 bits hold.
constexpr int PARTS = 2, SHIFT = 0;
typedef int32_t Sums __attribute__((vector_size(32)));
inline Sums dot(Sums sum, const int8_t *w, int32_t a) {
  const __m256i four = _mm256_set1_epi32(a);
  const __m256i codes = _mm256_sign_epi8(_mm256_loadu_si256((const __m256i *)w), four);
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(four), codes);
  return sum + (Sums)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
#else
constexpr int PARTS = 4, SHIFT = 0;
typedef int32_t Sums __attribute__((vector_size(16)));
inline Sums dot(Sums sum, const int8_t *w, int32_t a) {
  int8_t codes[GROUP];
  std::memcpy(codes, &a, sizeof codes);
  for (int j = 0; j < PANEL / PARTS; j++)
    for (int k = 0; k < GROUP; k++) sum[j] += codes[k] * w[j * GROUP + k];
  return sum;
}
#endif
constexpr int WIDTH = PANEL / PARTS;
typedef float Floats __attribute__((vector_size(sizeof(Sums)), aligned(sizeof(float))));
typedef int32_t Numbers __attribute__((vector_size(sizeof(Sums)), aligned(sizeof(float))));

int64_t groups_of(int64_t columns) { return (columns + GROUP - 1) / GROUP; }

// Quantized rows.
struct Codes {
  Codes(int64_t rows, int64_t columns)
      : columns(columns), stride(groups_of(columns) * GROUP), codes(rows * stride), scales(rows) {}

  // Row i from numbers. What is not finite makes the scale NaN, and with it all that follows.
  void quantize(int64_t i, const float *from) {
    float most = 0, poison = 0;
#pragma omp simd reduction(max : most) reduction(+ : poison)
    for (int64_t k = 0; k < columns; k++) {
      const float size = std::fabs(from[k]);
      most = size > most ? size : most;
      poison += from[k] * 0;
    }
    const float inverse = most > SMALLEST && poison == 0 ? 127 / most : 0;
    scales[i] = most / 127 + poison;
    int8_t *to = codes.data() + i * stride;
#pragma omp simd
    for (int64_t k = 0; k < columns; k++) {
      const float code = std::rint(inverse * from[k]);
      to[k] = int8_t(int32_t(code > -127 ? code : -127.f) ^ SHIFT);
    }
  }

  static constexpr float SMALLEST = 1e-30f;  // below, 127 / most may be infinite
  const int64_t columns, stride;
  std::vector<int8_t> codes;
  std::vector<float> scales;
};

// What becomes of a product: to = (old) + (bias) + product.
struct Target {
  float *base;
  int64_t stride;
  bool added;
  const float *bias;
};

// M rows by one panel, of which `width` rows are real.
template <int M>
void tile(const Codes &a, int64_t row, const Weight &w, int64_t panel, const Target &to,
          int64_t width) {
  // As many sums at a time as keep the multiplier busy.
  constexpr int CHAINS = M == 1 ? 4 : M < 4 ? 2 : 1;
  const int64_t groups = groups_of(a.columns);
  const int8_t *codes = w.codes + panel * groups * PANEL * GROUP;
  const int8_t *rows = a.codes.data() + row * a.stride;
  Sums sum[CHAINS][M][PARTS] = {};
  const auto add = [&](int64_t k, int chain) {
#pragma GCC unroll 16
    for (int r = 0; r < M; r++) {
      int32_t four;
      std::memcpy(&four, rows + r * a.stride + k * GROUP, sizeof four);
#pragma GCC unroll 4
      for (int p = 0; p < PARTS; p++)
        sum[chain][r][p] =
            dot(sum[chain][r][p], codes + (k * PANEL + p * WIDTH) * GROUP, four);
    }
  };
  int64_t k = 0;
  for (; k + CHAINS <= groups; k += CHAINS) {
#pragma GCC unroll 4
    for (int chain = 0; chain < CHAINS; chain++) add(k + chain, chain);
  }
  for (; k < groups; k++) add(k, 0);
  for (int r = 0; r < M; r++) {
    float value[PANEL];
    for (int p = 0; p < PARTS; p++) {
      Sums total = sum[0][r][p];
      for (int chain = 1; chain < CHAINS; chain++) total += sum[chain][r][p];
      const int64_t at = panel * PANEL + p * WIDTH;
      total -= SHIFT * *(const Numbers *)(w.sums + at);
      const Floats scales = *(const Floats *)(w.scales + at) * a.scales[row + r];
      *(Floats *)(value + p * WIDTH) = __builtin_convertvector(total, Floats) * scales;
    }
    float *out = to.base + r * to.stride;
    const int64_t count = width < PANEL ? width : PANEL;
    for (int64_t j = 0; j < count; j++)
      out[j] = (to.added ? out[j] : 0) + (to.bias ? to.bias[j] : 0) + value[j];
  }
}

void any_tile(int64_t rows, const Codes &a, int64_t row, const Weight &w, int64_t panel,
              const Target &to, int64_t width) {
  switch (rows) {
#define CASE(M) \
  case M: return tile<M>(a, row, w, panel, to, width);
    CASE(1) CASE(2) CASE(3) CASE(4)
#ifdef __AVX512F__
    CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#endif
#undef CASE
  }
}

// Rows by the rows of one gate.
void multiply(int64_t rows, const Codes &a, const Weight &w, int64_t gate, int64_t hidden,
              const Target &to) {
  const int64_t panels = (hidden + PANEL - 1) / PANEL;
  for (int64_t p = 0; p < panels; p++)
    for (int64_t i = 0; i < rows; i += TILE_ROWS) {
      const Target part{to.base + i * to.stride + p * PANEL, to.stride, to.added,
                        to.bias ? to.bias + p * PANEL : nullptr};
      any_tile(std::min<int64_t>(TILE_ROWS, rows - i), a, i, w, gate * panels + p, part,
               hidden - p * PANEL);
    }
}

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
