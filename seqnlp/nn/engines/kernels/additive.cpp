// score = v . tanh(q + k) of every query of a row with every real position, and its gradients.
// The hidden layer, as large as all keys for each query, exists in registers alone: backward
// computes it again, which takes less than to fetch it would.
#include "product.h"
#include "pointwise.h"

extern "C" {
struct Call {
  int64_t rows, queries, positions, size, threads;
  Team team;
  const REAL *q, *k, *vector;      // [rows, queries, size], [rows, positions, size], [size]
  const uint8_t *mask;             // [rows, positions], 0 where nothing is computed
  REAL *scores;                    // [rows, queries, positions]; backward: their gradient
  REAL *d_q, *d_k, *d_vector;      // backward only; the last one [threads, size], sums of rows
};
}

namespace {

void forward_row(const Call &c, int64_t row) {
  const REAL *key = c.k + row * c.positions * c.size;
  for (int64_t s = 0; s < c.positions; s++, key += c.size) {
    const REAL *query = c.q + row * c.queries * c.size;
    REAL *to = c.scores + row * c.queries * c.positions + s;
    const bool real = c.mask[row * c.positions + s];
    for (int64_t n = 0; n < c.queries; n++, query += c.size, to += c.positions) {
      REAL sum = 0;
      if (real)
#pragma omp simd reduction(+ : sum)
        for (int64_t a = 0; a < c.size; a++) sum += c.vector[a] * hyperbolic_tangent(query[a] + key[a]);
      *to = sum;
    }
  }
}

void backward_row(const Call &c, int64_t row, REAL *part) {
  REAL *d_q = c.d_q + row * c.queries * c.size, *d_key = c.d_k + row * c.positions * c.size;
  const REAL *key = c.k + row * c.positions * c.size;
  std::fill(d_q, d_q + c.queries * c.size, REAL(0));
  std::fill(d_key, d_key + c.positions * c.size, REAL(0));
  for (int64_t s = 0; s < c.positions; s++, key += c.size, d_key += c.size) {
    if (!c.mask[row * c.positions + s]) continue;
    const REAL *query = c.q + row * c.queries * c.size;
    const REAL *g = c.scores + row * c.queries * c.positions + s;
    REAL *d_query = d_q;
    for (int64_t n = 0; n < c.queries; n++, query += c.size, d_query += c.size) {
      const REAL own = g[n * c.positions];
#pragma omp simd
      for (int64_t a = 0; a < c.size; a++) {
        const REAL hidden = hyperbolic_tangent(query[a] + key[a]);
        const REAL back = own * c.vector[a] * (1 - hidden * hidden);
        part[a] += own * hidden;
        d_query[a] += back;
        d_key[a] += back;
      }
    }
  }
}

bool forward(const Call &c) {
  return in_parallel(c.team, c.threads, [&](int64_t i) {
    const int64_t last = share(c.rows, i + 1, c.threads);
    for (int64_t row = share(c.rows, i, c.threads); row < last; row++) forward_row(c, row);
  });
}

bool backward(const Call &c) {
  return in_parallel(c.team, c.threads, [&](int64_t i) {
    REAL *sum = c.d_vector + i * c.size;
    std::fill(sum, sum + c.size, REAL(0));
    // In two stages, so that a sum over many rows keeps its digits.
    Buffer part(c.size);
    const int64_t last = share(c.rows, i + 1, c.threads);
    for (int64_t row = share(c.rows, i, c.threads); row < last; row++) {
      std::fill(part.data, part.data + c.size, REAL(0));
      backward_row(c, row, part.data);
      for (int64_t a = 0; a < c.size; a++) sum[a] += part.data[a];
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
