// BF16 matrices where the processor multiplies pairs of bf16 (AVX512_BF16): activations are kept as bf16.

using Bf16Activation = uint16_t;

static inline void store_activations(Bf16Activation *p, f16v x) { _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh(x)); }

// Two inputs: w holds a pair of each of sixteen outputs, and `next` bytes further on of the next sixteen; x a pair of each row.
template <int R, int V>
static inline void dot_pair(f16v (*sum)[V], const uint8_t *w, int64_t next, const uint8_t *x, int64_t stride) {
  __m512bh weight[V];
  for (int v = 0; v < V; v++) weight[v] = (__m512bh)_mm512_loadu_si512(w + v * next);
  for (int r = 0; r < R; r++) {
    const auto pair = (__m512bh)set1(four_bytes(x + r * stride));
    for (int v = 0; v < V; v++) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], weight[v], pair);
  }
}
