// Attention over one split of a sequence's keys, with an online softmax (Milakov & Gimelshein 2018, arXiv 1805.02867;
// Dao et al. 2022, arXiv 2205.14135). Pages are bf16: keys [P, G, K, 16] (sixteen keys side by side, so one vector is one
// channel of a page), values [P, G, 16, K]. Keys are looked at in blocks of 64 and splits of 256 that start at absolute
// positions, so a query's result does not depend on how the prompt was cut into steps or on who shares them.

constexpr int BLOCK = 64;     // keys per softmax step
constexpr int MAX_DIM = 256;  // head size

struct Keys {  // one kv head of one sequence
  const uint16_t *k, *v;
  const int32_t *table;
  int64_t page_stride;  // elements between pages
  int dim, window;      // window 0: all
  int width;            // of the block table
  float scale, softcap;
  const uint16_t *key_page(int page) const { return k + table[page] * page_stride; }
  const uint16_t *value_page(int page) const { return v + table[page] * page_stride; }
  // Pages lie anywhere in memory, where no hardware prefetcher follows: while the keys of a block are used its values
  // are fetched, and meanwhile the next block's keys.
  void fetch_values(int page, int at) const { __builtin_prefetch(value_page(page) + at); }
  void fetch_keys(int page, int at) const { __builtin_prefetch(key_page(std::min(page, width - 1)) + at); }
  int oldest(int position) const { return window ? std::max(0, position - window + 1) : 0; }
};

struct Rows {  // queries and what they have seen so far
  int n, dim;
  const float *q[TILE_ROWS];
  int position[TILE_ROWS];
  float top[TILE_ROWS], mass[TILE_ROWS];
  alignas(64) float sums[TILE_ROWS * MAX_DIM];
  alignas(64) float score[TILE_ROWS][BLOCK];
  float *out(int r) { return sums + r * dim; }  // packed: a fixed stride would crowd a few cache sets
};

template <int R, int P>
static inline void score_tile(const Keys &keys, Rows &rows, int r0, int page0, int lane0) {
  f16v acc[R][P];
  const uint16_t *page[P];
  for (int p = 0; p < P; p++) page[p] = keys.key_page(page0 + p);
  for (int r = 0; r < R; r++)
    for (int p = 0; p < P; p++) acc[r][p] = set1(0.f);
  for (int d = 0; d < keys.dim; d++)
    for (int p = 0; p < P; p++) {
      if (r0 == 0) keys.fetch_values(page0 + p, d * PAGE);
      const f16v k = from_bf16(page[p] + d * PAGE);
      for (int r = 0; r < R; r++) acc[r][p] = fmadd(set1(rows.q[r0 + r][d]), k, acc[r][p]);
    }
  for (int r = 0; r < R; r++)
    for (int p = 0; p < P; p++) store(rows.score[r0 + r] + lane0 + p * PAGE, acc[r][p] * set1(keys.scale));
}

// R rows at a time, then what is left.
template <int R = ATTEND_TILE>
static inline void score(const Keys &keys, Rows &rows, int page0, int pages, int r = 0) {
  constexpr int P = beside(R);
  for (; r + R <= rows.n; r += R) {
    int p = 0;
    for (; p + P <= pages; p += P) score_tile<R, P>(keys, rows, r, page0 + p, p * PAGE);
    for (; p < pages; p++) score_tile<R, 1>(keys, rows, r, page0 + p, p * PAGE);
  }
  if constexpr (R > 1) score<R - 1>(keys, rows, page0, pages, r);
}

static inline uint16_t first_lanes(int n) { return n >= 16 ? 0xffff : n <= 0 ? 0 : (1 << n) - 1; }

