// Vectors of sixteen, for processors with AVX2, FMA and F16C: two halves. vec_avx512.h says the same things at once.

struct f16v {  // sixteen floats
  __m256 lo, hi;
};
struct i16v {  // sixteen int32, or 64 bytes
  __m256i lo, hi;
};

// Rows at a time, and in attention vectors (pages or channels) beside so many rows: what keeps 16 registers busy.
constexpr int LINEAR_TILE = 5, LINEAR_WIDE = 1, ATTEND_TILE = 6;
constexpr int beside(int rows) { return rows == 1 ? 4 : rows <= 3 ? 2 : 1; }
constexpr int WIDE_ROWS = 5, WIDE = 1;    // the same for bf16: so many rows of so many blocks of sixteen outputs
constexpr int BYTES_ROWS = 4, BYTES = 1;  // and for bytes

static inline f16v operator+(f16v a, f16v b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
static inline f16v operator-(f16v a, f16v b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
static inline f16v operator*(f16v a, f16v b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
static inline f16v operator/(f16v a, f16v b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }

static inline uint16_t first_lanes(int n) { return n >= 16 ? 0xffff : n <= 0 ? 0 : (1 << n) - 1; }
static inline __m256i chosen(int lanes) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(lanes), bit), bit);
}

static inline f16v load(const float *p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
static inline void store(float *p, f16v x) { _mm256_storeu_ps(p, x.lo), _mm256_storeu_ps(p + 8, x.hi); }
static inline f16v load(const float *p, int lanes) {
  const int first = first_lanes(lanes);
  return {_mm256_maskload_ps(p, chosen(first)), _mm256_maskload_ps(p + 8, chosen(first >> 8))};
}
static inline void store(float *p, f16v x, int lanes) {
  const int first = first_lanes(lanes);
  _mm256_maskstore_ps(p, chosen(first), x.lo), _mm256_maskstore_ps(p + 8, chosen(first >> 8), x.hi);
}
static inline f16v set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
static inline f16v fmadd(f16v a, f16v b, f16v c) { return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)}; }
static inline f16v fnmadd(f16v a, f16v b, f16v c) { return {_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)}; }
static inline f16v lower(f16v a, f16v b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
static inline f16v higher(f16v a, f16v b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
static inline f16v magnitude(f16v x) {
  const __m256 sign = _mm256_set1_ps(-0.f);
  return {_mm256_andnot_ps(sign, x.lo), _mm256_andnot_ps(sign, x.hi)};
}
static inline f16v nearest(f16v x) {
  constexpr int HOW = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(x.lo, HOW), _mm256_round_ps(x.hi, HOW)};
}

static inline i16v set1(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
static inline i16v to_int(f16v x) { return {_mm256_cvtps_epi32(x.lo), _mm256_cvtps_epi32(x.hi)}; }
static inline f16v to_float(i16v x) { return {_mm256_cvtepi32_ps(x.lo), _mm256_cvtepi32_ps(x.hi)}; }

static inline i16v plus(i16v a, i16v b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
static inline i16v minus(i16v a, i16v b) { return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)}; }
static inline i16v shifted_up(i16v x) { return {_mm256_slli_epi32(x.lo, 8), _mm256_slli_epi32(x.hi, 8)}; }
static inline i16v high_bytes(i16v x) {  // of a number of two signed bytes
  const i16v y = plus(x, set1(128));
  return {_mm256_srai_epi32(y.lo, 8), _mm256_srai_epi32(y.hi, 8)};
}

// In two steps, because 2^n alone may lie beyond the floats; |n| <= 250.
static inline __m256 times_two_to(__m256 x, __m256i n) {
  const __m256i bias = _mm256_set1_epi32(127), half = _mm256_srai_epi32(n, 1), rest = _mm256_sub_epi32(n, half);
  x = _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23)));
  return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23)));
}
static inline f16v times_two_to(f16v x, f16v n) {
  const i16v whole = to_int(n);
  return {times_two_to(x.lo, whole.lo), times_two_to(x.hi, whole.hi)};
}

