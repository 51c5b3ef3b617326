// The most probable columns of each row of logits, in one reading: while a row is in cache its
// maxima are taken by blocks, its powers are summed, and few blocks are looked at again.
#include "product.h"
#include "pointwise.h"

extern "C" {
struct Call {
  int64_t rows, columns, count, forbidden, threads;
  Team team;
  REAL *logits;            // [rows, columns]; -inf is written to what is ruled out
  const int64_t *ruled_out;  // [forbidden] columns
  int64_t normalized;      // whether the logits are log-probabilities
  double *values;          // [rows, count]
  int64_t *places;         // [rows, count]
};
}

namespace {

constexpr int64_t WIDTH = 64;   // columns of a block
constexpr int64_t STAGE = 512;  // powers that are summed apart, so that sums of many keep digits

REAL greatest_of(const REAL *row, int64_t first, int64_t last) {
  REAL most = row[first];
#pragma omp simd reduction(max : most)
  for (int64_t j = first; j < last; j++) most = row[j] > most ? row[j] : most;
  return most;
}

double normalizer(const REAL *row, int64_t columns, REAL most) {
  double sum = 0;
  for (int64_t first = 0; first < columns; first += STAGE) {
    const int64_t last = std::min(first + STAGE, columns);
    REAL some = 0;
#pragma omp simd reduction(+ : some)
    for (int64_t j = first; j < last; j++) some += exponential(row[j] - most);
    sum += some;
  }
  return most + std::log(sum);
}

// The greatest values that were shown, greatest first; of equal ones those that came first.
struct Best {
  int64_t count;
  REAL *values;
  int64_t *places;

  void clear() {
    std::fill(values, values + count, -REAL(INFINITY));
    std::fill(places, places + count, int64_t(-1));
  }
  void show(REAL value, int64_t place) {
    // A place that is not taken yet is worth less than -inf.
    if (!(value > values[count - 1]) && places[count - 1] >= 0) return;
    int64_t i = count - 1;
    for (; i > 0 && (value > values[i - 1] || places[i - 1] < 0); i--) {
      values[i] = values[i - 1];
      places[i] = places[i - 1];
    }
    values[i] = value;
    places[i] = place;
  }
};

void find(const Call &c, int64_t r, REAL *maxima, Best best) {
  REAL *row = c.logits + r * c.columns;
  const int64_t blocks = (c.columns + WIDTH - 1) / WIDTH;
  const auto last = [&](int64_t block) { return std::min((block + 1) * WIDTH, c.columns); };
  REAL most = -REAL(INFINITY);
  for (int64_t b = 0; b < blocks; b++) {
    maxima[b] = greatest_of(row, b * WIDTH, last(b));
    most = maxima[b] > most ? maxima[b] : most;
  }
  const double constant = c.normalized ? 0 : normalizer(row, c.columns, most);
  for (int64_t i = 0; i < c.forbidden; i++) row[c.ruled_out[i]] = -REAL(INFINITY);
  for (int64_t i = 0; i < c.forbidden; i++) {
    const int64_t b = c.ruled_out[i] / WIDTH;
    maxima[b] = greatest_of(row, b * WIDTH, last(b));
  }
  REAL least = -REAL(INFINITY);
  if (blocks >= c.count) {
    best.clear();
    for (int64_t b = 0; b < blocks; b++) best.show(maxima[b], b);
    least = best.values[c.count - 1];  // `count` columns are not below it
  }
  best.clear();
  for (int64_t b = 0; b < blocks; b++) {
    if (!(maxima[b] >= least)) continue;
    for (int64_t j = b * WIDTH; j < last(b); j++)
      if (row[j] >= least) best.show(row[j], j);
  }
  for (int64_t i = 0; i < c.count; i++) {
    c.values[r * c.count + i] = best.values[i] - constant;
    c.places[r * c.count + i] = std::max(best.places[i], int64_t(0));  // of NaN there is none
  }
}

}  // namespace

extern "C" int find_greatest(const Call *call) {
  const Call &c = *call;
  const bool enough = in_parallel(c.team, c.threads, [&](int64_t i) {
    std::vector<REAL> maxima((c.columns + WIDTH - 1) / WIDTH), values(c.count);
    std::vector<int64_t> places(c.count);
    for (int64_t r = share(c.rows, i, c.threads); r < share(c.rows, i + 1, c.threads); r++)
      find(c, r, maxima.data(), {c.count, values.data(), places.data()});
  });
  return enough ? 0 : 1;
}
