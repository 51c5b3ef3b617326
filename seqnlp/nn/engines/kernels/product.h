// Matrix products of the recurrence, for REAL (float or double).
//
// Why our own: a step multiplies 1 to 64 rows by a matrix that stays in cache. Packed once for the
// whole sequence, it is read at the speed of the arithmetic; a library would pack it, or not, anew
// at every step.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>
#include "team.h"

#ifdef __AVX512F__
constexpr int VECTOR_BYTES = 64, TILE_ROWS = 12;
#else
constexpr int VECTOR_BYTES = 32, TILE_ROWS = 4;
#endif
constexpr int LANES = VECTOR_BYTES / sizeof(REAL);
constexpr int TILE_VECTORS = 2;
constexpr int TILE_COLUMNS = TILE_VECTORS * LANES;
// Blocks of the large products: a packed block of B and the rows of A that it meets stay in the
// second-level cache.
constexpr int64_t BLOCK_DEPTH = 512, BLOCK_COLUMNS = 8 * TILE_COLUMNS, BLOCK_ROWS = 8 * TILE_ROWS;

typedef REAL Vector __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL))));

// Memory without initialization, freed at the end of a scope.
struct Buffer {
  explicit Buffer(int64_t count)
      : data(static_cast<REAL *>(std::malloc(sizeof(REAL) * std::max<int64_t>(count, 1)))) {
    if (!data) throw std::bad_alloc();
  }
  ~Buffer() { std::free(data); }
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  REAL *data;
};

// Rows in memory: evenly spaced or, with an index, row i at (batch[i], time[i]).
struct Rows {
  REAL *base;
  int64_t stride;
  const int32_t *batch = nullptr;
  const int32_t *time = nullptr;
  int64_t time_stride = 0;
  REAL *at(int64_t i) const {
    if (!batch) return base + i * stride;
    return base + batch[i] * stride + (time ? time[i] * time_stride : 0);
  }
};

// Transpose a square block in registers: the columns of log2(LANES) perfect shuffles of its rows.
static inline void transpose(Vector *rows) {
#ifdef __clang__
  REAL block[LANES][LANES];
  for (int i = 0; i < LANES; i++)
    for (int k = 0; k < LANES; k++) block[k][i] = rows[i][k];
  for (int i = 0; i < LANES; i++) rows[i] = *(const Vector *)block[i];
#else
  using Index = std::conditional_t<sizeof(REAL) == 4, int32_t, int64_t>;
  typedef Index Order __attribute__((vector_size(VECTOR_BYTES)));
  Order low, high;
  for (int i = 0; i < LANES; i++) low[i] = i / 2 + (i % 2) * LANES;
  high = low + LANES / 2;
  for (int stage = 1; stage < LANES; stage *= 2) {
    Vector shuffled[LANES];
    for (int i = 0; i < LANES / 2; i++) {
      shuffled[2 * i] = __builtin_shuffle(rows[i], rows[i + LANES / 2], low);
      shuffled[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + LANES / 2], high);
    }
    std::memcpy(rows, shuffled, sizeof shuffled);
  }
#endif
}

// What the sum in a tile starts from.
enum class Start { ZERO, BIAS, OLD };

