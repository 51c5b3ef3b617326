// The loop of a decoder whose every step attends to a memory and reads the output of the last one.
//
//     h = cell([x ; last output])
//     score_s = v . tanh(W_q h + b_q + key_s)     or scale * h . key_s
//     context = sum_s softmax(score)_s value_s
//     output = tanh(W [h ; context] mask + b)     or without the tanh
//
// A thread runs its rows from the first step to the last. What a step leaves for the gradients of
// weights, keys and values lies in packed rows, from which they are made by large products at the
// end. The hidden layer of the attention is not kept but computed again.
#include "recurrence.h"
#include "pointwise.h"

extern "C" {
struct Feeding {
  Call cell;  // reads x; the rest of a row of weight_x, from number `input` on, reads the output
  int64_t output, query, context, positions, additive, deep;
  double scale;                         // of inner products
  const int32_t *lengths;               // [batch], real positions of the memory of each row
  const REAL *keys, *values;            // [batch, positions, query], [batch, positions, context]
  const REAL *weight_query, *bias_query, *vector;  // [query, hidden], [query] or null, [query]
  const REAL *weight_map, *bias_map;    // [output, hidden + context], [output]
  Strided mask;                         // [batch, steps, hidden + context]
  REAL *outputs;                        // [batch + N, output], the one before the first step first
  REAL *queries;                        // [N, query], W_q h + b_q; additive only
  REAL *weights;                        // [N, positions]
  REAL *joined;                         // [N, hidden + context], masked
  // Backward only. Null are gradients that did not come, and those that are not wanted.
  const REAL *gradient_outputs, *gradient_weights;  // [N, output], [N, positions]
  REAL *gradient_mapped;                // [N, output], before the tanh
  REAL *gradient_joined;                // [N, hidden + context]
  REAL *gradient_queries;               // [N, query]; additive only
  REAL *gradient_scores;                // [N, positions], times the scale
  REAL *gradient_feed;                  // [batch, output], zero; then of the output before all
  REAL *gradient_keys, *gradient_values;
  REAL *gradient_vector;                // [threads, query]
  REAL *gradient_weight_query, *gradient_bias_query, *gradient_weight_map, *gradient_bias_map;
};
}

namespace {

REAL dot(const REAL *a, const REAL *b, int64_t count) {
  REAL sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < count; j++) sum += a[j] * b[j];
  return sum;
}

// to += factor * from
void add_times(REAL *to, REAL factor, const REAL *from, int64_t count) {
#pragma omp simd
  for (int64_t j = 0; j < count; j++) to[j] += factor * from[j];
}

void to_softmax(REAL *scores, int64_t count) {
  REAL most = scores[0], sum = 0;
  for (int64_t s = 1; s < count; s++) most = scores[s] > most ? scores[s] : most;
#pragma omp simd reduction(+ : sum)
  for (int64_t s = 0; s < count; s++) sum += scores[s] = exponential(scores[s] - most);
  for (int64_t s = 0; s < count; s++) scores[s] /= sum;
}

// The weights that every step multiplies by, packed once.
struct Weights {
  Weights(const Feeding &f, bool transposed)
      : cell(f.cell, transposed),
        feed(f.cell.weight_x + f.cell.input, f.cell.width, f.cell.gates * f.cell.hidden, f.output,
             transposed),
        query(f.weight_query, f.cell.hidden, f.additive ? f.query : 0, f.cell.hidden, transposed),
        map(f.weight_map, f.cell.hidden + f.context, f.output, f.cell.hidden + f.context,
            transposed) {}

  // A matrix [rows, columns] for products with its transpose or, not transposed, with itself.
  struct Matrix : Buffer {
    Matrix(const REAL *from, int64_t stride, int64_t rows, int64_t columns, bool transposed)
        : Buffer(transposed ? packed_size(rows, columns) : packed_size(columns, rows)) {
      const Operand weight{{const_cast<REAL *>(from), stride}, transposed};
      if (rows && transposed) pack_columns(weight, 0, columns, 0, rows, data);
      if (rows && !transposed) pack_columns(weight, 0, rows, 0, columns, data);
    }
  };

  Packed cell;
  Matrix feed, query, map;
};

struct Feeder : Worker {
  Feeder(const Feeding &f, int64_t thread, Weights &weights)
      : Worker(f.cell, thread, weights.cell.runs.data()),
        f(f),
        weights(weights),
        h(f.cell.hidden),
        joined(h + f.context),
        wide(f.cell.gates * h),
        vector(f.gradient_vector ? f.gradient_vector + thread * f.query : nullptr),
        part(f.additive ? f.query : 0) {}

