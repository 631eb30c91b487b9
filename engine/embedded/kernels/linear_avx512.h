// Matrices. Packed for sixteen outputs at a time:
//   U4    per block of 16 outputs and group of 32 inputs 256 bytes: four vectors, vector j holding inputs 4j..4j+3 of
//         each output in its low nibbles and 4j+16..4j+19 in its high ones; scales: 16 fp16 scale, then 16 fp16 low
//   U8    the same in 512 bytes, vector j holding inputs 4j..4j+3 as q + 128; scales: 16 fp16 scale
//   BF16  per block and pair of inputs 64 bytes: two inputs of each output
// Activations become signed bytes with one scale per group of 32 inputs of a row (U4, U8) or bf16. A row's result never
// depends on the rows beside it: the order of its additions is the same for one row and for five hundred.
#pragma once
#include "math_avx512.h"
#include "op.h"

// A quantized row: I bytes, then G scales, then G corrections (U4: scale * sum, float; U8: -128 * sum, int32).
static inline int row_bytes(int inputs) { return (inputs + 8 * (inputs / GROUP) + 63) & ~63; }

static inline void quantize_group(const float *x, int8_t *q, float *scale, int32_t *sum) {
  f16v a = load(x), b = load(x + 16);
  float top = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
  f16v inverse = set1(top > 0 ? 127.f / top : 0.f);
  __m512i qa = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse)), qb = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
  _mm_storeu_si128((__m128i *)q, _mm512_cvtepi32_epi8(qa));
  _mm_storeu_si128((__m128i *)(q + 16), _mm512_cvtepi32_epi8(qb));
  *scale = top / 127.f;
  *sum = _mm512_reduce_add_epi32(_mm512_add_epi32(qa, qb));
}

static void quantize_row(const float *x, uint8_t *row, int inputs, int format) {
  if (format == BF16) {
    for (int i = 0; i < inputs; i += 16) _mm256_storeu_si256((__m256i *)(row + 2 * i), to_bf16(load(x + i)));
    return;
  }
  const int groups = inputs / GROUP;
  float *scale = (float *)(row + inputs);
  for (int g = 0; g < groups; g++) {
    int32_t sum;
    quantize_group(x + g * GROUP, (int8_t *)row + g * GROUP, scale + g, &sum);
    if (format == U4)
      scale[groups + g] = scale[g] * sum;
    else
      ((int32_t *)scale)[groups + g] = -128 * sum;
  }
}

template <int R>
static inline void dot_group(__m512i *acc, const __m512i *w, const uint8_t *x, int stride) {
  for (int j = 0; j < 8; j++)
    for (int r = 0; r < R; r++) acc[r] = _mm512_dpbusd_epi32(acc[r], w[j], _mm512_set1_epi32(*(const int32_t *)(x + r * stride + 4 * j)));
}

template <int R>
static void block_u4(const uint8_t *w, const uint16_t *scales, const uint8_t *x, int stride, int inputs, float *y, int y_stride) {
  const int groups = inputs / GROUP;
  const __m512i low4 = _mm512_set1_epi8(15);
  f16v sum[R];
  for (int r = 0; r < R; r++) sum[r] = set1(0);
  for (int g = 0; g < groups; g++, w += 256, scales += 32) {
    __m512i q[8], acc[R];
    for (int j = 0; j < 4; j++) {
      __m512i v = _mm512_loadu_si512(w + 64 * j);
      q[j] = _mm512_and_si512(v, low4);
      q[j + 4] = _mm512_and_si512(_mm512_srli_epi16(v, 4), low4);
    }
    for (int r = 0; r < R; r++) acc[r] = _mm512_setzero_si512();
    dot_group<R>(acc, q, x + g * GROUP, stride);
    f16v d = from_fp16(scales), m = from_fp16(scales + 16);
    for (int r = 0; r < R; r++) {
      const float *sx = (const float *)(x + r * stride + inputs) + g;
      sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[r]), _mm512_mul_ps(d, set1(sx[0])), sum[r]);
      sum[r] = _mm512_fmadd_ps(m, set1(sx[groups]), sum[r]);
    }
  }
  for (int r = 0; r < R; r++) store(y + r * y_stride, sum[r]);
}

