// Paged attention with an online softmax (Milakov & Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022, arXiv 2205.14135).
// Pages are bf16: keys [P, G, K, 16] (sixteen keys side by side, so one vector is one channel of a page), values [P, G, 16, K].
// Keys are looked at in blocks of 64 and splits of 256 that start at absolute positions, so a query's result does not
// depend on how the prompt was cut into steps or on who shares them.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>

#include "math_avx512.h"
#include "op.h"

constexpr int BLOCK = 64;       // keys per softmax step
constexpr int MAX_DIM = 256;    // head size
constexpr int TILE_ROWS = 48;   // (token, head) pairs that share a pass over the keys

struct Keys {  // one kv head of one sequence
  const uint16_t *k, *v;
  const int32_t *table;
  int64_t page_stride;  // elements between pages
  int dim, window;      // window 0: all
  float scale, softcap;
  const uint16_t *key_page(int page) const { return k + table[page] * page_stride; }
  const uint16_t *value_page(int page) const { return v + table[page] * page_stride; }
};

struct Rows {  // queries and what they have seen so far
  int n, dim;
  const float *q[TILE_ROWS];
  int position[TILE_ROWS];
  alignas(64) float top[TILE_ROWS], mass[TILE_ROWS];
  alignas(64) float sums[TILE_ROWS * MAX_DIM];
  alignas(64) float score[TILE_ROWS][BLOCK];
  float *out(int r) { return sums + r * dim; }  // packed: a fixed stride would crowd a few cache sets
};

template <int R, int P>
static inline void scores(const Keys &keys, Rows &rows, int r0, int page0, int lane0) {
  f16v acc[R][P];
  const uint16_t *page[P];
  for (int p = 0; p < P; p++) page[p] = keys.key_page(page0 + p);
  for (int r = 0; r < R; r++)
    for (int p = 0; p < P; p++) acc[r][p] = set1(0);
  for (int d = 0; d < keys.dim; d++)
    for (int p = 0; p < P; p++) {
      f16v k = from_bf16(page[p] + d * PAGE);
      for (int r = 0; r < R; r++) acc[r][p] = _mm512_fmadd_ps(set1(rows.q[r0 + r][d]), k, acc[r][p]);
    }
  for (int r = 0; r < R; r++)
    for (int p = 0; p < P; p++) store(rows.score[r0 + r] + lane0 + p * PAGE, _mm512_mul_ps(acc[r][p], set1(keys.scale)));
}

template <int P>
static void scores_of_pages(const Keys &keys, Rows &rows, int page0, int lane0) {
  int r = 0;
  for (; r + 6 <= rows.n; r += 6) scores<6, P>(keys, rows, r, page0, lane0);
  switch (rows.n - r) {
    case 1: scores<1, P>(keys, rows, r, page0, lane0); break;
    case 2: scores<2, P>(keys, rows, r, page0, lane0); break;
    case 3: scores<3, P>(keys, rows, r, page0, lane0); break;
    case 4: scores<4, P>(keys, rows, r, page0, lane0); break;
    case 5: scores<5, P>(keys, rows, r, page0, lane0); break;
  }
}

// Scores of one row become weights; what was summed under a smaller maximum is scaled down.
static void soften(const Keys &keys, Rows &rows, int r, int from, int count) {
  const int first_seen = keys.window ? rows.position[r] - keys.window + 1 : 0;
  const f16v none = set1(-INFINITY);
  f16v s[BLOCK / 16], high = none;
  for (int v = 0; v < BLOCK / 16; v++) {
    int key = from + 16 * v;
    __mmask16 seen = first(rows.position[r] - key + 1) & ~first(first_seen - key) & first(count - 16 * v);
    s[v] = load(rows.score[r] + 16 * v);
    if (keys.softcap > 0) s[v] = _mm512_mul_ps(set1(keys.softcap), tanh16(_mm512_mul_ps(s[v], set1(1.f / keys.softcap))));
    s[v] = _mm512_mask_blend_ps(seen, none, s[v]);
    high = _mm512_max_ps(high, s[v]);
  }
  float top = std::fmax(rows.top[r], _mm512_reduce_max_ps(high));
  if (top == -INFINITY) {  // nothing visible yet
    for (int v = 0; v < BLOCK / 16; v++) store(rows.score[r] + 16 * v, set1(0));
    return;
  }
  f16v sum = set1(0);
  for (int v = 0; v < BLOCK / 16; v++) {
    f16v p = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(s[v], none, _CMP_NEQ_OQ), exp16(_mm512_sub_ps(s[v], set1(top))));
    store(rows.score[r] + 16 * v, p);
    sum = _mm512_add_ps(sum, p);
  }
  float shrink = rows.top[r] == -INFINITY ? 0.f : _mm512_cvtss_f32(exp16(set1(rows.top[r] - top)));
  rows.mass[r] = rows.mass[r] * shrink + _mm512_reduce_add_ps(sum);
  rows.top[r] = top;
  if (shrink != 1.f)
    for (int d = 0; d < keys.dim; d += 16) store(rows.out(r) + d, _mm512_mul_ps(load(rows.out(r) + d), set1(shrink)));
}

