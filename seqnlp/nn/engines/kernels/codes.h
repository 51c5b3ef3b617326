// Products of int8 codes: rows that are quantized here, by weights that were quantized before.
#include "product.h"
#include <cmath>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// [gates, panels, groups, PANEL, GROUP], zero where rows or columns are filled up; and of each row
// its scale and the sum of its codes, [gates, panels * PANEL].
struct Weight {
  const int8_t *codes;
  const float *scales;
  const int32_t *sums;
};

namespace {

constexpr int PANEL = 16, GROUP = 4;

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
    // As bits, which order sizes as numbers do, infinity and then NaN last. Not by a sum of products
    // with zero: under -fno-signed-zeros GCC drops those where it makes them FMAs of vectors.
    int32_t bits = 0;
#pragma omp simd reduction(max : bits)
    for (int64_t k = 0; k < columns; k++) {
      int32_t size;
      std::memcpy(&size, from + k, sizeof size);
      size &= INT32_MAX;
      bits = size > bits ? size : bits;
    }
    float most;
    std::memcpy(&most, &bits, sizeof most);
    const bool finite = most < INFINITY;
    const float inverse = finite && most > SMALLEST ? 127 / most : 0;
    scales[i] = finite ? most / 127 : NAN;
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
void multiply_gate(int64_t rows, const Codes &a, const Weight &w, int64_t gate, int64_t hidden,
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

}  // namespace
