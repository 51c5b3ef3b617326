// The cross-entropy of softmax(x W' + b) and its gradients, a chunk of rows at a time: the logits of
// a chunk become their own gradient in place, and no more of them than that ever exist.
//
// Rows are shared among the threads, and of the gradients of weight and bias the classes are: each
// number is summed by one thread in one order, so that results do not depend on how many there are.
#include "product.h"
#include "pointwise.h"

extern "C" {
struct Call {
  int64_t rows, input, classes, chunk, threads;
  Team team;
  const REAL *x, *weight, *bias;  // [rows, input], [classes, input], [classes] or null
  const int64_t *targets;         // [rows], each below `classes`
  double smoothing;
  const double *factors;               // [rows, 2] of log p and of its mean over the classes, or null
  REAL *logits;                        // [chunk, classes], scratch
  double *losses, *means;              // [rows]; means may be null
  REAL *d_x, *d_weight, *d_bias;       // null where they are not wanted
};
}

namespace {

// Columns and rows that are summed apart, so that sums of many keep their digits.
constexpr int64_t STAGE = 512, ROW_STAGE = 128;

Rows rows(const REAL *base, int64_t width) { return {const_cast<REAL *>(base), width}; }

// -(a log p + b mean log p) of a row of logits, which becomes its gradient if that is wanted.
double finish(REAL *z, int64_t classes, int64_t target, double a, double b, bool gradient,
              double *mean) {
  REAL most = z[0];
#pragma omp simd reduction(max : most)
  for (int64_t j = 0; j < classes; j++) most = z[j] > most ? z[j] : most;
  const double wanted = double(z[target]) - most;
  double sum = 0, shifts = 0;
  for (int64_t first = 0; first < classes; first += STAGE) {
    const int64_t last = std::min(first + STAGE, classes);
    REAL some = 0, shift = 0;
#pragma omp simd reduction(+ : some, shift)
    for (int64_t j = first; j < last; j++) {
      const REAL low = z[j] - most, power = exponential(low);
      shift += low;
      some += power;
      z[j] = power;
    }
    sum += some;
    shifts += shift;
  }
  if (gradient) {
    const REAL scale = REAL((a + b) / sum), spread = REAL(b / double(classes));
#pragma omp simd
    for (int64_t j = 0; j < classes; j++) z[j] = z[j] * scale - spread;
    z[target] -= REAL(a);
  }
  const double log_sum = std::log(sum), shift = shifts / double(classes);
  if (mean) *mean = shift - log_sum;
  const double loss = (a + b) * log_sum - a * wanted;
  // Not 0 times what may be infinite.
  return b != 0 ? loss - b * shift : loss;
}

// Sums over rows of columns [first, last).
void sum_rows(const REAL *from, int64_t count, int64_t stride, int64_t first, int64_t last, REAL *to) {
  std::vector<REAL> some(last - first);
  for (int64_t k = 0; k < count; k += ROW_STAGE) {
    std::fill(some.begin(), some.end(), REAL(0));
    for (int64_t i = k; i < std::min(k + ROW_STAGE, count); i++) {
      const REAL *row = from + i * stride + first;
#pragma omp simd
      for (int64_t j = 0; j < last - first; j++) some[j] += row[j];
    }
    for (int64_t j = 0; j < last - first; j++) to[first + j] += some[j];
  }
}

bool run(const Call &c) {
  const bool gradient = c.d_x || c.d_weight || c.d_bias;
  const int64_t n = c.threads;
  const double constant[] = {1 - c.smoothing, c.smoothing};
  if (c.d_bias) std::fill(c.d_bias, c.d_bias + c.classes, REAL(0));
  for (int64_t first = 0; first < c.rows; first += c.chunk) {
    const int64_t count = std::min(c.chunk, c.rows - first);
    const REAL *x = c.x + first * c.input;
    const Rows logits{c.logits, c.classes};
    bool enough = in_parallel(c.team, n, [&](int64_t i) {
      const int64_t begin = share(count, i, n), end = share(count, i + 1, n);
      product(begin, end, c.classes, c.input, {rows(x, c.input), false},
              {rows(c.weight, c.input), true}, logits, c.bias ? Start::BIAS : Start::ZERO, c.bias);
      for (int64_t r = begin; r < end; r++) {
        const int64_t at = first + r;
        const double *factors = c.factors ? c.factors + 2 * at : constant;
        c.losses[at] = finish(logits.at(r), c.classes, c.targets[at], factors[0], factors[1],
                              gradient, c.means ? c.means + at : nullptr);
      }
      if (c.d_x)
        product(begin, end, c.input, c.classes, {logits, false}, {rows(c.weight, c.input), false},
                rows(c.d_x + first * c.input, c.input), Start::ZERO, nullptr);
    });
    if (enough && (c.d_weight || c.d_bias))
      enough = in_parallel(c.team, n, [&](int64_t i) {
        const int64_t begin = share(c.classes, i, n), end = share(c.classes, i + 1, n);
        if (c.d_weight)
          product(begin, end, c.input, count, {logits, true}, {rows(x, c.input), false},
                  rows(c.d_weight, c.input), first ? Start::OLD : Start::ZERO, nullptr);
        if (c.d_bias) sum_rows(c.logits, count, c.classes, begin, end, c.d_bias);
      });
    if (!enough) return false;
  }
  return true;
}

}  // namespace

extern "C" int run_loss(const Call *c) {
  try {
    return run(*c) ? 0 : 1;
  } catch (const std::bad_alloc &) {
    return 1;
  }
}