  // The rows that start at number `row` of the batch, or at packed number `at`.
  const REAL *keys(int64_t row) const { return f.keys + row * f.positions * f.query; }
  const REAL *values(int64_t row) const { return f.values + row * f.positions * f.context; }
  const REAL *query(int64_t at) const {
    return f.additive ? f.queries + at * f.query : f.cell.leaf[0] + (f.cell.batch + at) * h;
  }
  const REAL *mask(int64_t row, int64_t t) const {
    return f.mask.base ? f.mask.base + row * f.mask.batch_stride + t * f.mask.time_stride : nullptr;
  }

  void attend(int64_t row, int64_t at) const {
    const int64_t count = f.lengths[row];
    const REAL *key = keys(row), *value = values(row), *q = query(at);
    REAL *w = f.weights + at * f.positions;
    for (int64_t s = 0; s < count; s++, key += f.query) {
      if (!f.additive) {
        w[s] = REAL(f.scale) * dot(q, key, f.query);
        continue;
      }
      REAL sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t a = 0; a < f.query; a++) sum += f.vector[a] * hyperbolic_tangent(q[a] + key[a]);
      w[s] = sum;
    }
    if (count) to_softmax(w, count);
    std::fill(w + count, w + f.positions, REAL(0));
    REAL *context = f.joined + at * joined + h;
    std::fill(context, context + f.context, REAL(0));
    for (int64_t s = 0; s < count; s++, value += f.context)
      add_times(context, w[s], value, f.context);
  }

  void forward(int64_t t) {
    const int64_t rows = running(t), at = this->at(t);
    const REAL *last = f.outputs + before(t) * f.output;
    step_product(rows, wide, f.output, last, f.output, weights.feed.data, c.gates_x + at * wide,
                 wide, Start::OLD, nullptr);
    Worker::forward(t);
    const REAL *state = c.leaf[0] + (c.batch + at) * h;
    if (f.additive)
      step_product(rows, f.query, h, state, h, weights.query.data, f.queries + at * f.query,
                   f.query, f.bias_query ? Start::BIAS : Start::ZERO, f.bias_query);
    REAL *both = f.joined + at * joined;
    for (int64_t r = 0; r < rows; r++) {
      std::memcpy(both + r * joined, state + r * h, sizeof(REAL) * h);
      attend(first + r, at + r);
      if (const REAL *some = mask(first + r, t))
        multiply(both + r * joined, both + r * joined, some, joined);
    }
    REAL *to = f.outputs + (c.batch + at) * f.output;
    step_product(rows, f.output, joined, both, joined, weights.map.data, to, f.output, Start::BIAS,
                 f.bias_map);
    if (!f.deep) return;
#pragma omp simd
    for (int64_t i = 0; i < rows * f.output; i++) to[i] = hyperbolic_tangent(to[i]);
  }

  // From the gradient of a context to those of the keys and, added to, of the query.
  void attend_backward(int64_t row, int64_t at, REAL *query_to) {
    const int64_t count = f.lengths[row];
    const REAL *w = f.weights + at * f.positions, *context = f.gradient_joined + at * joined + h;
    const REAL *value = values(row), *key = keys(row), *q = query(at);
    REAL *g = f.gradient_scores + at * f.positions, mean = 0;
    for (int64_t s = 0; s < count; s++, value += f.context) {
      g[s] = dot(context, value, f.context);
      if (f.gradient_weights) g[s] += f.gradient_weights[at * f.positions + s];
      mean += w[s] * g[s];
    }
    for (int64_t s = 0; s < count; s++) g[s] = w[s] * (g[s] - mean) * REAL(f.scale);
    if (!f.additive) {
      for (int64_t s = 0; s < count; s++, key += f.query) add_times(query_to, g[s], key, f.query);
      return;
    }
    REAL *to = f.gradient_keys + row * f.positions * f.query, *sums = part.data;
    for (int64_t s = 0; s < count; s++, key += f.query, to += f.query) {
      const REAL own = g[s];
#pragma omp simd
      for (int64_t a = 0; a < f.query; a++) {
        const REAL hidden = hyperbolic_tangent(q[a] + key[a]);
        const REAL back = own * f.vector[a] * (1 - hidden * hidden);
        sums[a] += own * hidden;
        query_to[a] += back;
        to[a] += back;
      }
    }
  }

  void backward(int64_t t) {
    const int64_t rows = running(t), at = this->at(t), o = f.output;
    const REAL *out = f.outputs + (c.batch + at) * o;
    REAL *mapped = f.gradient_mapped + at * o, *both = f.gradient_joined + at * joined;
    std::memcpy(mapped, f.gradient_feed + first * o, sizeof(REAL) * rows * o);
    if (f.gradient_outputs) add(mapped, f.gradient_outputs + at * o, rows * o);
    if (f.deep)
      for (int64_t i = 0; i < rows * o; i++) mapped[i] *= 1 - out[i] * out[i];
    step_product(rows, joined, o, mapped, o, weights.map.data, both, joined, Start::ZERO, nullptr);
    REAL *state = c.gradient_leaf[0] + first * h, *queries = f.gradient_queries + at * f.query;
    if (f.additive) {
      std::fill(queries, queries + rows * f.query, REAL(0));
      std::fill(part.data, part.data + f.query, REAL(0));
    }
    for (int64_t r = 0; r < rows; r++) {
      REAL *own = both + r * joined;
      if (const REAL *some = mask(first + r, t)) multiply(own, own, some, joined);
      add(state + r * h, own, h);
      attend_backward(first + r, at + r, f.additive ? queries + r * f.query : state + r * h);
    }
    if (f.additive) {
      add(vector, part.data, f.query);
      step_product(rows, h, f.query, queries, f.query, weights.query.data, state, h, Start::OLD,
                   nullptr);
    }
    Worker::backward(t);
    step_product(rows, o, wide, c.gates_x + at * wide, wide, weights.feed.data,
                 f.gradient_feed + first * o, o, Start::ZERO, nullptr);
  }

  // Of every position of a row's memory, the sum over the steps of factor * vector.
  void sum_steps(int64_t row, const REAL *factors, const REAL *vectors, int64_t stride,
                 int64_t offset, int64_t size, REAL *to) const {
    std::memset(to, 0, sizeof(REAL) * f.positions * size);
    for (int64_t t = 0; t < c.steps && row < c.running[t]; t++) {
      const int64_t at = c.offset[t] + row;
      const REAL *factor = factors + at * f.positions, *from = vectors + (offset + at) * stride;
      for (int64_t s = 0; s < f.lengths[row]; s++) add_times(to + s * size, factor[s], from, size);
    }
  }

  const Feeding &f;
  Weights &weights;
  const int64_t h, joined, wide;
  REAL *vector;
  Buffer part;
};

