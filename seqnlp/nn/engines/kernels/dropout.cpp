// Dropout by a generator that is a function of a seed and an element's number: no state goes from
// one element to the next, any number of threads draws the same, and backward draws it again.
//
// Threefry-4x32-20 of Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", which needs
// nothing but sums and rotations: sixteen counters side by side, of which each gives four numbers of
// 32 bits, for a block of 64 elements.
#include "product.h"

extern "C" {
struct Call {
  int64_t count, threads;
  Team team;
  uint64_t seed;
  uint64_t dropped;  // of 2^32, how many drawn numbers mean that an element is dropped
  REAL scale;        // of those that are kept
  const REAL *x;     // [count], or null for ones
  REAL *y;           // [count]
};
}

namespace {

constexpr int64_t WIDTH = 16, BLOCK = 4 * WIDTH;
constexpr int ROTATIONS[8][2] = {{10, 26}, {11, 21}, {13, 27}, {23, 5},
                                 {6, 20},  {17, 11}, {25, 10}, {18, 20}};

// A number of each counter; a compiler does not see this in a loop over them.
typedef uint32_t Words __attribute__((vector_size(4 * WIDTH)));

inline Words rotate(Words x, int by) { return (x << by) | (x >> (32 - by)); }

template <int R>
inline void mix(Words &a, Words &b, Words &c, Words &d) {
  a += b;
  b = rotate(b, ROTATIONS[R % 8][0]) ^ a;
  c += d;
  d = rotate(d, ROTATIONS[R % 8][1]) ^ c;
}

// Four rounds, and then the key.
template <int N>
inline void mix(const uint32_t *key, Words &a, Words &b, Words &c, Words &d) {
  mix<4 * N>(a, b, c, d);
  mix<4 * N + 1>(a, d, c, b);
  mix<4 * N + 2>(a, b, c, d);
  mix<4 * N + 3>(a, d, c, b);
  a += key[(N + 1) % 5];
  b += key[(N + 2) % 5];
  c += key[(N + 3) % 5];
  d += key[(N + 4) % 5] + N + 1;
}

// The numbers of a block.
inline void draw(uint64_t seed, uint64_t block, uint32_t *to) {
  const uint32_t low = uint32_t(seed), high = uint32_t(seed >> 32);
  const uint32_t key[5] = {low, high, 0, 0, low ^ high ^ 0x1BD11BDAu};
  const uint64_t first = block * WIDTH;
  Words a, b = Words{} + (uint32_t(first >> 32) + key[1]), c = Words{} + key[2], d = Words{} + key[3];
  for (int64_t i = 0; i < WIDTH; i++) a[i] = uint32_t(first + i) + key[0];
  mix<0>(key, a, b, c, d);
  mix<1>(key, a, b, c, d);
  mix<2>(key, a, b, c, d);
  mix<3>(key, a, b, c, d);
  mix<4>(key, a, b, c, d);
  std::memcpy(to, &a, sizeof a);
  std::memcpy(to + WIDTH, &b, sizeof b);
  std::memcpy(to + 2 * WIDTH, &c, sizeof c);
  std::memcpy(to + 3 * WIDTH, &d, sizeof d);
}

void run(const Call &c, int64_t begin, int64_t end) {
  const uint32_t dropped = uint32_t(c.dropped);
  const REAL scale = c.scale;
  for (int64_t block = begin; block < end; block++) {
    uint32_t drawn[BLOCK];
    REAL factors[BLOCK];
    draw(c.seed, block, drawn);
#pragma omp simd
    for (int64_t i = 0; i < BLOCK; i++) factors[i] = drawn[i] < dropped ? REAL(0) : scale;
    const int64_t first = block * BLOCK, count = std::min(BLOCK, c.count - first);
    if (!c.x) {
      std::memcpy(c.y + first, factors, sizeof(REAL) * count);
      continue;
    }
    const REAL *x = c.x + first;
    REAL *y = c.y + first;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) y[i] = x[i] * factors[i];
  }
}

}  // namespace

extern "C" int run_dropout(const Call *c) {
  const int64_t blocks = (c->count + BLOCK - 1) / BLOCK;
  return in_parallel(c->team, c->threads,
                     [&](int64_t i) {
                       run(*c, blocks * i / c->threads, blocks * (i + 1) / c->threads);
                     })
             ? 0
             : 1;
}
