// exp, tanh and their kin, for sixteen floats at a time.

// 2^(x log2 e) with a degree-6 polynomial on [-ln2/2, ln2/2]; relative error below 2e-7. exp(-inf) = 0.
static inline f16v exp16(f16v x) {
  x = lower(higher(x, set1(-104.f)), set1(88.7f));
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
  return times_two_to(y, n);
}

static inline f16v sigmoid16(f16v x) { return set1(1.f) / (set1(1.f) + exp16(set1(0.f) - x)); }
static inline f16v tanh16(f16v x) { return fmadd(set1(2.f), sigmoid16(x + x), set1(-1.f)); }

static inline f16v activation16(int kind, f16v x) {
  if (kind == SILU) return x * sigmoid16(x);
  const f16v inner = set1(0.79788456f) * fmadd(set1(0.044715f), x * x * x, x);
  return set1(0.5f) * x * (set1(1.f) + tanh16(inner));
}