// C[M, TILE_COLUMNS] of M rows of A and one packed panel of B. Element (r, k) of A is
// a[r * step + k] or, of a transposed A, a[k * step + r].
// LATE adds what the sum starts from at its end: added to a large sum one by one, the small terms
// of the next block would be lost.
template <int M, bool TRANSPOSED, bool LATE>
static void tile(int64_t depth, const REAL *a, int64_t step, const REAL *b, REAL *const *c,
                 int64_t width, Start start, const REAL *bias) {
  Vector sum[M][TILE_VECTORS];
  REAL edge[TILE_COLUMNS] = {};
  const bool whole = width == TILE_COLUMNS;
  for (int r = 0; r < M; r++) {
    const REAL *from = start == Start::BIAS ? bias : c[r];
    if (!LATE && start != Start::ZERO && !whole) {
      std::memcpy(edge, from, sizeof(REAL) * width);
      from = edge;
    }
    for (int v = 0; v < TILE_VECTORS; v++)
      sum[r][v] = LATE || start == Start::ZERO ? Vector{} : *(const Vector *)(from + v * LANES);
  }
  for (int r = 0; LATE && r < M; r++)
    for (int64_t v = 0; v < width; v += LANES) __builtin_prefetch(c[r] + v, 1);
  for (int64_t k = 0; k < depth; k++) {
    Vector panel[TILE_VECTORS];
    for (int v = 0; v < TILE_VECTORS; v++)
      panel[v] = *(const Vector *)(b + k * TILE_COLUMNS + v * LANES);
#pragma GCC unroll 16
    for (int r = 0; r < M; r++) {
      const Vector value = (TRANSPOSED ? a[k * step + r] : a[r * step + k]) - Vector{};
#pragma GCC unroll 4
      for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] += value * panel[v];
    }
  }
  for (int r = 0; r < M; r++) {
    REAL *to = whole ? c[r] : edge;
    if (LATE && start != Start::ZERO) {
      const REAL *from = start == Start::BIAS ? bias : c[r];
      if (!whole) from = static_cast<const REAL *>(std::memcpy(edge, from, sizeof(REAL) * width));
      for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] += *(const Vector *)(from + v * LANES);
    }
    for (int v = 0; v < TILE_VECTORS; v++) *(Vector *)(to + v * LANES) = sum[r][v];
    if (!whole) std::memcpy(c[r], edge, sizeof(REAL) * width);
  }
}

template <bool TRANSPOSED, bool LATE>
static void any_tile(int64_t rows, int64_t depth, const REAL *a, int64_t step, const REAL *b,
                     REAL *const *c, int64_t width, Start start, const REAL *bias) {
  switch (rows) {
#define CASE(M) \
  case M: return tile<M, TRANSPOSED, LATE>(depth, a, step, b, c, width, start, bias);
    CASE(1) CASE(2) CASE(3) CASE(4)
#ifdef __AVX512F__
    CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#endif
#undef CASE
  }
}

// The same of M whole rows and P panels that follow each other: a few rows alone would wait for each
// sum of a panel before they could add to it again.
template <int M, int P>
static void wide_tile(int64_t depth, const REAL *a, int64_t step, const REAL *b, REAL *c,
                      int64_t c_stride, Start start, const REAL *bias) {
  Vector sum[M][P][TILE_VECTORS];
  for (int r = 0; r < M; r++)
    for (int p = 0; p < P; p++)
      for (int v = 0; v < TILE_VECTORS; v++) {
        const int64_t at = p * TILE_COLUMNS + v * LANES;
        sum[r][p][v] = start == Start::ZERO ? Vector{}
                                            : *(const Vector *)((start == Start::BIAS
                                                                     ? bias
                                                                     : c + r * c_stride) + at);
      }
  for (int64_t k = 0; k < depth; k++)
#pragma GCC unroll 4
    for (int p = 0; p < P; p++)
#pragma GCC unroll 4
      for (int v = 0; v < TILE_VECTORS; v++) {
        const Vector panel = *(const Vector *)(b + (p * depth + k) * TILE_COLUMNS + v * LANES);
#pragma GCC unroll 4
        for (int r = 0; r < M; r++) sum[r][p][v] += (a[r * step + k] - Vector{}) * panel;
      }
  for (int r = 0; r < M; r++)
    for (int p = 0; p < P; p++)
      for (int v = 0; v < TILE_VECTORS; v++)
        *(Vector *)(c + r * c_stride + p * TILE_COLUMNS + v * LANES) = sum[r][p][v];
}

// What becomes of a product: to = (old) + (bias) + product.
struct Target {
  REAL *base;
  int64_t stride;
  bool added;
  const REAL *bias;
};

static inline int64_t panels(int64_t columns) { return (columns + TILE_COLUMNS - 1) / TILE_COLUMNS; }