template <int R>
static void block_u8(const uint8_t *w, const uint16_t *scales, const uint8_t *x, int stride, int inputs, float *y, int y_stride) {
  const int groups = inputs / GROUP;
  f16v sum[R];
  for (int r = 0; r < R; r++) sum[r] = set1(0);
  for (int g = 0; g < groups; g++, w += 512, scales += 16) {
    __m512i q[8], acc[R];
    for (int j = 0; j < 8; j++) q[j] = _mm512_loadu_si512(w + 64 * j);
    for (int r = 0; r < R; r++) acc[r] = _mm512_set1_epi32(((const int32_t *)(x + r * stride + inputs))[groups + g]);
    dot_group<R>(acc, q, x + g * GROUP, stride);
    f16v d = from_fp16(scales);
    for (int r = 0; r < R; r++) {
      float sx = ((const float *)(x + r * stride + inputs))[g];
      sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[r]), _mm512_mul_ps(d, set1(sx)), sum[r]);
    }
  }
  for (int r = 0; r < R; r++) store(y + r * y_stride, sum[r]);
}

template <int R>
__attribute__((target("avx512bf16"))) static void block_bf16(const uint8_t *w, const uint16_t *, const uint8_t *x, int stride, int inputs,
                                                             float *y, int y_stride) {
  f16v sum[R];
  for (int r = 0; r < R; r++) sum[r] = set1(0);
  for (int i = 0; i < inputs; i += 2, w += 64) {
    __m512bh v = (__m512bh)_mm512_loadu_si512(w);
    for (int r = 0; r < R; r++) sum[r] = _mm512_dpbf16_ps(sum[r], v, (__m512bh)_mm512_set1_epi32(*(const int32_t *)(x + r * stride + 2 * i)));
  }
  for (int r = 0; r < R; r++) store(y + r * y_stride, sum[r]);
}

using Block = void (*)(const uint8_t *, const uint16_t *, const uint8_t *, int, int, float *, int);
#define STOA_ROWS(f) {f<1>, f<2>, f<3>, f<4>, f<5>, f<6>, f<7>, f<8>}
static const Block BLOCKS_U4[8] = STOA_ROWS(block_u4), BLOCKS_U8[8] = STOA_ROWS(block_u8), BLOCKS_BF16[8] = STOA_ROWS(block_bf16);

// Rows [r0, r1) times outputs [16 b0, 16 b1). y is [rows, outputs].
static void linear_tile(const Op &op, int r0, int r1, int b0, int b1) {
  const int inputs = op.n[1], outputs = op.n[2], format = op.n[3], stride = op.n[4];
  const Block *blocks = format == U4 ? BLOCKS_U4 : format == U8 ? BLOCKS_U8 : BLOCKS_BF16;
  const int64_t block_bytes = format == BF16 ? 32LL * inputs : (int64_t)inputs * 16 * format / 8;
  const int64_t block_scales = (int64_t)inputs / GROUP * (format == U4 ? 32 : 16);
  const auto *x = (const uint8_t *)op.p[0], *w = (const uint8_t *)op.p[1];
  const auto *scales = (const uint16_t *)op.p[2];
  auto *y = (float *)op.p[3];
  const auto *bias = (const float *)op.p[4];
  for (int b = b0; b < b1; b++)
    for (int r = r0; r < r1; r += 8) {
      int rows = r1 - r < 8 ? r1 - r : 8;
      float *out = y + (int64_t)r * outputs + 16 * b;
      blocks[rows - 1](w + b * block_bytes, scales + b * block_scales, x + (int64_t)r * stride, stride, inputs, out, outputs);
      for (int i = 0; bias && i < rows; i++) {
        float *at = out + (int64_t)i * outputs;
        store(at, _mm512_add_ps(load(at), load(bias + 16 * b)));
      }
    }
}
