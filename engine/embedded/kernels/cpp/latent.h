// Multi-head latent attention in the latents' own space (DeepSeek-V2, arXiv 2405.04434): of a token there is one row of C = R + P
// numbers, latent and rotary key, which is key and (its first R) value of every head. Pages are bf16 [P, 16, C]. All heads share a
// pass over them: a page is widened once, then scored and mixed for up to LATENT_ROWS pairs of token and head, which stand side by
// side in vectors (so no sum crosses lanes). Softmax goes page by page, results of splits of 256 keys are merged: both
// start at absolute positions, so a query's result does not depend on how the prompt was cut into steps or on who shares them.

constexpr float NOTHING = -1e30f, HIDDEN = -2e30f;  // the top of a row that has seen no key; the score of a key that it may not see
constexpr int SUMS = 4 * beside(ATTEND_TILE);     // sums that are kept in registers

struct Latents {  // of one sequence
  const uint16_t *pages;
  const int32_t *table;
  int rank, dim, window, width;  // rank: R and what fills it up to a multiple of sixteen; window 0: all; width: of the table, row to row
  float scale;
  const uint16_t *page(int i) const { return pages + (int64_t)table[std::min(i, width - 1)] * PAGE * dim; }
  int oldest(int position) const { return window ? std::max(0, position - window + 1) : 0; }
};

struct Heads {  // pairs of token and head, and what they have seen so far
  int n, lanes, position[LATENT_ROWS];
  alignas(64) float q[MAX_LATENT * LATENT_ROWS];  // [C, lanes]
  alignas(64) float top[LATENT_ROWS], mass[LATENT_ROWS], shrink[LATENT_ROWS];
  alignas(64) float weight[PAGE * LATENT_ROWS];  // [16, lanes]: scores, then weights
  alignas(64) float key[PAGE * MAX_LATENT + 16];  // [16, C]
  alignas(64) float sums[LATENT_ROWS * MAX_LATENT];
};

// Memory is far away, and pages lie anywhere in it: the next one is fetched while this one is used.
static void widen_page(const Latents &from, Heads &to, int i) {
  const uint16_t *page = from.page(i), *next = from.page(i + 1);
  for (int at = 0; at < PAGE * from.dim; at += 16) {
    if (at % 32 == 0) __builtin_prefetch(next + at, 0, 2);
    store(to.key + at, from_bf16(page + at));
  }
}

// J keys for V vectors of rows.
template <int J, int V>
static inline void score_keys(const Latents &latents, Heads &heads, int j0) {
  f16v sum[J][V];
  for (int j = 0; j < J; j++)
    for (int v = 0; v < V; v++) sum[j][v] = set1(0.f);
  const float *key = heads.key + j0 * latents.dim;
  for (int d = 0; d < latents.dim; d++) {
    f16v q[V];
    for (int v = 0; v < V; v++) q[v] = load(heads.q + (d * V + v) * 16);
    for (int j = 0; j < J; j++)
      for (int v = 0; v < V; v++) sum[j][v] = fmadd(set1(key[j * latents.dim + d]), q[v], sum[j][v]);
  }
  for (int j = 0; j < J; j++)
    for (int v = 0; v < V; v++) store(heads.weight + ((j0 + j) * V + v) * 16, sum[j][v] * set1(latents.scale));
}

template <int V>
static void score_page(const Latents &latents, Heads &heads) {
  for (int j = 0; j < PAGE; j += SUMS / V) score_keys<SUMS / V, V>(latents, heads, j);
}

// Which of sixteen rows see a key.
static inline uint16_t seeing(const Latents &latents, const int *position, int key) {
  int lanes = 0;
  for (int r = 0; r < 16; r++) lanes |= (key <= position[r] && key >= latents.oldest(position[r])) << r;
  return lanes;
}

// Scores of sixteen rows and `count` keys become weights.
static void weigh(const Latents &latents, Heads &heads, int r0, int from, int count) {
  const int *position = heads.position + r0;
  int last = INT32_MAX, oldest = 0;
  for (int r = 0; r < 16; r++) last = std::min(last, position[r]), oldest = std::max(oldest, latents.oldest(position[r]));
  const bool all = from >= oldest && from + count - 1 <= last;
  float *weight = heads.weight + r0;
  f16v high = load(heads.top + r0);
  for (int j = 0; j < count; j++) {
    if (!all) store(weight + j * heads.lanes, select(seeing(latents, position, from + j), load(weight + j * heads.lanes), set1(HIDDEN)));
    high = higher(high, load(weight + j * heads.lanes));
  }
  const f16v shrink = exp16(load(heads.top + r0) - high);
  f16v sum = set1(0.f);
  for (int j = 0; j < count; j++) {
    const f16v p = exp16(load(weight + j * heads.lanes) - high);
    store(weight + j * heads.lanes, p);
    sum = sum + p;
  }
  store(heads.mass + r0, fmadd(load(heads.mass + r0), shrink, sum));
  store(heads.top + r0, high), store(heads.shrink + r0, shrink);
}

