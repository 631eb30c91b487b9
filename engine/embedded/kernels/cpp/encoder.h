// What encoders need beside the rest: attention over whole sequences, in both directions.
// A sequence's numbers do not depend on those beside it: its keys lie in blocks of its own, looked at in an order of its own.

// Keys and values of a sequence as bf16 in blocks of sixteen keys, for each kv head K * 16 numbers: keys in pairs of channels
// (lane = key), values in pairs of keys (lane = channel). Behind the last key there are zeros.
static inline int64_t block_at(int g, int block, int blocks, int dim) { return ((int64_t)g * blocks + block) * dim * PAGE; }

struct Source {  // rows of one kv head
  const float *at;
  int64_t stride;
  f16v row(int j, int d, int rows) const { return j < rows ? load(at + j * stride + d) : set1(0.f); }
};

static void arrange_block(const Source &k, const Source &v, int dim, int keys, uint16_t *k_out, uint16_t *v_out) {
  alignas(64) uint16_t key[MAX_DIM], value[2][MAX_DIM];
  for (int j = 0; j < PAGE; j++) {
    for (int d = 0; d < dim; d += 16) {
      store_bf16(key + d, k.row(j, d, keys));
      store_bf16(value[j % 2] + d, v.row(j, d, keys));
    }
    for (int d = 0; d < dim; d += 2) std::memcpy(k_out + (d / 2 * PAGE + j) * 2, key + d, 4);
    if (j % 2)
      for (int d = 0; d < dim; d += 16) store_pairs(v_out + (j / 2 * dim + d) * 2, value[0] + d, value[1] + d);
  }
}

// ARRANGE  p: k [T, G, K], v, starts, keys out, values out  n: T, S, G, K, strides of k (T, G), of v (T, G), blocks
static void arrange(const Op &op, int block) {
  const auto *starts = (const int32_t *)op.p[2];
  const int dim = op.n[3];
  int s = sequences(starts, op.n[1]) - 1;
  while (first_block(starts, s) > block) s--;
  const int t = starts[s] + (block - first_block(starts, s)) * PAGE, keys = std::min(PAGE, starts[s + 1] - t);
  for (int g = 0; keys > 0 && g < op.n[2]; g++) {
    const int64_t at = block_at(g, block, op.n[8], dim);
    const Source k{(const float *)op.p[0] + (int64_t)t * op.n[4] + (int64_t)g * op.n[5], op.n[4]};
    const Source v{(const float *)op.p[1] + (int64_t)t * op.n[6] + (int64_t)g * op.n[7], op.n[6]};
    arrange_block(k, v, dim, keys, (uint16_t *)op.p[3] + at, (uint16_t *)op.p[4] + at);
  }
}

constexpr int SPAN = 256;      // keys that a softmax sees at once
constexpr int TILE_QUERIES = 6;   // queries that share a pass over the keys

struct Sight {  // one head of one sequence
  const uint8_t *keys, *values;
  int dim, length, distance;  // distance: how far either way a query sees; 0: everywhere
  float scale;                // positive; of scores whose power of two is taken
  const float *offsets;       // the head's row of a table (offsets.h), of scores before they are scaled; null: there is none
  int far;
};

struct Queries {
  int n, first;  // position of the first
  float top[TILE_QUERIES], mass[TILE_QUERIES];
  alignas(64) Bf16Activation q[TILE_QUERIES * MAX_DIM], weight[TILE_QUERIES * SPAN];
  alignas(64) float score[TILE_QUERIES * SPAN], sum[TILE_QUERIES * MAX_DIM];
};

template <int R, int V>
static inline void weigh_tile(const Sight &s, Queries &qs, int r0, int block, int from) {
  f16v acc[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) acc[r][v] = set1(0.f);
  const uint8_t *keys = s.keys + block * s.dim * 32LL;
  const auto *q = (const uint8_t *)(qs.q + r0 * s.dim);
  for (int d = 0; d < s.dim; d += 2)
    dot_pair<R, V>(acc, keys + d * 32, s.dim * 32LL, q + d * sizeof(Bf16Activation), s.dim * sizeof(Bf16Activation));
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(qs.score + (r0 + r) * SPAN + (block + v) * PAGE - from, acc[r][v]);
}

template <int R>
static inline void weigh_rows(const Sight &s, Queries &qs, int r0, int from, int to) {
  int block = from / PAGE;
  for (; (block + WIDE) * PAGE <= to; block += WIDE) weigh_tile<R, WIDE>(s, qs, r0, block, from);
  for (; block * PAGE < to; block++) weigh_tile<R, 1>(s, qs, r0, block, from);
}

template <int R, int V>
static inline void mix_rows_tile(const Sight &s, Queries &qs, int r0, int d0, int from, int to) {
  f16v acc[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) acc[r][v] = load(qs.sum + (r0 + r) * s.dim + d0 + 16 * v);
  const auto *weight = (const uint8_t *)(qs.weight + r0 * SPAN);
  for (int j = from; j < to; j += 2)
    dot_pair<R, V>(acc, s.values + j * s.dim * 2LL + d0 * 4, 64, weight + (j - from) * sizeof(Bf16Activation),
                   SPAN * sizeof(Bf16Activation));
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(qs.sum + (r0 + r) * s.dim + d0 + 16 * v, acc[r][v]);
}

