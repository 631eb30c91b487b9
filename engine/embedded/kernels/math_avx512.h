// Sixteen floats at a time: conversions, exp, tanh and their kin.
#pragma once
#include <immintrin.h>

#include <cstdint>

using f16v = __m512;  // sixteen floats

static inline f16v load(const float *p) { return _mm512_loadu_ps(p); }
static inline void store(float *p, f16v x) { _mm512_storeu_ps(p, x); }
static inline f16v set1(float x) { return _mm512_set1_ps(x); }

static inline f16v from_bf16(const uint16_t *p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}

static inline f16v from_fp16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }

// Round to nearest even. NaN stays NaN only if its high mantissa bits are set, which every NaN made by arithmetic has.
static inline __m256i to_bf16(f16v x) {
  __m512i u = _mm512_castps_si512(x);
  __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  u = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(u, 16));
}

static inline uint16_t to_bf16(float x) {
  union { float f; uint32_t u; } v{x};
  return (uint16_t)((v.u + 0x7fff + ((v.u >> 16) & 1)) >> 16);
}

// 2^(x log2 e) with a degree-6 polynomial on [-ln2/2, ln2/2]; relative error below 2e-7. exp(-inf) = 0.
static inline f16v exp16(f16v x) {
  x = _mm512_min_ps(_mm512_max_ps(x, set1(-104.f)), set1(88.7f));
  f16v n = _mm512_roundscale_ps(_mm512_mul_ps(x, set1(1.44269504f)), 0);
  f16v r = _mm512_fnmadd_ps(n, set1(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, set1(-2.12194440e-4f), r);
  f16v y = set1(1.38888889e-3f);
  y = _mm512_fmadd_ps(y, r, set1(8.33333333e-3f));
  y = _mm512_fmadd_ps(y, r, set1(4.16666667e-2f));
  y = _mm512_fmadd_ps(y, r, set1(1.66666667e-1f));
  y = _mm512_fmadd_ps(y, r, set1(0.5f));
  y = _mm512_fmadd_ps(y, r, set1(1.f));
  y = _mm512_fmadd_ps(y, r, set1(1.f));
  return _mm512_scalef_ps(y, n);
}

static inline f16v sigmoid16(f16v x) { return _mm512_div_ps(set1(1.f), _mm512_add_ps(set1(1.f), exp16(_mm512_sub_ps(set1(0.f), x)))); }
static inline f16v tanh16(f16v x) { return _mm512_fmsub_ps(set1(2.f), sigmoid16(_mm512_add_ps(x, x)), set1(1.f)); }

static inline f16v activation16(int kind, f16v x) {
  if (kind == 0) return _mm512_mul_ps(x, sigmoid16(x));
  f16v cube = _mm512_mul_ps(_mm512_mul_ps(x, x), x);
  f16v inner = _mm512_mul_ps(set1(0.79788456f), _mm512_fmadd_ps(set1(0.044715f), cube, x));
  return _mm512_mul_ps(_mm512_mul_ps(set1(0.5f), x), _mm512_add_ps(set1(1.f), tanh16(inner)));
}

static inline __mmask16 first(int n) { return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1); }