bool forward(const Feeding &f) {
  const Call &c = f.cell;
  if (!read_inputs(c)) return false;
  Weights weights(f, true);
  return in_parallel(c.team, c.threads, [&](int64_t i) {
    Feeder feeder(f, i, weights);
    for (int64_t t = 0; t < c.steps && feeder.running(t); t++) feeder.forward(t);
  });
}

bool backward(const Feeding &f) {
  const Call &c = f.cell;
  const int64_t n = c.threads, h = c.hidden, wide = c.gates * h, joined = h + f.context;
  {
    Weights weights(f, false);
    const bool enough = in_parallel(c.team, n, [&](int64_t i) {
      Feeder feeder(f, i, weights);
      const int64_t keys = f.positions * f.query, values = f.positions * f.context;
      const int64_t rows = feeder.last - feeder.first;
      if (f.additive)
        std::memset(f.gradient_keys + feeder.first * keys, 0, sizeof(REAL) * rows * keys);
      for (int64_t t = c.steps - 1; t >= 0; t--)
        if (feeder.running(t)) feeder.backward(t);
      for (int64_t row = feeder.first; row < feeder.last; row++) {
        feeder.sum_steps(row, f.weights, f.gradient_joined + h, joined, 0, f.context,
                         f.gradient_values + row * values);
        if (!f.additive)
          feeder.sum_steps(row, f.gradient_scores, c.leaf[0], h, c.batch, h,
                           f.gradient_keys + row * keys);
      }
    });
    if (!enough) return false;
  }
  return in_parallel(c.team, n, [&](int64_t i) {
    multiply_gradients(c, i);
    const auto weight = [&](REAL *gradient, int64_t rows, const Rows &to, const Rows &from,
                            int64_t columns, const Rows &read, REAL *bias) {
      const int64_t begin = share(rows, i, n), end = share(rows, i + 1, n);
      if (gradient)
        product(begin, end, columns, c.total, {from, true}, {read, false}, to, Start::ZERO,
                nullptr);
      if (bias) sum_rows(from.base + begin, c.total, from.stride, end - begin, bias + begin);
    };
    if (c.gradient_weight_x)
      weight(c.gradient_weight_x, wide, {c.gradient_weight_x + c.input, c.width},
             {c.gates_x, wide}, f.output, {f.outputs, f.output, c.previous}, nullptr);
    weight(f.gradient_weight_map, f.output, {f.gradient_weight_map, joined},
           {f.gradient_mapped, f.output}, joined, {f.joined, joined}, f.gradient_bias_map);
    if (f.additive)
      weight(f.gradient_weight_query, f.query, {f.gradient_weight_query, h},
             {f.gradient_queries, f.query}, h, {c.leaf[0] + c.batch * h, h},
             f.gradient_bias_query);
  });
}

int guarded(bool (*what)(const Feeding &), const Feeding *f) {
  try {
    return what(*f) ? 0 : 1;
  } catch (const std::bad_alloc &) {
    return 1;
  }
}

}  // namespace

extern "C" int run_forward(const Feeding *f) { return guarded(forward, f); }
extern "C" int run_backward(const Feeding *f) { return guarded(backward, f); }
extern "C" int64_t call_size() { return sizeof(Feeding); }