template <int R, int V>
static inline void mix(const Keys &keys, Rows &rows, int r0, int d0, int page0, int count) {
  f16v acc[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) acc[r][v] = load(rows.out(r0 + r) + d0 + 16 * v);
  for (int j0 = 0; j0 < count; j0 += PAGE) {
    const uint16_t *page = keys.value_page(page0 + j0 / PAGE) + d0;
    const int end = count - j0 < PAGE ? count - j0 : PAGE;
    for (int j = 0; j < end; j++)
      for (int v = 0; v < V; v++) {
        f16v value = from_bf16(page + j * keys.dim + 16 * v);
        for (int r = 0; r < R; r++) acc[r][v] = _mm512_fmadd_ps(set1(rows.score[r0 + r][j0 + j]), value, acc[r][v]);
      }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(rows.out(r0 + r) + d0 + 16 * v, acc[r][v]);
}

template <int V>
static void mix_channels(const Keys &keys, Rows &rows, int d0, int page0, int count) {
  int r = 0;
  for (; r + 6 <= rows.n; r += 6) mix<6, V>(keys, rows, r, d0, page0, count);
  switch (rows.n - r) {
    case 1: mix<1, V>(keys, rows, r, d0, page0, count); break;
    case 2: mix<2, V>(keys, rows, r, d0, page0, count); break;
    case 3: mix<3, V>(keys, rows, r, d0, page0, count); break;
    case 4: mix<4, V>(keys, rows, r, d0, page0, count); break;
    case 5: mix<5, V>(keys, rows, r, d0, page0, count); break;
  }
}

// Keys [from, to) of one split, oldest page that any row still sees first.
static void look(const Keys &keys, Rows &rows, int from, int to) {
  for (int r = 0; r < rows.n; r++) {
    rows.top[r] = -INFINITY, rows.mass[r] = 0;
    std::memset(rows.out(r), 0, keys.dim * sizeof(float));
  }
  int oldest = INT32_MAX;
  for (int r = 0; r < rows.n; r++) oldest = std::min(oldest, keys.window ? std::max(0, rows.position[r] - keys.window + 1) : 0);
  for (int block = from; block < to; block += BLOCK) {
    const int count = std::min(BLOCK, to - block);
    int skip = std::max(0, (oldest - block) / PAGE);  // pages behind every window may be gone
    if (skip * PAGE >= count) continue;
    const int begin = block + skip * PAGE, left = count - skip * PAGE;
    const int pages = (left + PAGE - 1) / PAGE;
    int p = 0;
    for (; p + 2 <= pages; p += 2) scores_of_pages<2>(keys, rows, begin / PAGE + p, p * PAGE);
    for (; p < pages; p++) scores_of_pages<1>(keys, rows, begin / PAGE + p, p * PAGE);
    for (int r = 0; r < rows.n; r++) soften(keys, rows, r, begin, left);
    int d = 0;
    for (; d + 64 <= keys.dim; d += 64) mix_channels<4>(keys, rows, d, begin / PAGE, left);
    for (; d < keys.dim; d += 16) mix_channels<1>(keys, rows, d, begin / PAGE, left);
  }
}

// Merges a split into what earlier splits found: total = (top, mass, out).
static void merge(float *top, float *mass, float *total, float split_top, float split_mass, const float *out, int dim) {
  if (split_top == -INFINITY) return;
  float high = std::fmax(*top, split_top);
  float a = *top == -INFINITY ? 0.f : std::exp(*top - high), b = std::exp(split_top - high);
  for (int d = 0; d < dim; d += 16) store(total + d, _mm512_fmadd_ps(set1(b), load(out + d), _mm512_mul_ps(set1(a), load(total + d))));
  *mass = *mass * a + split_mass * b;
  *top = high;
}
