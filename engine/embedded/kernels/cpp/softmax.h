// Attention over one split of a sequence's keys, with an online softmax (Milakov & Gimelshein 2018, arXiv 1805.02867;
// Dao et al. 2022, arXiv 2205.14135). Pages are bf16: keys [P, G, K, 16] (sixteen keys side by side, so one vector is one
// channel of a page), values [P, G, 16, K]. Keys are looked at in blocks of 64 (where a mask has gaps: of 256, of which few are left)
// and splits of 256 that start at absolute positions, so a query's result does not depend on how the prompt was cut into steps or on who shares them: pages that none of
// them sees are left out, which changes nothing for anybody, as others' weights for them are 0.

constexpr int BLOCK = 64;     // keys per softmax step
constexpr int GAPPED = 256;   // and where the mask has gaps
constexpr int MAX_DIM = 256;  // head size

struct Keys {  // one kv head of one sequence
  const uint16_t *k, *v;
  const int32_t *table;
  int64_t page_stride;  // elements between pages
  int dim, width;       // width: of the block table, from row to row
  Mask mask;
  bool biased;  // ALiBi
  int far;      // of a table of offsets (offsets.h)
  float scale, softcap;
  const uint16_t *key_page(int page) const { return k + table[page] * page_stride; }
  const uint16_t *value_page(int page) const { return v + table[page] * page_stride; }
  // Pages lie anywhere in memory, where no hardware prefetcher follows: while the keys of a block are used its values
  // are fetched, and meanwhile the next block's keys.
  void fetch_values(int page, int at) const { __builtin_prefetch(value_page(page) + at); }
  void fetch_keys(int page, int at) const { __builtin_prefetch(key_page(std::min(page, width - 1)) + at); }
};

struct Rows {  // queries, in order of their positions, and what they have seen so far
  int n, wide;  // wide: the head's dimension, up to the next multiple of sixteen
  const float *q[TILE_ROWS];
  int position[TILE_ROWS];
  float slope[TILE_ROWS], top[TILE_ROWS], mass[TILE_ROWS];
  const float *offsets[TILE_ROWS];  // a head's row of a table (offsets.h); null: there is none
  alignas(64) float sums[TILE_ROWS * MAX_DIM];
  alignas(64) float scores[std::max(TILE_ROWS * BLOCK, chunks(GAPPED_ROWS, 16) * 16 * GAPPED)];
  alignas(64) uint16_t parts[3][TILE_ROWS * MAX_DIM];  // of queries, where tiles are multiplied
  int span;  // keys of a block
  float *out(int r) { return sums + r * wide; }  // packed: a fixed stride would crowd a few cache sets
  float *score(int r) { return scores + r * span; }
};

struct KeyBlock {  // numbers of its pages, in order
  int pages = 0, page[GAPPED / PAGE], end;
  int keys(int p) const { return std::min(PAGE, end - page[p] * PAGE); }
};

template <int R, int P>
static inline void score_tile(const Keys &keys, Rows &rows, int r0, const int *numbers, int lane0) {
  f16v acc[R][P];
  const uint16_t *page[P];
  for (int p = 0; p < P; p++) page[p] = keys.key_page(numbers[p]);
  for (int r = 0; r < R; r++)
    for (int p = 0; p < P; p++) acc[r][p] = set1(0.f);
  for (int d = 0; d < keys.dim; d++)
    for (int p = 0; p < P; p++) {
      if (r0 == 0) keys.fetch_values(numbers[p], d * PAGE);
      const f16v k = from_bf16(page[p] + d * PAGE);
      for (int r = 0; r < R; r++) acc[r][p] = fmadd(set1(rows.q[r0 + r][d]), k, acc[r][p]);
    }
  for (int r = 0; r < R; r++)
    for (int p = 0; p < P; p++) store(rows.score(r0 + r) + lane0 + p * PAGE, acc[r][p] * set1(keys.scale));
}

// R rows at a time, then what is left.
template <int R = ATTEND_TILE>
static inline void score(const Keys &keys, Rows &rows, const KeyBlock &block, int r = 0) {
  constexpr int P = beside(R);
  for (; r + R <= rows.n; r += R) {
    int p = 0;
    for (; p + P <= block.pages; p += P) score_tile<R, P>(keys, rows, r, block.page + p, p * PAGE);
    for (; p < block.pages; p++) score_tile<R, 1>(keys, rows, r, block.page + p, p * PAGE);
  }
  if constexpr (R > 1) score<R - 1>(keys, rows, block, r);
}

static inline f16v counting(float from) {
  alignas(64) static const float lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return load(lanes) + set1(from);
}

