// Inference with float weights. See inference.h.
#include "product.h"

// Panels [columns][TILE_COLUMNS], those of each run of gates beginning anew; the rest as in codes.h.
struct Weight {
  const float *panels;
  const void *scales, *sums;
};

#include "inference.h"

namespace {

struct Floats {
  Floats(const Weight &weight, int64_t rows, int64_t columns, int64_t hidden)
      : weight(weight), columns(columns), hidden(hidden), values(rows * columns) {}

  void take(int64_t i, const float *from) {
    std::memcpy(values.data + i * columns, from, sizeof(float) * columns);
  }

  void multiply(int64_t rows, const Run &run, const Target &to) {
    const Start start = to.added ? Start::OLD : to.bias ? Start::BIAS : Start::ZERO;
    step_product(rows, run.count * hidden, columns, values.data, columns,
                 weight.panels + run.panel * columns * TILE_COLUMNS, to.base, to.stride, start,
                 to.bias);
  }

  const Weight weight;
  const int64_t columns, hidden;
  Buffer values;
};

}  // namespace

extern "C" int run_inference(const Inference *c) { return infer<Floats>(*c); }

// Rows of a weight that lie side by side in a panel.
extern "C" int64_t panel_rows() { return TILE_COLUMNS; }
