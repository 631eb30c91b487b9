// BF16 matrices on other processors: the same values as in bf16_dot.h, widened to floats.

using Bf16Activation = float;

static inline void store_activations(Bf16Activation *p, f16v x) {
  uint16_t rounded[16];
  store_bf16(rounded, x);
  store(p, from_bf16(rounded));
}

// Two inputs: w holds a pair of each of sixteen outputs, x a pair of each row.
template <int R>
static inline void dot_pair(f16v *sum, const uint8_t *w, const uint8_t *x, int stride) {
  const f16v first = firsts_bf16(w), second = seconds_bf16(w);
  for (int r = 0; r < R; r++) {
    const auto *pair = (const float *)(x + r * stride);
    sum[r] = fmadd(second, set1(pair[1]), fmadd(first, set1(pair[0]), sum[r]));
  }
}
