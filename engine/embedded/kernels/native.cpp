// The fast CPU path: a list of Ops, run by a pool of threads. Plain C++17 without torch; loaded through ctypes.
// Each kernel has its naive twin in models/ops.py or engine/embedded/backend.py, and tests hold both together.
#include "op.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define STOA_KERNELS 1
#endif

#ifdef STOA_KERNELS
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

#include "pool.h"
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
#include "attention_avx512.h"
#include "linear_avx512.h"

namespace {

constexpr int ROWS = 16;  // rows of a small operation that one thread takes at a time

int chunks(int n, int size) { return (n + size - 1) / size; }

// EMBED  p: tokens int64 [T], q, scales, out [T, D]  n: T, D, format
void embed(const Op &op, int item) {
  const int dim = op.n[1], format = op.n[2], groups = dim / GROUP;
  for (int t = item * ROWS; t < std::min(op.n[0], (item + 1) * ROWS); t++) {
    const int64_t token = ((const int64_t *)op.p[0])[t];
    const int lane = token % 16;
    const auto *q = (const uint8_t *)op.p[1] + token / 16 * ((int64_t)dim * 16 * format / 8);
    const auto *scales = (const uint16_t *)op.p[2] + token / 16 * groups * (format == U4 ? 32 : 16);
    float *y = (float *)op.p[3] + (int64_t)t * dim;
    for (int i = 0; i < dim; i++) {
      const int g = i / GROUP, quad = i % GROUP / 4, at = lane * 4 + i % 4;
      if (format == BF16) {
        union { uint32_t u; float f; } v{(uint32_t)((const uint16_t *)q)[(i / 2) * 32 + lane * 2 + i % 2] << 16};
        y[i] = v.f;
      } else if (format == U4) {
        const int byte = q[g * 256 + (quad % 4) * 64 + at];
        y[i] = (quad < 4 ? byte & 15 : byte >> 4) * _cvtsh_ss(scales[g * 32 + lane]) + _cvtsh_ss(scales[g * 32 + 16 + lane]);
      } else {
        y[i] = (q[g * 512 + quad * 64 + at] - 128) * _cvtsh_ss(scales[g * 16 + lane]);
      }
    }
  }
}

// RMS_NORM  p: x, weight, out  n: A, B, D, stride of A, stride of B: rows (a, b) of x;  f: eps
void rms_norm(const Op &op, int item) {
  const int dim = op.n[2];
  const auto *w = (const float *)op.p[1];
  for (int row = item * ROWS; row < std::min(op.n[0] * op.n[1], (item + 1) * ROWS); row++) {
    const float *x = (const float *)op.p[0] + (int64_t)(row / op.n[1]) * op.n[3] + (int64_t)(row % op.n[1]) * op.n[4];
    float *y = (float *)op.p[2] + (int64_t)row * dim;
    f16v sum = set1(0);
    for (int d = 0; d < dim; d += 16) sum = _mm512_fmadd_ps(load(x + d), load(x + d), sum);
    const f16v r = set1(1.f / std::sqrt(_mm512_reduce_add_ps(sum) / dim + op.f[0]));
    for (int d = 0; d < dim; d += 16) store(y + d, _mm512_mul_ps(_mm512_mul_ps(load(x + d), r), load(w + d)));
  }
}

// ROTATE  p: x, table [P, R], positions int64, out [T, H, K]  n: T, H, K, stride of T, stride of H, R
void rotate(const Op &op, int item) {
  const int heads = op.n[1], dim = op.n[2], rot = op.n[5], half = rot / 2;
  for (int t = item * ROWS; t < std::min(op.n[0], (item + 1) * ROWS); t++) {
    const float *cos = (const float *)op.p[1] + ((const int64_t *)op.p[2])[t] * rot, *sin = cos + half;
    for (int h = 0; h < heads; h++) {
      const float *x = (const float *)op.p[0] + (int64_t)t * op.n[3] + (int64_t)h * op.n[4];
      float *y = (float *)op.p[3] + ((int64_t)t * heads + h) * dim;
      for (int i = 0; i < half; i++) {
        y[i] = x[i] * cos[i] - x[i + half] * sin[i];
        y[i + half] = x[i + half] * cos[i] + x[i] * sin[i];
      }
      std::memcpy(y + rot, x + rot, (dim - rot) * sizeof(float));
    }
  }
}

// QUANTIZE  p: x [T, I], out rows  n: T, I, format, bytes per row, stride of x
void quantize(const Op &op, int item) {
  for (int t = item * ROWS; t < std::min(op.n[0], (item + 1) * ROWS); t++)
    quantize_row((const float *)op.p[0] + (int64_t)t * op.n[4], (uint8_t *)op.p[1] + (int64_t)t * op.n[3], op.n[1], op.n[2]);
}

// LINEAR  p: quantized rows, q, scales, out [T, O], bias or null  n: T, I, O, format, bytes per row
constexpr int LINEAR_ROWS = 128;

int linear_blocks(const Op &op) {  // blocks of 16 outputs per item: about 24 KB of weights, 128 items at the most
  const int block_bytes = op.n[1] * 2 * op.n[3], all = op.n[2] / 16;
  return std::max({1, 24 * 1024 / block_bytes, all / 128});
}

void linear(const Op &op, int item) {
  const int per = linear_blocks(op), all = op.n[2] / 16, across = chunks(all, per);
  const int r = item / across * LINEAR_ROWS, b = item % across * per;
  linear_tile(op, r, std::min(op.n[0], r + LINEAR_ROWS), b, std::min(all, b + per));
}

// REMEMBER  p: k, v, key pages, value pages, table [S, W], starts, cached  n: S, G, K, W, strides of k (T, G), of v (T, G), T
void remember(const Op &op, int item) {
  const int groups = op.n[1], dim = op.n[2], width = op.n[3];
  const auto *table = (const int32_t *)op.p[4], *starts = (const int32_t *)op.p[5], *cached = (const int32_t *)op.p[6];
  int s = 0;
  for (int t = item * ROWS; t < std::min(op.n[8], (item + 1) * ROWS); t++) {
    while (t >= starts[s + 1]) s++;
    const int position = cached[s] + t - starts[s], slot = position % PAGE;
    const int64_t page = (int64_t)table[s * width + position / PAGE] * groups * dim * PAGE;
    for (int g = 0; g < groups; g++) {
      const float *k = (const float *)op.p[0] + (int64_t)t * op.n[4] + g * op.n[5], *v = (const float *)op.p[1] + (int64_t)t * op.n[6] + g * op.n[7];
      auto *keys = (uint16_t *)op.p[2] + page + g * dim * PAGE, *values = (uint16_t *)op.p[3] + page + g * dim * PAGE + slot * dim;
      for (int d = 0; d < dim; d++) keys[d * PAGE + slot] = to_bf16(k[d]);
      for (int d = 0; d < dim; d += 16) _mm256_storeu_si256((__m256i *)(values + d), to_bf16(load(v + d)));
    }
  }
}

// ATTEND  p: q, key pages, value pages, table, starts, cached, out [T, H, K], partial results
//         n: S, G, K, W, strides of q (T, H), H, window, splits that fit the partial results (0: merge here)  f: scale, softcap
int tiles(const Op &op, int s) {
  const auto *starts = (const int32_t *)op.p[4];
  return chunks((starts[s + 1] - starts[s]) * (op.n[6] / op.n[1]), TILE_ROWS);
}

int used_splits(int sequences, const int32_t *cached) {  // one new token each
  return chunks(*std::max_element(cached, cached + sequences) + 1, SPLIT);
}

int attend_items(const Op &op) {
  int all = 0;
  for (int s = 0; s < op.n[0]; s++) all += tiles(op, s) * op.n[1];
  return op.n[8] ? all * used_splits(op.n[0], (const int32_t *)op.p[5]) : all;
}

Keys keys_of(const Op &op, int s, int g) {
  const int64_t head = (int64_t)op.n[2] * PAGE;
  return {(const uint16_t *)op.p[1] + g * head, (const uint16_t *)op.p[2] + g * head, (const int32_t *)op.p[3] + (int64_t)s * op.n[3],
          head * op.n[1], op.n[2], op.n[7], op.f[0], op.f[1]};
}

// The rows of tile `tile` of kv head g: pairs (token, head) in order. Returns where each belongs in out.
void gather(const Op &op, int s, int g, int tile, Rows &rows, int64_t *home) {
  const auto *starts = (const int32_t *)op.p[4], *cached = (const int32_t *)op.p[5];
  const int share = op.n[6] / op.n[1], all = (starts[s + 1] - starts[s]) * share;
  rows.n = std::min(TILE_ROWS, all - tile * TILE_ROWS);
  rows.dim = op.n[2];
  for (int r = 0; r < rows.n; r++) {
    const int row = tile * TILE_ROWS + r, t = starts[s] + row / share, h = g * share + row % share;
    rows.q[r] = (const float *)op.p[0] + (int64_t)t * op.n[4] + (int64_t)h * op.n[5];
    rows.position[r] = cached[s] + row / share;
    home[r] = (int64_t)t * op.n[6] + h;
  }
}

void finish(float *out, const float *total, float mass, int dim) {
  for (int d = 0; d < dim; d += 16) store(out + d, _mm512_div_ps(load(total + d), set1(mass)));
}

void attend_tile(const Op &op, int s, int g, int tile) {
  alignas(64) Rows rows;
  alignas(64) float total[TILE_ROWS * MAX_DIM], top[TILE_ROWS], mass[TILE_ROWS];
  int64_t home[TILE_ROWS];
  gather(op, s, g, tile, rows, home);
  const int dim = rows.dim, end = rows.position[rows.n - 1] + 1;
  std::fill(top, top + rows.n, -INFINITY), std::fill(mass, mass + rows.n, 0.f), std::fill(total, total + rows.n * dim, 0.f);
  for (int from = 0; from < end; from += SPLIT) {
    look(keys_of(op, s, g), rows, from, std::min(from + SPLIT, end));
    for (int r = 0; r < rows.n; r++) merge(top + r, mass + r, total + r * dim, rows.top[r], rows.mass[r], rows.out(r), dim);
  }
  for (int r = 0; r < rows.n; r++) finish((float *)op.p[6] + home[r] * dim, total + r * dim, mass[r], dim);
}

// Partial result of (row of out, split): top, mass, 14 unused, then K sums.
float *partial(void *base, int64_t row, int splits, int split, int dim) { return (float *)base + (row * splits + split) * (16 + dim); }

void attend_split(const Op &op, int s, int g, int tile, int split) {
  const int length = ((const int32_t *)op.p[5])[s] + 1, from = split * SPLIT;
  if (from >= length) return;
  alignas(64) Rows rows;
  int64_t home[TILE_ROWS];
  gather(op, s, g, tile, rows, home);
  look(keys_of(op, s, g), rows, from, std::min(from + SPLIT, length));
  for (int r = 0; r < rows.n; r++) {
    float *at = partial(op.p[7], home[r], op.n[8], split, rows.dim);
    at[0] = rows.top[r], at[1] = rows.mass[r];
    std::memcpy(at + 16, rows.out(r), rows.dim * sizeof(float));
  }
}

void attend(const Op &op, int item) {
  const int splits = op.n[8] ? used_splits(op.n[0], (const int32_t *)op.p[5]) : 1;
  const int split = item % splits;
  item /= splits;
  for (int s = op.n[0] - 1;; s--) {  // the last sequences are prompts, the longest work: they go first
    const int here = tiles(op, s) * op.n[1];
    if (item >= here) {
      item -= here;
      continue;
    }
    const int g = item % op.n[1], tile = tiles(op, s) - 1 - item / op.n[1];
    return op.n[8] ? attend_split(op, s, g, tile, split) : attend_tile(op, s, g, tile);
  }
}

// COMBINE  p: partial results, cached, out [S, H, K]  n: S, H, K, splits that fit
void combine(const Op &op, int item) {
  const int heads = op.n[1], dim = op.n[2], s = item;
  const int splits = chunks(((const int32_t *)op.p[1])[s] + 1, SPLIT);
  alignas(64) float total[MAX_DIM];
  for (int h = 0; h < heads; h++) {
    const int64_t row = (int64_t)s * heads + h;
    float top = -INFINITY, mass = 0;
    std::fill(total, total + dim, 0.f);
    for (int i = 0; i < splits; i++) {
      const float *at = partial(op.p[0], row, op.n[3], i, dim);
      merge(&top, &mass, total, at[0], at[1], at + 16, dim);
    }
    finish((float *)op.p[2] + row * dim, total, mass, dim);
  }
}

// GATED  p: x [T, 2F], out [T, F]  n: T, F, activation.   ACTIVATE  the same with x [T, F].
void gate(const Op &op, int item) {
  const int hidden = op.n[1];
  for (int t = item * ROWS; t < std::min(op.n[0], (item + 1) * ROWS); t++) {
    const float *x = (const float *)op.p[0] + (int64_t)t * hidden * (op.code == GATED ? 2 : 1);
    float *y = (float *)op.p[1] + (int64_t)t * hidden;
    for (int i = 0; i < hidden; i += 16) {
      f16v a = activation16(op.n[2], load(x + i));
      store(y + i, op.code == GATED ? _mm512_mul_ps(a, load(x + hidden + i)) : a);
    }
  }
}

// ADD  p: x, y, out  n: count of floats
constexpr int ADD_CHUNK = 1 << 14;

void add(const Op &op, int item) {
  const auto *x = (const float *)op.p[0], *y = (const float *)op.p[1];
  for (int i = item * ADD_CHUNK; i < std::min(op.n[0], (item + 1) * ADD_CHUNK); i += 16) store((float *)op.p[2] + i, _mm512_add_ps(load(x + i), load(y + i)));
}

int items(const Op &op) {
  switch (op.code) {
    case LINEAR: return chunks(op.n[0], LINEAR_ROWS) * chunks(op.n[2] / 16, linear_blocks(op));
    case ATTEND: return attend_items(op);
    case COMBINE: return op.n[0];
    case REMEMBER: return chunks(op.n[8], ROWS);
    case RMS_NORM: return chunks(op.n[0] * op.n[1], ROWS);
    case ADD: return chunks(op.n[0], ADD_CHUNK);
    default: return chunks(op.n[0], ROWS);
  }
}

void run_item(const Op &op, int item) {
  switch (op.code) {
    case EMBED: return embed(op, item);
    case RMS_NORM: return rms_norm(op, item);
    case ROTATE: return rotate(op, item);
    case QUANTIZE: return quantize(op, item);
    case LINEAR: return linear(op, item);
    case REMEMBER: return remember(op, item);
    case ATTEND: return attend(op, item);
    case COMBINE: return combine(op, item);
    case GATED:
    case ACTIVATE: return gate(op, item);
    case ADD: return add(op, item);
  }
}

}  // namespace
#pragma GCC pop_options

extern "C" {
// Bit 0: the quantized kernels can run on this processor; bit 1: bf16 matrices too.
int stoa_supported() {
  __builtin_cpu_init();
  const bool base = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
  return base ? (__builtin_cpu_supports("avx512bf16") ? 3 : 1) : 0;
}
void *stoa_pool(int threads) { return new Pool(threads, items, run_item); }
void stoa_close(void *pool) { delete (Pool *)pool; }
void stoa_run(void *pool, const Op *ops, int n) { ((Pool *)pool)->run(ops, n); }
int stoa_row_bytes(int inputs) { return row_bytes(inputs); }
int stoa_op_bytes() { return sizeof(Op); }
}
#else
extern "C" {
int stoa_supported() { return 0; }
}
#endif
