// exp, tanh and their kin, for sixteen floats at a time.

// 2^(x log2 e) with a degree-6 polynomial on [-ln2/2, ln2/2]; relative error below 2e-7. 0 below -86.6, exp(-inf) among them: processors
// take hundreds of cycles to make a number that is too small for a normal float, even where it rounds to 0.
static inline f16v exp16(f16v given) {
  const f16v x = lower(higher(given, set1(-86.6f)), set1(88.7f));
  const f16v n = nearest(x * set1(1.44269504f));
  f16v r = fnmadd(n, set1(0.693359375f), x);
  r = fnmadd(n, set1(-2.12194440e-4f), r);
  f16v y = set1(1.38888889e-3f);
  y = fmadd(y, r, set1(8.33333333e-3f));
  y = fmadd(y, r, set1(4.16666667e-2f));
  y = fmadd(y, r, set1(1.66666667e-1f));
  y = fmadd(y, r, set1(0.5f));
  y = fmadd(y, r, set1(1.f));
  y = fmadd(y, r, set1(1.f));
  return where_at_least(given, -86.6f, times_two_to(y, n));
}

// 2^x for x <= 0, of which a few bits are wanted; relative error below 3e-6. 0 below 2^-125.
static inline f16v exp2_16(f16v given) {
  const f16v x = higher(given, set1(-125.f));
  const f16v n = nearest(x), r = x - n;
  f16v y = fmadd(set1(1.3333558e-3f), r, set1(9.6181291e-3f));
  y = fmadd(y, r, set1(5.5504109e-2f));
  y = fmadd(y, r, set1(2.4022651e-1f));
  y = fmadd(y, r, set1(6.9314718e-1f));
  y = fmadd(y, r, set1(1.f));
  return where_at_least(given, -125.f, times_two_to(y, n));
}

static inline f16v sigmoid16(f16v x) { return set1(1.f) / (set1(1.f) + exp16(set1(0.f) - x)); }
static inline f16v tanh16(f16v x) { return fmadd(set1(2.f), sigmoid16(x + x), set1(-1.f)); }

// 1 - erf(|x|) by Abramowitz & Stegun 7.1.26, off by at most 1.5e-7; then the half of it that gelu wants.
static inline f16v gelu16(f16v x) {
  const f16v a = magnitude(x) * set1(0.70710678f), t = set1(1.f) / fmadd(set1(0.3275911f), a, set1(1.f));
  f16v y = fmadd(set1(1.061405429f), t, set1(-1.453152027f));
  y = fmadd(y, t, set1(1.421413741f));
  y = fmadd(y, t, set1(-0.284496736f));
  y = fmadd(y, t, set1(0.254829592f));
  const f16v tail = set1(0.5f) * magnitude(x) * y * t * exp2_16(a * a * set1(-1.44269504f));
  return higher(x, set1(0.f)) - tail;
}

static inline f16v activation16(int kind, f16v x) {
  if (kind == SILU) return x * sigmoid16(x);
  if (kind == GELU) return gelu16(x);
  if (kind == RELU) return higher(x, set1(0.f));
  if (kind == TANH) return tanh16(x);
  if (kind == QUICK_GELU) return x * sigmoid16(set1(1.702f) * x);
  if (kind == RELU2) return higher(x, set1(0.f)) * higher(x, set1(0.f));
  const f16v inner = set1(0.79788456f) * fmadd(set1(0.044715f), x * x * x, x);
  return set1(0.5f) * x * (set1(1.f) + tanh16(inner));
}
