// BF16 matrices where the processor multiplies pairs of bf16 (AVX512_BF16): activations are kept as bf16.

using Bf16Activation = uint16_t;

static inline void store_activations(Bf16Activation *p, f16v x) { store_bf16(p, x); }

// Two inputs: w holds a pair of each of sixteen outputs, x a pair of each row.
template <int R>
static inline void dot_pair(f16v *sum, const uint8_t *w, const uint8_t *x, int stride) {
  const auto v = (__m512bh)_mm512_loadu_si512(w);
  for (int r = 0; r < R; r++) sum[r] = _mm512_dpbf16_ps(sum[r], v, (__m512bh)set1(four_bytes(x + r * stride)));
}