template <int R>
static inline void mix_rows(const Sight &s, Queries &qs, int r0, int from, int to) {
  int d = 0;
  if constexpr (WIDE >= 4)
    for (; d + 64 <= s.dim; d += 64) mix_rows_tile<R, 4>(s, qs, r0, d, from, to);
  if constexpr (WIDE >= 2)
    for (; d + 32 <= s.dim; d += 32) mix_rows_tile<R, 2>(s, qs, r0, d, from, to);
  for (; d < s.dim; d += 16) mix_rows_tile<R, 1>(s, qs, r0, d, from, to);
}

// Scores of one row become weights; what was summed under a smaller maximum is scaled down.
static void soften_row(const Sight &s, Queries &qs, int r, int from, int to) {
  float *score = qs.score + r * SPAN - from;
  Bf16Activation *weight = qs.weight + r * SPAN - from;
  const int position = qs.first + r, oldest = s.distance ? position - s.distance : 0;
  const int newest = s.distance ? std::min(s.length - 1, position + s.distance) : s.length - 1;
  f16v high = set1(-INFINITY);
  for (int j = from; j < to; j += 16) {
    f16v x = load(score + j);
    if (s.offsets) store(score + j, x = x + load_offsets(s.offsets, s.far, s.far, j - position));
    if (j < oldest || j + 15 > newest) {
      x = select(first_lanes(newest - j + 1) & ~first_lanes(oldest - j), x, set1(-INFINITY));
      store(score + j, x);
    }
    high = higher(high, x);
  }
  const float top = std::fmax(qs.top[r], highest(high));
  if (top == -INFINITY) {  // nothing visible yet
    for (int j = from; j < to; j += 16) store_activations(weight + j, set1(0.f));
    return;
  }
  f16v sum = set1(0.f);
  const f16v scale = set1(s.scale), shift = set1(-top * s.scale);
  for (int j = from; j < to; j += 16) {
    const f16v p = exp2_16(fmadd(load(score + j), scale, shift));
    store_activations(weight + j, p);
    sum = sum + p;
  }
  const float shrink = any_lane(exp2_16(set1((qs.top[r] - top) * s.scale)));
  qs.mass[r] = qs.mass[r] * shrink + sum_of(sum);
  qs.top[r] = top;
  if (shrink != 1.f)
    for (int d = 0; d < s.dim; d += 16) store(qs.sum + r * s.dim + d, load(qs.sum + r * s.dim + d) * set1(shrink));
}

template <int R = TILE_QUERIES>
static inline void attend_span(const Sight &s, Queries &qs, int from, int to, int r = 0) {
  for (; r + R <= qs.n; r += R) {
    weigh_rows<R>(s, qs, r, from, to);
    for (int i = r; i < r + R; i++) soften_row(s, qs, i, from, to);
    mix_rows<R>(s, qs, r, from, to);
  }
  if constexpr (R > 1) attend_span<R - 1>(s, qs, from, to, r);
}

static void attend_queries(const Sight &s, Queries &qs) {
  std::fill(qs.top, qs.top + qs.n, -INFINITY), std::fill(qs.mass, qs.mass + qs.n, 0.f), std::fill(qs.sum, qs.sum + qs.n * s.dim, 0.f);
  const int end = chunks(s.length, PAGE) * PAGE;
  for (int from = 0; from < end; from += SPAN) {
    const int to = std::min(end, from + SPAN);
    if (s.distance && (to <= qs.first - s.distance || from > qs.first + qs.n - 1 + s.distance)) continue;
    attend_span(s, qs, from, to);
  }
}

// ATTEND_WHOLE  p: q [T, H, K], keys, values (as ARRANGE leaves them), starts, out [T, H, K], offsets [H, 2 far + 32] or null (offsets.h)
//               n: T, S, H, G, K, strides of q (T, H), blocks, distance, far  f: scale
static void attend_whole(const Op &op, int item) {
  const auto *starts = (const int32_t *)op.p[3];
  const int heads = op.n[2], dim = op.n[4], h = item % heads, s = item / heads;
  const int64_t at = 2 * block_at(h / (heads / op.n[3]), first_block(starts, s), op.n[7], dim);
  const int length = starts[s + 1] - starts[s];
  const float *offsets = op.p[5] ? (const float *)op.p[5] + (int64_t)h * offsets_width(op.n[9], op.n[9]) : nullptr;
  const Sight sight{(const uint8_t *)op.p[1] + at, (const uint8_t *)op.p[2] + at, dim, length, op.n[8], op.f[0] * 1.44269504f, offsets,
                    op.n[9]};
  Queries qs;
  for (qs.first = 0; qs.first < length; qs.first += qs.n) {
    qs.n = std::min(TILE_QUERIES, length - qs.first);
    const int64_t t = starts[s] + qs.first;
    for (int r = 0; r < qs.n; r++) {
      const float *q = (const float *)op.p[0] + (t + r) * op.n[5] + (int64_t)h * op.n[6];
      for (int d = 0; d < dim; d += 16) store_activations(qs.q + r * dim + d, load(q + d));
    }
    attend_queries(sight, qs);
    for (int r = 0; r < qs.n; r++) finish((float *)op.p[4] + ((t + r) * heads + h) * dim, qs.sum + r * dim, qs.mass[r], dim);
  }
}
