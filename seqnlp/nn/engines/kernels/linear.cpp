// h_t = a_t h_{t-1} + b_t over time, column by column, and its gradients:
//
//     d_t = g_t + conj(a_{t+1}) d_{t+1}      db_t = d_t      da_t = d_t conj(h_{t-1})
//
// Each row of the batch has its own length and is read in place, from either end; what lies behind
// its end is filled with zeros. A row needs nothing but the row before it, which is still in the
// first-level cache: so a pass reads and writes each array once, at the speed of the memory.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include "team.h"

// [B, T, N], [B, N] or [N]; strides count real numbers, and the last axis has none.
struct Array {
  void *base;  // null where it is not there
  int64_t batch, time;
};

struct Call {
  int64_t batch, time, columns, reverse, threads;
  Team team;
  const int64_t *lengths;  // [B], or null where every row is full
  Array a;                 // [N] where it has no strides
  Array b, h, first, last;
  // Backward only. da: [threads, N], a sum for each thread, where a is [N].
  Array g, g_last, da, db, d_first;
};

namespace {

constexpr int64_t BLOCK_BYTES = 4096;

template <class R>
R *row(const Array &array, int64_t batch, int64_t time, int64_t column) {
  if (!array.base) return nullptr;
  return static_cast<R *>(array.base) + batch * array.batch + time * array.time + column;
}

// W is 1 for real numbers and 2 for complex ones, of which n are in n * W places.
template <class R, int W>
void advance(const R *a, const R *b, const R *before, R *__restrict h, int64_t n) {
  if (W == 1) {
#pragma omp simd
    for (int64_t j = 0; j < n; j++) h[j] = a[j] * before[j] + b[j];
  } else {
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
      const R ar = a[2 * j], ai = a[2 * j + 1], hr = before[2 * j], hi = before[2 * j + 1];
      h[2 * j] = ar * hr - ai * hi + b[2 * j];
      h[2 * j + 1] = ar * hi + ai * hr + b[2 * j + 1];
    }
  }
}

// to (+)= x conj(y)
template <class R, int W, bool ADD>
void multiply(const R *x, const R *y, R *__restrict to, int64_t n) {
  if (W == 1) {
#pragma omp simd
    for (int64_t j = 0; j < n; j++) to[j] = (ADD ? to[j] : R(0)) + x[j] * y[j];
  } else {
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
      const R xr = x[2 * j], xi = x[2 * j + 1], yr = y[2 * j], yi = y[2 * j + 1];
      to[2 * j] = (ADD ? to[2 * j] : R(0)) + xr * yr + xi * yi;
      to[2 * j + 1] = (ADD ? to[2 * j + 1] : R(0)) + xi * yr - xr * yi;
    }
  }
}

template <class R>
void copy(const R *from, R *to, int64_t n) {
  if (from) std::memcpy(to, from, sizeof(R) * n);
  else std::memset(to, 0, sizeof(R) * n);
}

template <class R>
void add(const R *from, R *__restrict to, int64_t n) {
  if (!from) return;
#pragma omp simd
  for (int64_t j = 0; j < n; j++) to[j] += from[j];
}

template <class R>
void clear(const Array &array, int64_t i, int64_t from, int64_t to, int64_t column, int64_t n) {
  for (int64_t t = from; t < to; t++) std::memset(row<R>(array, i, t, column), 0, sizeof(R) * n);
}

// Whether a is the same at every step.
bool constant(const Call &call) { return !call.a.batch && !call.a.time; }

// Columns column to column + n of row i of the batch.
template <class R, int W>
void forward(const Call &call, int64_t i, int64_t column, int64_t n, int64_t) {
  const int64_t length = call.lengths ? call.lengths[i] : call.time;
  const R *before = row<R>(call.first, i, 0, column);
  for (int64_t k = 0; k < length; k++) {
    const int64_t t = call.reverse ? length - 1 - k : k;
    R *h = row<R>(call.h, i, t, column);
    advance<R, W>(row<R>(call.a, i, t, column), row<R>(call.b, i, t, column), before, h, n / W);
    before = h;
  }
  copy(before, row<R>(call.last, i, 0, column), n);
  clear<R>(call.h, i, length, call.time, column, n);
}

template <class R, int W>
void backward(const Call &call, int64_t i, int64_t column, int64_t n, int64_t thread) {
  const int64_t length = call.lengths ? call.lengths[i] : call.time;
  R *sum = constant(call) ? row<R>(call.da, thread, 0, column) : nullptr;
  R *d_first = row<R>(call.d_first, i, 0, column);
  copy(row<R>(call.g_last, i, 0, column), d_first, n);
  for (int64_t k = length - 1; k >= 0; k--) {
    const int64_t t = call.reverse ? length - 1 - k : k, before = call.reverse ? t + 1 : t - 1;
    R *db = row<R>(call.db, i, t, column);
    // What has come through the later steps stands where the gradient of the first state will.
    copy(d_first, db, n);
    add(row<R>(call.g, i, t, column), db, n);
    const R *h = k ? row<R>(call.h, i, before, column) : row<R>(call.first, i, 0, column);
    if (sum) multiply<R, W, true>(db, h, sum, n / W);
    else multiply<R, W, false>(db, h, row<R>(call.da, i, t, column), n / W);
    multiply<R, W, false>(db, row<R>(call.a, i, t, column), d_first, n / W);
  }
  if (!sum) clear<R>(call.da, i, length, call.time, column, n);
  clear<R>(call.db, i, length, call.time, column, n);
}

// sums: whether threads have sums of their own.
template <class R, int W, class Task>
void run(const Call &call, bool sums, Task task) {
  const int64_t width = call.columns * W;
  int64_t block = BLOCK_BYTES / sizeof(R);
  if (call.batch < call.threads) block = std::min(block, (width / call.threads + 31) / 32 * 32);
  block = std::max<int64_t>(block, 32);
  const int64_t blocks = (width + block - 1) / block, tasks = call.batch * blocks;
  const int64_t threads = std::min(call.threads, tasks);
  std::atomic<int64_t> next{0};
  in_parallel(call.team, threads, [&](int64_t thread) {
    const auto perform = [&](int64_t k) {
      const int64_t column = k % blocks * block;
      task(call, k / blocks, column, std::min(block, width - column), thread);
    };
    if (sums) {
      // The same rows each time, so that a run repeats to the bit.
      for (int64_t k = tasks * thread / threads; k < tasks * (thread + 1) / threads; k++) perform(k);
    } else {
      for (int64_t k; (k = next++) < tasks;) perform(k);
    }
  });
}

}  // namespace

#define EXPORT(NAME, R, W)                                                                     \
  extern "C" void forward_##NAME(const Call *call) { run<R, W>(*call, false, forward<R, W>); } \
  extern "C" void backward_##NAME(const Call *call) {                                          \
    run<R, W>(*call, constant(*call), backward<R, W>);                                         \
  }

EXPORT(float32, float, 1)
EXPORT(float64, double, 1)
EXPORT(complex64, float, 2)
EXPORT(complex128, double, 2)