// Scores of one row become weights; what was summed under a smaller maximum is scaled down.
template <int V>  // vectors of a block, all of them or up to so many
static void soften(const Keys &keys, Rows &rows, int r, const KeyBlock &block) {
  const int position = rows.position[r], n = V * 16 == BLOCK ? V : block.pages;
  float *score = rows.score(r);
  f16v s[V], high = set1(-INFINITY);
  for (int v = 0; v < n; v++) {
    const int key = v < block.pages ? block.page[v] * PAGE : INT32_MAX;
    const uint16_t seen = key <= position ? first_lanes(position - key + 1) & keys.mask.seen(position, key) : 0;
    s[v] = load(score + 16 * v);
    if (keys.biased) s[v] = fmadd(set1(rows.slope[r]), counting((float)(key - position)), s[v]);
    if (rows.offsets[r] && v < block.pages) s[v] = s[v] + load_offsets(rows.offsets[r], keys.far, 0, key - position);
    if (keys.softcap > 0) s[v] = set1(keys.softcap) * tanh16(s[v] * set1(1.f / keys.softcap));
    s[v] = select(seen, s[v], set1(-INFINITY));
    high = higher(high, s[v]);
  }
  const float top = std::fmax(rows.top[r], highest(high));
  if (top == -INFINITY) {  // nothing visible yet
    for (int v = 0; v < n; v++) store(score + 16 * v, set1(0.f));
    return;
  }
  f16v sum = set1(0.f);
  for (int v = 0; v < n; v++) {
    const f16v p = exp16(s[v] - set1(top));
    store(score + 16 * v, p);
    sum = sum + p;
  }
  const float shrink = any_lane(exp16(set1(rows.top[r] - top)));
  rows.mass[r] = rows.mass[r] * shrink + sum_of(sum);
  rows.top[r] = top;
  if (shrink != 1.f)
    for (int d = 0; d < keys.dim; d += 16) store(rows.out(r) + d, load(rows.out(r) + d) * set1(shrink));
}

// Values are read sixteen at a time, whatever a head's dimension: what lies behind is another row's, and nobody looks at its sum.
template <int R, int V>
static inline void mix_tile(const Keys &keys, Rows &rows, int r0, int d0, const KeyBlock &block) {
  f16v acc[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) acc[r][v] = load(rows.out(r0 + r) + d0 + 16 * v);
  for (int p = 0; p < block.pages; p++) {
    const uint16_t *page = keys.value_page(block.page[p]) + d0;
    const int next = block.page[p] + BLOCK / PAGE, end = block.keys(p);
    for (int j = 0; j < end; j++)
      for (int v = 0; v < V; v++) {
        if (r0 == 0) keys.fetch_keys(next, j * keys.dim + d0 + 16 * v);
        const f16v value = from_bf16(page + j * keys.dim + 16 * v);
        for (int r = 0; r < R; r++) acc[r][v] = fmadd(set1(rows.score(r0 + r)[p * PAGE + j]), value, acc[r][v]);
      }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(rows.out(r0 + r) + d0 + 16 * v, acc[r][v]);
}

template <int R = ATTEND_TILE>
static inline void mix(const Keys &keys, Rows &rows, const KeyBlock &block, int r = 0) {
  constexpr int V = beside(R);
  for (; r + R <= rows.n; r += R) {
    int d = 0;
    for (; d + 16 * V <= rows.wide; d += 16 * V) mix_tile<R, V>(keys, rows, r, d, block);
    for (; d < rows.wide; d += 16) mix_tile<R, 1>(keys, rows, r, d, block);
  }
  if constexpr (R > 1) mix<R - 1>(keys, rows, block, r);
}

// The pages of keys [from, to) that any row sees. Those before `oldest` may be gone.
static inline KeyBlock key_block(const Keys &keys, const Rows &rows, int oldest, int from, int to) {
  KeyBlock block;
  block.end = to;
  for (int page = std::max(from, oldest) / PAGE; page * PAGE < to; page++)
    if (!keys.mask.gaps() || keys.mask.touches(rows.position[0], rows.position[rows.n - 1], page * PAGE)) block.page[block.pages++] = page;
  return block;
}

// tiles_none.h, attend_tiles.h: queries made ready, and the same by tiles. False: not here.
static void split_queries(Rows &rows, int dim, float scale);
static bool score_by_tiles(const Keys &keys, Rows &rows, const KeyBlock &block);
static bool mix_by_tiles(const Keys &keys, Rows &rows, const KeyBlock &block);

// Keys [from, to) of one split.
static void look(const Keys &keys, Rows &rows, int from, int to) {
  for (int r = 0; r < rows.n; r++) {
    rows.top[r] = -INFINITY, rows.mass[r] = 0;
    std::memset(rows.out(r), 0, rows.wide * sizeof(float));
  }
  const int oldest = keys.mask.oldest(rows.position[0]);
  rows.span = keys.mask.gaps() ? GAPPED : BLOCK;
  for (; from < to; from += rows.span) {
    const KeyBlock block = key_block(keys, rows, oldest, from, std::min(from + rows.span, to));
    if (!block.pages) continue;
    if (!score_by_tiles(keys, rows, block)) score(keys, rows, block);
    for (int r = 0; r < rows.n; r++) keys.mask.gaps() ? soften<GAPPED / 16>(keys, rows, r, block) : soften<BLOCK / 16>(keys, rows, r, block);
    if (!mix_by_tiles(keys, rows, block)) mix(keys, rows, block);
  }
}

// Merges a split into what earlier splits found: total = (top, mass, out).
static void merge(float *top, float *mass, float *total, float split_top, float split_mass, const float *out, int dim) {
  if (split_top == -INFINITY) return;
  const float high = std::fmax(*top, split_top), a = std::exp(*top - high), b = std::exp(split_top - high);
  for (int d = 0; d < dim; d += 16) store(total + d, fmadd(set1(b), load(out + d), set1(a) * load(total + d)));
  *mass = *mass * a + split_mass * b;
  *top = high;
}