// An operand of a product: rows, or their transpose.
struct Operand {
  Rows rows;
  bool transposed;
};

// Pack B[first, first + depth) x [column, column + columns) in panels [depth][TILE_COLUMNS], the
// last one filled up with zeros.
static void pack_columns(const Operand &b, int64_t first, int64_t depth, int64_t column,
                         int64_t columns, REAL *to) {
  for (int64_t j = 0; j < columns; j += TILE_COLUMNS, to += depth * TILE_COLUMNS) {
    const int64_t width = std::min<int64_t>(TILE_COLUMNS, columns - j);
    if (width < TILE_COLUMNS) std::memset(to, 0, sizeof(REAL) * depth * TILE_COLUMNS);
    if (!b.transposed && width == TILE_COLUMNS) {  // a size that is known is one or two moves
      for (int64_t k = 0; k < depth; k++)
        std::memcpy(to + k * TILE_COLUMNS, b.rows.at(first + k) + column + j,
                    sizeof(REAL) * TILE_COLUMNS);
      continue;
    }
    if (!b.transposed) {
      for (int64_t k = 0; k < depth; k++)
        std::memcpy(to + k * TILE_COLUMNS, b.rows.at(first + k) + column + j, sizeof(REAL) * width);
      continue;
    }
    for (int64_t n = 0; n < width; n += LANES) {
      const int64_t some = std::min<int64_t>(LANES, width - n);
      const REAL *from[LANES];
      for (int64_t i = 0; i < some; i++) from[i] = b.rows.at(column + j + n + i) + first;
      int64_t k = 0;
      for (; some == LANES && k + LANES <= depth; k += LANES) {
        Vector block[LANES];
        for (int i = 0; i < LANES; i++) block[i] = *(const Vector *)(from[i] + k);
        transpose(block);
        for (int i = 0; i < LANES; i++) *(Vector *)(to + (k + i) * TILE_COLUMNS + n) = block[i];
      }
      for (; k < depth; k++)
        for (int64_t i = 0; i < some; i++) to[k * TILE_COLUMNS + n + i] = from[i][k];
    }
  }
}

// Pack the transpose A[row, row + rows) x [first, first + depth) in panels [depth][TILE_ROWS].
static void pack_transposed(const Rows &a, int64_t first, int64_t depth, int64_t row, int64_t rows,
                            REAL *to) {
  const int64_t whole = rows / TILE_ROWS, rest = rows % TILE_ROWS;
  for (int64_t k = 0; k < depth; k++) {
    const REAL *from = a.at(first + k) + row;
    REAL *at = to + k * TILE_ROWS;
    for (int64_t i = 0; i < whole; i++, from += TILE_ROWS, at += depth * TILE_ROWS)
      std::memcpy(at, from, sizeof(REAL) * TILE_ROWS);
    if (rest) std::memcpy(at, from, sizeof(REAL) * rest);
  }
}

