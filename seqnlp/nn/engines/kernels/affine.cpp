// y = x W' + b for many rows, and its gradients.
#include "product.h"

extern "C" {
struct Call {
  int64_t rows, input, output, threads;
  Team team;
  const REAL *x, *weight, *bias;  // [rows, input], [output, input], [output] or null
  REAL *y;                        // [rows, output]; backward: its gradient
  REAL *d_x, *d_weight, *d_bias;  // backward only; null where they are not wanted
};
}

namespace {

Rows rows(const REAL *base, int64_t width) { return {const_cast<REAL *>(base), width}; }

void add(REAL *to, const REAL *from, int64_t count) {
#pragma omp simd
  for (int64_t j = 0; j < count; j++) to[j] += from[j];
}

bool forward(const Call &c) {
  return in_parallel(c.team, c.threads, [&](int64_t i) {
    product(share(c.rows, i, c.threads), share(c.rows, i + 1, c.threads), c.output, c.input,
            {rows(c.x, c.input), false}, {rows(c.weight, c.input), true}, rows(c.y, c.output),
            c.bias ? Start::BIAS : Start::ZERO, c.bias);
  });
}

bool backward(const Call &c) {
  const int64_t n = c.threads;
  const Rows y = rows(c.y, c.output);
  return in_parallel(c.team, n, [&](int64_t i) {
    if (c.d_x)
      product(share(c.rows, i, n), share(c.rows, i + 1, n), c.input, c.output, {y, false},
              {rows(c.weight, c.input), false}, rows(c.d_x, c.input), Start::ZERO, nullptr);
    const int64_t first = share(c.output, i, n), last = share(c.output, i + 1, n);
    if (c.d_weight)
      product(first, last, c.input, c.rows, {y, true}, {rows(c.x, c.input), false},
              rows(c.d_weight, c.input), Start::ZERO, nullptr);
    if (!c.d_bias) return;
    std::fill(c.d_bias + first, c.d_bias + last, REAL(0));
    std::vector<REAL> some(last - first);
    for (int64_t k = 0; k < c.rows; k += 128) {
      // In two stages, so that a sum of many rows keeps its digits.
      std::fill(some.begin(), some.end(), REAL(0));
      for (int64_t r = k; r < std::min(k + 128, c.rows); r++)
        add(some.data(), c.y + r * c.output + first, last - first);
      add(c.d_bias + first, some.data(), last - first);
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
