// Inference with int8 weights. See inference.h.
//
// A weight was quantized once, with one scale for each of its rows; a row of x or of the state is
// quantized here, with a scale of its own, when its turn comes. Both are symmetric, codes from -127
// to 127, so that zero stays zero and products are exact in int32: every processor has the same.
#include "codes.h"
#include "inference.h"

namespace {

struct Quantized : Codes {
  Quantized(const Weight &weight, int64_t rows, int64_t columns, int64_t hidden)
      : Codes(rows, columns), weight(weight), hidden(hidden) {}

  void take(int64_t i, const float *from) { quantize(i, from); }

  void multiply(int64_t rows, const Run &run, const Target &to) {
    for (int64_t g = 0; g < run.count; g++)
      multiply_gate(rows, *this, weight, run.first + g, hidden,
                    {to.base + g * hidden, to.stride, to.added,
                     to.bias ? to.bias + g * hidden : nullptr});
  }

  const Weight weight;
  const int64_t hidden;
};

}  // namespace

extern "C" int run_quantized(const Inference *c) { return infer<Quantized>(*c); }