// C[begin, end) x columns = start + A B, a large product on one thread.
static void product(int64_t begin, int64_t end, int64_t columns, int64_t depth, const Operand &a,
                    const Operand &b, const Rows &c, Start start, const REAL *bias) {
  if (depth == 0 && start != Start::OLD) {
    for (int64_t i = begin; i < end; i++)
      for (int64_t j = 0; j < columns; j++) c.at(i)[j] = start == Start::BIAS ? bias[j] : 0;
    return;
  }
  const int64_t widest = std::min(BLOCK_COLUMNS, panels(columns) * TILE_COLUMNS);
  const int64_t deepest = std::min(BLOCK_DEPTH, depth);
  // Rows that lie evenly are read where they are, others are brought together.
  const bool gathered = !a.transposed && a.rows.batch;
  Buffer packed_b(widest * deepest);
  Buffer packed_a(a.transposed || gathered ? BLOCK_ROWS * deepest : 0);
  REAL *to[TILE_ROWS];
  for (int64_t j0 = 0; j0 < columns; j0 += BLOCK_COLUMNS) {
    const int64_t width = std::min(BLOCK_COLUMNS, columns - j0);
    for (int64_t k0 = 0; k0 < depth; k0 += BLOCK_DEPTH) {
      const int64_t deep = std::min(BLOCK_DEPTH, depth - k0);
      const Start from = k0 == 0 ? start : Start::OLD;
      pack_columns(b, k0, deep, j0, width, packed_b.data);
      for (int64_t i0 = begin; i0 < end; i0 += BLOCK_ROWS) {
        const int64_t high = std::min(BLOCK_ROWS, end - i0);
        const REAL *rows_of_a = packed_a.data;
        int64_t stride = deep;
        if (a.transposed) {
          pack_transposed(a.rows, k0, deep, i0, high, packed_a.data);
        } else if (gathered) {
          for (int64_t r = 0; r < high; r++)
            std::memcpy(packed_a.data + r * deep, a.rows.at(i0 + r) + k0, sizeof(REAL) * deep);
        } else {
          rows_of_a = a.rows.at(i0) + k0;
          stride = a.rows.stride;
        }
        for (int64_t j = 0; j < width; j += TILE_COLUMNS)
          for (int64_t i = 0; i < high; i += TILE_ROWS) {
            const int64_t some = std::min<int64_t>(TILE_ROWS, high - i);
            const int64_t across = std::min<int64_t>(TILE_COLUMNS, width - j);
            const REAL *panel = packed_b.data + j * deep;
            const REAL *edge = bias ? bias + j0 + j : nullptr;
            for (int64_t r = 0; r < some; r++) to[r] = c.at(i0 + i + r) + j0 + j;
            if (a.transposed)
              any_tile<true, true>(some, deep, rows_of_a + i * deep, TILE_ROWS, panel, to, across,
                                   from, edge);
            else
              any_tile<false, true>(some, deep, rows_of_a + i * stride, stride, panel, to, across,
                                    from, edge);
          }
      }
    }
  }
}

template <int N>
using Number = std::integral_constant<int, N>;

// C[rows, columns] = start + A B with B packed whole, a few rows that lie evenly: one step.
static void step_product(int64_t rows, int64_t columns, int64_t depth, const REAL *a,
                         int64_t a_stride, const REAL *packed, REAL *c, int64_t c_stride,
                         Start start, const REAL *bias) {
  const int64_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
  if (tiles == 0) return;
  const int64_t high = (rows + tiles - 1) / tiles;  // of equal height: 13 rows are 7 and 6
  REAL *to[TILE_ROWS];
  int64_t first = 0;
  const auto wide = [&](auto m, auto p) {
    constexpr int64_t M = decltype(m)::value, P = decltype(p)::value;
    for (; first + P * TILE_COLUMNS <= columns; first += P * TILE_COLUMNS) {
      wide_tile<M, P>(depth, a, a_stride, packed, c + first, c_stride, start,
                      bias ? bias + first : nullptr);
      packed += depth * P * TILE_COLUMNS;
    }
  };
  if (rows == 1) wide(Number<1>(), Number<4>());
  if (rows == 2) wide(Number<2>(), Number<2>());
  for (int64_t j = first; j < columns; j += TILE_COLUMNS, packed += depth * TILE_COLUMNS)
    for (int64_t i = 0; i < rows; i += high) {
      const int64_t some = std::min(high, rows - i);
      for (int64_t r = 0; r < some; r++) to[r] = c + (i + r) * c_stride + j;
      any_tile<false, false>(
          some, depth, a + i * a_stride, a_stride, packed, to,
          std::min<int64_t>(TILE_COLUMNS, columns - j), start, bias ? bias + j : nullptr);
    }
}

// The part of `count` rows that falls to one of `shares`, in whole tiles.
static inline int64_t share(int64_t count, int64_t index, int64_t shares) {
  const int64_t tiles = (count + TILE_ROWS - 1) / TILE_ROWS;
  return std::min(count, tiles * index / shares * TILE_ROWS);
}