template <int R, int V>
static inline void mix_channels(const Latents &latents, Heads &heads, int r0, int d0, int count) {
  f16v sum[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) sum[r][v] = load(heads.sums + (r0 + r) * latents.rank + d0 + 16 * v) * set1(heads.shrink[r0 + r]);
  for (int j = 0; j < count; j++)
    for (int v = 0; v < V; v++) {
      const f16v value = load(heads.key + j * latents.dim + d0 + 16 * v);
      for (int r = 0; r < R; r++) sum[r][v] = fmadd(set1(heads.weight[j * heads.lanes + r0 + r]), value, sum[r][v]);
    }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(heads.sums + (r0 + r) * latents.rank + d0 + 16 * v, sum[r][v]);
}

// R rows at a time, then what is left.
template <int V, int R = ATTEND_TILE>
static inline void mix_rows(const Latents &latents, Heads &heads, int d0, int count, int r = 0) {
  for (; r + R <= heads.n; r += R) mix_channels<R, V>(latents, heads, r, d0, count);
  if constexpr (R > 1) mix_rows<V, R - 1>(latents, heads, d0, count, r);
}

static void mix_page(const Latents &latents, Heads &heads, int count) {
  constexpr int V = beside(ATTEND_TILE);
  int d = 0;
  for (; d + 16 * V <= latents.rank; d += 16 * V) mix_rows<V>(latents, heads, d, count);
  for (; d < latents.rank; d += 16) mix_rows<1>(latents, heads, d, count);
}

// Keys [from, to) of one split, oldest page that any row still sees first: those before it may be gone.
static void look_at_latents(const Latents &latents, Heads &heads, int from, int to) {
  int oldest = INT32_MAX;
  for (int r = 0; r < heads.n; r++) oldest = std::min(oldest, latents.oldest(heads.position[r]));
  for (int r = 0; r < heads.lanes; r++) heads.top[r] = NOTHING, heads.mass[r] = 0;
  std::memset(heads.sums, 0, heads.n * latents.rank * sizeof(float));
  for (int key = std::max(from, oldest / PAGE * PAGE); key < to; key += PAGE) {
    const int count = std::min(PAGE, to - key);
    widen_page(latents, heads, key / PAGE);
    heads.lanes == 16 ? score_page<1>(latents, heads) : score_page<2>(latents, heads);
    for (int r = 0; r < heads.lanes; r += 16) weigh(latents, heads, r, key, count);
    mix_page(latents, heads, count);
  }
}

// ATTEND_LATENT  p: q [T, H, R], rotary q, pages, table (rows W apart), starts, cached, out [T, H, R filled up], partial results
//                n: S, H, R, P, W, strides of rotary q (T, H), window, splits that fit the partial results (0: merge here)  f: scale
static inline int filled_up(int rank) { return chunks(rank, 16) * 16; }

static Latents latents_of(const Op &op, int s) {
  const auto *table = (const int32_t *)op.p[3] + (int64_t)s * op.n[4];
  return {(const uint16_t *)op.p[2], table, filled_up(op.n[2]), op.n[2] + op.n[3], op.n[7], op.n[4], op.f[0]};
}

// The rows of tile `tile` of sequence s: pairs (token, head) in order. Returns the first one's place in out.
static int64_t gather_heads(const Op &op, int s, int tile, Heads &heads) {
  const auto *starts = (const int32_t *)op.p[4], *cached = (const int32_t *)op.p[5];
  const int share = op.n[1], rank = op.n[2], rotary = op.n[3], first = tile * LATENT_ROWS;
  heads.n = std::min(LATENT_ROWS, (starts[s + 1] - starts[s]) * share - first);
  heads.lanes = chunks(heads.n, 16) * 16;
  if (heads.n < heads.lanes) std::memset(heads.q, 0, heads.lanes * (rank + rotary) * sizeof(float));
  for (int r = 0; r < heads.lanes; r++) heads.position[r] = cached[s] + (first + std::min(r, heads.n - 1)) / share;
  for (int r = 0; r < heads.n; r++) {
    const int t = starts[s] + (first + r) / share, h = (first + r) % share;
    const float *latent = (const float *)op.p[0] + ((int64_t)t * share + h) * rank;
    const float *rotated = (const float *)op.p[1] + (int64_t)t * op.n[5] + (int64_t)h * op.n[6];
    for (int d = 0; d < rank; d++) heads.q[d * heads.lanes + r] = latent[d];
    for (int d = 0; d < rotary; d++) heads.q[(rank + d) * heads.lanes + r] = rotated[d];
  }
  return (int64_t)starts[s] * share + first;
}

