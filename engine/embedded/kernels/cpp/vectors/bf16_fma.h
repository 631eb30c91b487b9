// BF16 matrices on other processors: the same values as in bf16_dot.h, widened to floats.

using Bf16Activation = float;

static inline void store_activations(Bf16Activation *p, f16v x) {
  uint16_t rounded[16];
  store_bf16(rounded, x);
  store(p, from_bf16(rounded));
}

// Two inputs: w holds a pair of each of sixteen outputs, and `next` bytes further on of the next sixteen; x a pair of each row.
template <int R, int V>
static inline void dot_pair(f16v (*sum)[V], const uint8_t *w, int64_t next, const uint8_t *x, int64_t stride) {
  for (int v = 0; v < V; v++) {
    const f16v first = firsts_bf16(w + v * next), second = seconds_bf16(w + v * next);
    for (int r = 0; r < R; r++) {
      const auto *pair = (const float *)(x + r * stride);
      sum[r][v] = fmadd(second, set1(pair[1]), fmadd(first, set1(pair[0]), sum[r][v]));
    }
  }
}
