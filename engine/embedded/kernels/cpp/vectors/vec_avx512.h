// Vectors of sixteen, for processors with AVX-512 VNNI. vec_avx2.h says the same things in halves.

using f16v = __m512;   // sixteen floats; GCC gives it + - * /
using i16v = __m512i;  // sixteen int32, or 64 bytes

// Rows at a time, and in attention vectors (pages or channels) beside so many rows: what keeps 32 registers busy.
constexpr int LINEAR_TILE = 6, LINEAR_WIDE = 2, ATTEND_TILE = 6;
constexpr int beside(int) { return 4; }
constexpr int WIDE_ROWS = 6, WIDE = 4;    // the same for bf16: so many rows of so many blocks of sixteen outputs
constexpr int BYTES_ROWS = 5, BYTES = 2;  // and for bytes

static inline uint16_t first_lanes(int n) { return n >= 16 ? 0xffff : n <= 0 ? 0 : (1 << n) - 1; }

static inline f16v load(const float *p) { return _mm512_loadu_ps(p); }
static inline void store(float *p, f16v x) { _mm512_storeu_ps(p, x); }
static inline f16v load(const float *p, int lanes) { return _mm512_maskz_loadu_ps(first_lanes(lanes), p); }
static inline void store(float *p, f16v x, int lanes) { _mm512_mask_storeu_ps(p, first_lanes(lanes), x); }
static inline f16v set1(float x) { return _mm512_set1_ps(x); }
static inline f16v fmadd(f16v a, f16v b, f16v c) { return _mm512_fmadd_ps(a, b, c); }
static inline f16v fnmadd(f16v a, f16v b, f16v c) { return _mm512_fnmadd_ps(a, b, c); }
static inline f16v lower(f16v a, f16v b) { return _mm512_min_ps(a, b); }
static inline f16v higher(f16v a, f16v b) { return _mm512_max_ps(a, b); }
static inline f16v magnitude(f16v x) { return _mm512_abs_ps(x); }
static inline f16v nearest(f16v x) { return _mm512_roundscale_ps(x, 0); }
static inline f16v times_two_to(f16v x, f16v n) { return _mm512_scalef_ps(x, n); }
static inline f16v select(uint16_t lanes, f16v yes, f16v no) { return _mm512_mask_blend_ps(lanes, no, yes); }
static inline f16v where_at_least(f16v x, float limit, f16v y) {  // 0 elsewhere
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, set1(limit), _CMP_GE_OQ), y);
}
// Numbers `stride` apart; those beyond the first `lanes` repeat the last of them.
static inline f16v load_apart(const float *p, int stride, int lanes) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i at = _mm512_mullo_epi32(_mm512_min_epi32(lane, _mm512_set1_epi32(lanes - 1)), _mm512_set1_epi32(stride));
  return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), 0xffff, at, p, 4);
}

static inline float sum_of(f16v x) { return _mm512_reduce_add_ps(x); }
static inline float highest(f16v x) { return _mm512_reduce_max_ps(x); }
static inline float any_lane(f16v x) { return _mm512_cvtss_f32(x); }

static inline i16v set1(int32_t x) { return _mm512_set1_epi32(x); }
static inline i16v to_int(f16v x) { return _mm512_cvtps_epi32(x); }
static inline f16v to_float(i16v x) { return _mm512_cvtepi32_ps(x); }
static inline int32_t sum_of(i16v a, i16v b) { return _mm512_reduce_add_epi32(_mm512_add_epi32(a, b)); }
static inline i16v plus(i16v a, i16v b) { return _mm512_add_epi32(a, b); }
static inline i16v minus(i16v a, i16v b) { return _mm512_sub_epi32(a, b); }
static inline i16v shifted_up(i16v x) { return _mm512_slli_epi32(x, 8); }
static inline i16v high_bytes(i16v x) { return _mm512_srai_epi32(plus(x, set1(128)), 8); }  // of a number of two signed bytes
static inline i16v load_bytes(const void *p) { return _mm512_loadu_si512(p); }
static inline void store_bytes(void *p, i16v x) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(x)); }

static inline f16v from_fp16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
static inline f16v from_bf16(const uint16_t *p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}

// Rounds to nearest even. NaN stays NaN only if its high mantissa bits are set, which every NaN made by arithmetic has.
static inline void store_bf16(void *p, f16v x) {
  __m512i u = _mm512_castps_si512(x);
  __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  u = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(u, 16)));
}

// Sixteen pairs of sixteen bits: one of each.
static inline void store_pairs(void *p, const uint16_t *first, const uint16_t *second) {
  const __m512i a = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)first));
  const __m512i b = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)second));
  _mm512_storeu_si512(p, _mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
}

// Sixteen pairs of bf16: the first of each, the second of each.
static inline f16v firsts_bf16(const void *p) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16)); }
static inline f16v seconds_bf16(const void *p) {
  return _mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi32((int32_t)0xffff0000)));
}

// One group of N quads of inputs, exactly, for V blocks side by side, each `next` bytes behind the one before: acc[r][v] += unsigned weights
// of sixteen outputs x signed bytes of row r. B bits.
template <int B, int N, int R, int V>
static inline void dot(i16v (*acc)[V], const uint8_t *w, int64_t next, const uint8_t *x, int64_t stride) {
  const i16v low4 = _mm512_set1_epi8(15);
#pragma GCC unroll 8
  for (int j = 0; j < N * B / 8; j++) {
    i16v q[2][V];
    for (int v = 0; v < V; v++) {
      const i16v both = load_bytes(w + v * next + 64 * j);
      q[0][v] = B == 8 ? both : _mm512_and_si512(both, low4);
      if (B == 4) q[1][v] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low4);
    }
    for (int half = 0; half < 8 / B; half++)
      for (int r = 0; r < R; r++) {
        const i16v four = set1(four_bytes(x + r * stride + 4 * j + 2 * N * half));
        for (int v = 0; v < V; v++) acc[r][v] = _mm512_dpbusd_epi32(acc[r][v], q[half][v], four);
      }
  }
}

constexpr int TOP_ACTIVATION = 127, TOP_FOUR = 4 * 128;  // in bytes.h: all of them

// V blocks side by side: those behind the first begin `next` bytes further on.
template <int R, int V>
static inline void dot_blocks(i16v (*acc)[V], const uint8_t *w, int64_t next, const uint8_t *x, int64_t stride) {
#pragma GCC unroll 8
  for (int j = 0; j < 8; j++) {
    i16v q[V];
    for (int v = 0; v < V; v++) q[v] = _mm512_loadu_si512(w + v * next + 64 * j);
    for (int r = 0; r < R; r++) {
      const i16v four = set1(four_bytes(x + r * stride + 4 * j));
      for (int v = 0; v < V; v++) acc[r][v] = _mm512_dpbusd_epi32(acc[r][v], four, q[v]);
    }
  }
}

// Products of bytes that registers alone can make, whatever memory does: multiplications and additions in `rounds`.
static inline int64_t most_products(int rounds) {
  i16v acc[12] = {}, w = set1(1);
  for (int i = 0; i < rounds; i++)
#pragma GCC unroll 12
    for (int j = 0; j < 12; j++) asm volatile("vpdpbusd %1, %1, %0" : "+v"(acc[j]) : "v"(w));
  return rounds * 12LL * 2 * 64;
}
