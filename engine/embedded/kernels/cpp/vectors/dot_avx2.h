// Products of bytes without VNNI. AVX2 adds two products into sixteen bits and saturates, so eight bits are taken as two
// nibbles: a group's 16 products (8 in a group of 16) of at most 15 x 127 stay below 2^15, and the sum is exact.

static inline i16v nibbles(const uint8_t *w, bool high) {
  const __m256i low4 = _mm256_set1_epi8(15);
  const i16v v = load_bytes(w);
  if (!high) return {_mm256_and_si256(v.lo, low4), _mm256_and_si256(v.hi, low4)};
  return {_mm256_and_si256(_mm256_srli_epi16(v.lo, 4), low4), _mm256_and_si256(_mm256_srli_epi16(v.hi, 4), low4)};
}

// Four inputs: words[r] gains two sums of two products per output.
template <int R>
static inline void dot_quad(i16v *words, i16v w, const uint8_t *x, int64_t stride) {
  for (int r = 0; r < R; r++) {
    const __m256i v = _mm256_set1_epi32(four_bytes(x + r * stride));
    words[r].lo = _mm256_add_epi16(words[r].lo, _mm256_maddubs_epi16(w.lo, v));
    words[r].hi = _mm256_add_epi16(words[r].hi, _mm256_maddubs_epi16(w.hi, v));
  }
}

template <int R>
static inline void add_words(i16v (*acc)[1], const i16v *words, int16_t factor) {
  const __m256i f = _mm256_set1_epi16(factor);
  for (int r = 0; r < R; r++) {
    acc[r][0].lo = _mm256_add_epi32(acc[r][0].lo, _mm256_madd_epi16(words[r].lo, f));
    acc[r][0].hi = _mm256_add_epi32(acc[r][0].hi, _mm256_madd_epi16(words[r].hi, f));
  }
}

// One group of N quads of inputs, exactly: acc[r][0] += unsigned weights of sixteen outputs x signed bytes of row r. B bits.
template <int B, int N, int R, int V>
static inline void dot(i16v (*acc)[V], const uint8_t *w, int64_t, const uint8_t *x, int64_t stride) {
  static_assert(V == 1, "registers for one block of outputs");
  if (B == 4) {
    i16v words[R] = {};
    for (int j = 0; j < N / 2; j++) {
      dot_quad<R>(words, nibbles(w + 64 * j, false), x + 4 * j, stride);
      dot_quad<R>(words, nibbles(w + 64 * j, true), x + 4 * j + 2 * N, stride);
    }
    return add_words<R>(acc, words, 1);
  }
  for (bool high : {false, true}) {
    i16v words[R] = {};
    for (int j = 0; j < N; j++) dot_quad<R>(words, nibbles(w + 64 * j, high), x + 4 * j, stride);
    add_words<R>(acc, words, high ? 16 : 1);
  }
}

// In bytes.h two sums of two products stay within sixteen bits, which saves half of the instructions: activations take seven bits, and of
// the weights any four that meet in such a sum are together small enough.
constexpr int TOP_ACTIVATION = 63, TOP_FOUR = 32767 / (2 * TOP_ACTIVATION);

// V blocks side by side: those behind the first begin `next` bytes further on.
template <int R, int V>
static inline void dot_blocks(i16v (*acc)[V], const uint8_t *w, int64_t next, const uint8_t *x, int64_t stride) {
  const __m256i ones = _mm256_set1_epi16(1);
  for (int v = 0; v < V; v++)
    for (int j = 0; j < 32; j += 8) {  // two times four inputs
      const i16v a = load_bytes(w + v * next + 16 * j), b = load_bytes(w + v * next + 16 * j + 64);
      for (int r = 0; r < R; r++) {
        const uint8_t *row = x + r * stride + j;
        const __m256i first = _mm256_set1_epi32(four_bytes(row)), second = _mm256_set1_epi32(four_bytes(row + 4));
        const __m256i lo = _mm256_add_epi16(_mm256_maddubs_epi16(first, a.lo), _mm256_maddubs_epi16(second, b.lo));
        const __m256i hi = _mm256_add_epi16(_mm256_maddubs_epi16(first, a.hi), _mm256_maddubs_epi16(second, b.hi));
        acc[r][v].lo = _mm256_add_epi32(acc[r][v].lo, _mm256_madd_epi16(lo, ones));
        acc[r][v].hi = _mm256_add_epi32(acc[r][v].hi, _mm256_madd_epi16(hi, ones));
      }
    }
}

// Products of bytes that registers alone can make, whatever memory does: multiplications and additions in `rounds`.
static inline int64_t most_products(int rounds) {
  __m256i acc[8] = {}, w = _mm256_set1_epi8(1), product;
  for (int i = 0; i < rounds; i++)
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) asm volatile("vpmaddubsw %2, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(acc[j]), "=&x"(product) : "x"(w));
  return rounds * 8LL * 2 * 32;
}