// Scores of one row become weights; what was summed under a smaller maximum is scaled down.
static void soften(const Keys &keys, Rows &rows, int r, int from, int count) {
  const int position = rows.position[r], oldest = keys.oldest(position);
  f16v s[BLOCK / 16], high = set1(-INFINITY);
  for (int v = 0; v < BLOCK / 16; v++) {
    const int key = from + 16 * v;
    const uint16_t seen = first_lanes(position - key + 1) & ~first_lanes(oldest - key) & first_lanes(count - 16 * v);
    s[v] = load(rows.score[r] + 16 * v);
    if (keys.softcap > 0) s[v] = set1(keys.softcap) * tanh16(s[v] * set1(1.f / keys.softcap));
    s[v] = select(seen, s[v], set1(-INFINITY));
    high = higher(high, s[v]);
  }
  const float top = std::fmax(rows.top[r], highest(high));
  if (top == -INFINITY) {  // nothing visible yet
    for (int v = 0; v < BLOCK / 16; v++) store(rows.score[r] + 16 * v, set1(0.f));
    return;
  }
  f16v sum = set1(0.f);
  for (int v = 0; v < BLOCK / 16; v++) {
    const f16v p = exp16(s[v] - set1(top));
    store(rows.score[r] + 16 * v, p);
    sum = sum + p;
  }
  const float shrink = any_lane(exp16(set1(rows.top[r] - top)));
  rows.mass[r] = rows.mass[r] * shrink + sum_of(sum);
  rows.top[r] = top;
  if (shrink != 1.f)
    for (int d = 0; d < keys.dim; d += 16) store(rows.out(r) + d, load(rows.out(r) + d) * set1(shrink));
}

template <int R, int V>
static inline void mix_tile(const Keys &keys, Rows &rows, int r0, int d0, int page0, int count) {
  f16v acc[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) acc[r][v] = load(rows.out(r0 + r) + d0 + 16 * v);
  for (int j0 = 0; j0 < count; j0 += PAGE) {
    const uint16_t *page = keys.value_page(page0 + j0 / PAGE) + d0;
    const int end = std::min(PAGE, count - j0);
    for (int j = 0; j < end; j++)
      for (int v = 0; v < V; v++) {
        if (r0 == 0) keys.fetch_keys(page0 + (j0 + BLOCK) / PAGE, j * keys.dim + d0 + 16 * v);
        const f16v value = from_bf16(page + j * keys.dim + 16 * v);
        for (int r = 0; r < R; r++) acc[r][v] = fmadd(set1(rows.score[r0 + r][j0 + j]), value, acc[r][v]);
      }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(rows.out(r0 + r) + d0 + 16 * v, acc[r][v]);
}

template <int R = ATTEND_TILE>
static inline void mix(const Keys &keys, Rows &rows, int page0, int count, int r = 0) {
  constexpr int V = beside(R);
  for (; r + R <= rows.n; r += R) {
    int d = 0;
    for (; d + 16 * V <= keys.dim; d += 16 * V) mix_tile<R, V>(keys, rows, r, d, page0, count);
    for (; d < keys.dim; d += 16) mix_tile<R, 1>(keys, rows, r, d, page0, count);
  }
  if constexpr (R > 1) mix<R - 1>(keys, rows, page0, count, r);
}

// At most BLOCK keys, from the beginning of a page.
static void look_at_block(const Keys &keys, Rows &rows, int from, int count) {
  score(keys, rows, from / PAGE, chunks(count, PAGE));
  for (int r = 0; r < rows.n; r++) soften(keys, rows, r, from, count);
  mix(keys, rows, from / PAGE, count);
}

// Keys [from, to) of one split, oldest page that any row still sees first.
static void look(const Keys &keys, Rows &rows, int from, int to) {
  int oldest = INT32_MAX;
  for (int r = 0; r < rows.n; r++) {
    rows.top[r] = -INFINITY, rows.mass[r] = 0;
    std::memset(rows.out(r), 0, keys.dim * sizeof(float));
    oldest = std::min(oldest, keys.oldest(rows.position[r]));
  }
  for (int block = from; block < to; block += BLOCK) {
    const int end = std::min(block + BLOCK, to), begin = std::max(block, oldest / PAGE * PAGE);  // pages behind every window may be gone
    if (begin < end) look_at_block(keys, rows, begin, end - begin);
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
