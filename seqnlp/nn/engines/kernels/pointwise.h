// What emitted pointwise functions call: functions that a compiler vectorizes, for REAL.
// They keep NaN, and differ from the exact value by a few units in the last place; sigmoid and tanh
// hardly more than the nearest number does, since a norm over few features enlarges what gates lose.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace {

template <class Real> struct Format;
template <> struct Format<float> {
  using Bits = int32_t;
  static constexpr int mantissa = 23, bias = 127, terms = 7, log_terms = 5;
  static constexpr float round = 12582912.f;  // 1.5 * 2^23: adding it rounds to a whole number
  static constexpr float lowest = -87.33654f, highest = 88.72283f;
  static constexpr float whole = 16777216.f;  // 2^24
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
};
template <> struct Format<double> {
  using Bits = int64_t;
  static constexpr int mantissa = 52, bias = 1023, terms = 13, log_terms = 11;
  static constexpr double round = 6755399441055744.;  // 1.5 * 2^52
  static constexpr double lowest = -708.396418532264, highest = 709.782712893384;
  static constexpr double whole = 9007199254740992.;  // 2^53
  static constexpr double ln2_high = 0.693145751953125, ln2_low = 1.42860682030941723212e-6;
};
using F = Format<REAL>;

constexpr REAL inverse_factorial(int n) { return n < 2 ? REAL(1) : inverse_factorial(n - 1) / n; }

// x = n ln 2 + r with |r| <= ln 2 / 2; then e^r - 1 by its Taylor series, and half of 2^n.
struct Reduced {
  REAL series, half_power;
};

inline Reduced reduce(REAL x) {
  const REAL shifted = x * REAL(1.4426950408889634) + F::round;
  const REAL n = shifted - F::round;
  REAL r = x - n * F::ln2_high;
  r = r - n * F::ln2_low;
  REAL p = inverse_factorial(F::terms);
#pragma GCC unroll 16
  for (int k = F::terms - 1; k >= 2; k--) p = p * r + inverse_factorial(k);
  F::Bits bits, origin;
  const REAL round = F::round;
  std::memcpy(&bits, &shifted, sizeof bits);
  std::memcpy(&origin, &round, sizeof origin);
  bits = (bits - origin + F::bias - 1) << F::mantissa;
  REAL half_power;
  std::memcpy(&half_power, &bits, sizeof half_power);
  return {p * (r * r) + r, half_power};
}

// Comparisons that are false for NaN, so that it goes on.
inline REAL at_most(REAL x, REAL limit) { return x > limit ? limit : x; }
inline REAL at_least(REAL x, REAL limit) { return x < limit ? limit : x; }

// Two selections, of which each can be vectorized, as one condition of two parts cannot.
inline REAL larger(REAL a, REAL b) {
  const REAL most = a > b ? a : b;
  return a == a ? most : a;
}
inline REAL smaller(REAL a, REAL b) {
  const REAL least = a < b ? a : b;
  return a == a ? least : a;
}

inline REAL exponential(REAL x) {
  const Reduced e = reduce(at_least(at_most(x, F::highest), F::lowest));
  const REAL value = (e.series + 1) * e.half_power * 2;
  return x > F::highest ? REAL(INFINITY) : x < F::lowest ? REAL(0) : value;
}

inline REAL exponential_minus_one(REAL x) {
  const Reduced e = reduce(at_least(at_most(x, F::highest), REAL(-50)));
  // (p + 1) 2^n - 1 as p 2^n + (2^n - 1): exact where x is small.
  const REAL value = 2 * (e.series * e.half_power + (e.half_power - REAL(0.5)));
  return x > F::highest ? REAL(INFINITY) : value;
}

// Half of e^x + 1, and what rounding took from it.
struct Sum {
  REAL half, lost;
};

inline Sum add_one(const Reduced &e) {
  const REAL whole = e.half_power + REAL(0.5), half = e.series * e.half_power + whole;
  return {half, e.series * e.half_power + (whole - half)};
}

// Division, and one step of Newton's method with what division and sum have lost.
inline REAL sigmoid(REAL x) {
  const Sum sum = add_one(reduce(at_least(at_most(-x, F::highest), F::lowest)));
  const REAL value = REAL(0.5) / sum.half;
  const REAL rest = (REAL(0.5) - value * sum.half) - value * sum.lost;
  return value + (value + value) * rest;
}

// As (e^2x - 1) / (e^2x + 1), likewise; one over half the divisor is 1 - tanh x.
inline REAL hyperbolic_tangent(REAL x) {
  const Reduced e = reduce(at_most(2 * std::fabs(x), REAL(40)));
  const Sum sum = add_one(e);
  const REAL whole = e.half_power - REAL(0.5), half = e.series * e.half_power + whole;
  const REAL lost = e.series * e.half_power + (whole - half);
  const REAL value = half / sum.half;
  const REAL rest = (half - value * sum.half) - value * sum.lost + lost;
  return std::copysign(value + (1 - value) * rest, x);
}

// x = 2^n m with sqrt(1/2) <= m < sqrt(2); then log m = 2 artanh((m - 1) / (m + 1)), by its series.
inline REAL logarithm(REAL x) {
  const bool tiny = x < std::numeric_limits<REAL>::min();
  const REAL scaled = tiny ? x * F::whole : x;
  F::Bits bits, pivot;
  const REAL root = REAL(0.70710678118654752);
  std::memcpy(&bits, &scaled, sizeof bits);
  std::memcpy(&pivot, &root, sizeof pivot);
  const F::Bits n = (bits - pivot) >> F::mantissa;
  bits -= n << F::mantissa;
  REAL m;
  std::memcpy(&m, &bits, sizeof m);
  const REAL s = (m - 1) / (m + 1), square = s * s;
  REAL series = REAL(1) / (2 * F::log_terms + 1);
#pragma GCC unroll 16
  for (int k = F::log_terms - 1; k >= 0; k--) series = series * square + REAL(1) / (2 * k + 1);
  const REAL power = REAL(n) - (tiny ? REAL(F::mantissa + 1) : REAL(0));
  const REAL value = power * F::ln2_high + (2 * s * series + power * F::ln2_low);
  // Infinity of infinity, less infinity of 0, NaN of the rest.
  const REAL edge = x > 0 ? x : std::sqrt(x) - 1 / (x * x);
  return (x > 0) & (x < REAL(INFINITY)) ? value : edge;
}

// log(1 + x) = log u - ((u - 1) - x) / u with u what 1 + x is rounded to: the second term is what
// that loses of x. Limits keep it from being NaN where u is 0 or infinite.
inline REAL logarithm_one_plus(REAL x) {
  constexpr REAL least = std::numeric_limits<REAL>::min(), most = std::numeric_limits<REAL>::max();
  const REAL u = 1 + x;
  const REAL lost = (at_most(u, most) - 1) - at_most(x, most);
  return logarithm(u) - lost / at_least(u, least);
}

}  // namespace