static void attend_latent_tile(const Op &op, int s, int tile) {
  Heads heads;
  const int64_t home = gather_heads(op, s, tile, heads);
  const int rank = filled_up(op.n[2]), end = heads.position[heads.n - 1] + 1;
  float top[LATENT_ROWS], mass[LATENT_ROWS], *out = (float *)op.p[6] + home * rank;
  std::fill(top, top + heads.n, -INFINITY), std::fill(mass, mass + heads.n, 0.f), std::fill(out, out + heads.n * rank, 0.f);
  for (int from = 0; from < end; from += SPLIT) {
    look_at_latents(latents_of(op, s), heads, from, std::min(from + SPLIT, end));
    for (int r = 0; r < heads.n; r++) merge(top + r, mass + r, out + r * rank, heads.top[r], heads.mass[r], heads.sums + r * rank, rank);
  }
  for (int r = 0; r < heads.n; r++) finish(out + r * rank, out + r * rank, mass[r], rank);
}

static void attend_latent_split(const Op &op, int s, int tile, int split) {
  const int length = ((const int32_t *)op.p[5])[s] + 1, from = split * SPLIT, rank = filled_up(op.n[2]);
  if (from >= length) return;
  Heads heads;
  const int64_t home = gather_heads(op, s, tile, heads);
  look_at_latents(latents_of(op, s), heads, from, std::min(from + SPLIT, length));
  for (int r = 0; r < heads.n; r++) {
    float *at = partial(op.p[7], home + r, op.n[8], split, rank);
    at[0] = heads.top[r], at[1] = heads.mass[r];
    std::memcpy(at + 16, heads.sums + r * rank, rank * sizeof(float));
  }
}

static void attend_latent(const Op &op, int item) {
  const int splits = attend_splits(op), split = item % splits;
  item /= splits;
  for (int s = op.n[0] - 1;; s--) {  // the last sequences are prompts, the longest work: they go first
    const int here = latent_tiles(op, s);
    if (item < here) return op.n[8] ? attend_latent_split(op, s, here - 1 - item, split) : attend_latent_tile(op, s, here - 1 - item);
    item -= here;
  }
}

// COMBINE_LATENT  p: partial results, cached, out [S, H, R filled up]  n: S, H, R, splits that fit
static void combine_latent(const Op &op, int row) {
  const int rank = filled_up(op.n[2]), splits = chunks(((const int32_t *)op.p[1])[row / op.n[1]] + 1, SPLIT);
  float *out = (float *)op.p[2] + (int64_t)row * rank, top = -INFINITY, mass = 0;
  std::fill(out, out + rank, 0.f);
  for (int i = 0; i < splits; i++) {
    const float *at = partial(op.p[0], row, op.n[3], i, rank);
    merge(&top, &mass, out, at[0], at[1], at + 16, rank);
  }
  finish(out, out, mass, rank);
}

// REMEMBER_LATENT  p: latents, rotary keys, pages, table (rows W apart), starts, cached
//                  n: S, R, P, W, strides of latents and of rotary keys, T
static void remember_latent(const Op &op, int item) {
  const int rank = op.n[1], dim = rank + op.n[2], width = op.n[3];
  const auto *table = (const int32_t *)op.p[3], *starts = (const int32_t *)op.p[4], *cached = (const int32_t *)op.p[5];
  int s = 0;
  for (int t = item * ROWS; t < std::min(rows(op, op.n[6]), (item + 1) * ROWS); t++) {
    while (t >= starts[s + 1]) s++;
    const int position = cached[s] + t - starts[s];
    auto *to = (uint16_t *)op.p[2] + ((int64_t)table[s * width + position / PAGE] * PAGE + position % PAGE) * dim;
    const float *latent = (const float *)op.p[0] + (int64_t)t * op.n[4], *rotated = (const float *)op.p[1] + (int64_t)t * op.n[5];
    uint16_t row[MAX_LATENT + 32];
    by_sixteen(rank, [&](int d, auto lanes) { store_bf16(row + d, load(latent + d, lanes)); });
    by_sixteen(dim - rank, [&](int d, auto lanes) { store_bf16(row + rank + d, load(rotated + d, lanes)); });
    std::memcpy(to, row, dim * sizeof *row);
  }
}