static inline __m256 mask(int lanes) { return _mm256_castsi256_ps(chosen(lanes)); }
static inline f16v select(uint16_t lanes, f16v yes, f16v no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, mask(lanes)), _mm256_blendv_ps(no.hi, yes.hi, mask(lanes >> 8))};
}

static inline f16v where_at_least(f16v x, float limit, f16v y) {  // 0 elsewhere
  const __m256 l = _mm256_set1_ps(limit);
  return {_mm256_and_ps(y.lo, _mm256_cmp_ps(x.lo, l, _CMP_GE_OQ)), _mm256_and_ps(y.hi, _mm256_cmp_ps(x.hi, l, _CMP_GE_OQ))};
}
// Numbers `stride` apart; those beyond the first `lanes` repeat the last of them.
static inline f16v load_apart(const float *p, int stride, int lanes) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), last = _mm256_set1_epi32(lanes - 1), apart = _mm256_set1_epi32(stride);
  const __m256i next = _mm256_add_epi32(lane, _mm256_set1_epi32(8));
  const __m256i lo = _mm256_mullo_epi32(_mm256_min_epi32(lane, last), apart), hi = _mm256_mullo_epi32(_mm256_min_epi32(next, last), apart);
  return {_mm256_i32gather_ps(p, lo, 4), _mm256_i32gather_ps(p, hi, 4)};
}

static inline float sum_of(f16v x) {
  const __m256 eight = _mm256_add_ps(x.lo, x.hi);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float highest(f16v x) {
  const __m256 eight = _mm256_max_ps(x.lo, x.hi);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
static inline float any_lane(f16v x) { return _mm256_cvtss_f32(x.lo); }
static inline int32_t sum_of(i16v a, i16v b) {
  const __m256i eight = _mm256_add_epi32(_mm256_add_epi32(a.lo, a.hi), _mm256_add_epi32(b.lo, b.hi));
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(two) + _mm_extract_epi32(two, 1);
}

// Packing works within each 128 bits, so the middle quarters come out swapped.
static inline __m256i in_order(__m256i packed) { return _mm256_permute4x64_epi64(packed, 0xd8); }
static inline void store_bytes(void *p, i16v x) {
  const __m256i words = in_order(_mm256_packs_epi32(x.lo, x.hi));
  _mm_storeu_si128((__m128i *)p, _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

static inline __m256 high_halves(__m256i x) { return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16)); }
static inline i16v load_bytes(const void *p) {
  return {_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)p + 1)};
}
static inline f16v from_fp16(const uint16_t *p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)), _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p + 1))};
}
static inline f16v from_bf16(const uint16_t *p) {
  const auto *half = (const __m128i *)p;
  return {high_halves(_mm256_cvtepu16_epi32(_mm_loadu_si128(half))), high_halves(_mm256_cvtepu16_epi32(_mm_loadu_si128(half + 1)))};
}

// Rounds to nearest even. NaN stays NaN only if its high mantissa bits are set, which every NaN made by arithmetic has.
static inline __m256i round_to_bf16(__m256 x) {
  const __m256i u = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  return _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
}
static inline void store_bf16(void *p, f16v x) {
  _mm256_storeu_si256((__m256i *)p, in_order(_mm256_packus_epi32(round_to_bf16(x.lo), round_to_bf16(x.hi))));
}

// Sixteen pairs of sixteen bits: one of each.
static inline void store_pairs(void *p, const uint16_t *first, const uint16_t *second) {
  for (int i = 0; i < 2; i++) {
    const __m256i a = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)first + i));
    const __m256i b = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)second + i));
    _mm256_storeu_si256((__m256i *)p + i, _mm256_or_si256(a, _mm256_slli_epi32(b, 16)));
  }
}

// Sixteen pairs of bf16: the first of each, the second of each.
static inline f16v firsts_bf16(const void *p) {
  const i16v v = load_bytes(p);
  return {high_halves(v.lo), high_halves(v.hi)};
}
static inline f16v seconds_bf16(const void *p) {
  const __m256 high = _mm256_castsi256_ps(_mm256_set1_epi32((int32_t)0xffff0000));
  const f16v v = load((const float *)p);
  return {_mm256_and_ps(v.lo, high), _mm256_and_ps(v.hi, high)};
}
