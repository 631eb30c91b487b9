// Attention by tiles: sixteen queries at a time with the keys of a page, and their weights with the values of two. Queries are split into
// three bf16, which together are all of a float32, for a score may be large; weights, at most 1, into two. Pages lie in their pairs by
// number, and one that is left out counts as zeros, so here too a query's result does not depend on who shares its tile.

static inline i16v paired(i16v x) {  // 32 numbers: first and seventeenth, second and eighteenth ...
  alignas(64) static const uint16_t order[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_permutexvar_epi16(load_bytes(order), x);
}

// Sixteen numbers as N bf16 each: what one leaves the next one takes.
template <int N>
static inline void store_split(uint16_t *const (&parts)[N], int at, f16v x) {
  for (uint16_t *part : parts) {
    store_bf16(part + at, x);
    x = x - from_bf16(part + at);
  }
}

// Queries times the scale of scores, zeros behind a head's dimension and behind the last query.
static void split_queries(Rows &rows, int dim, float scale) {
  ran(TILED_ATTENTION);
  const int deep = chunks(dim, 32) * 32, all = chunks(rows.n, TILE) * TILE;
  for (uint16_t *part : rows.parts) std::memset(part, 0, sizeof(uint16_t) * all * deep);
  for (int r = 0; r < rows.n; r++)
    by_sixteen(dim, [&](int d, auto lanes) {
      store_split<3>({rows.parts[0], rows.parts[1], rows.parts[2]}, r * deep + d, load(rows.q[r] + d, lanes) * set1(scale));
    });
}

// Sums of N tiles of sixteen rows += parts of numbers from `at` on, `stride` from row to row, times the weights in DEEP_W.
template <int N, int P>
static inline void dot_split(const uint16_t *const (&parts)[P], int at, int stride) {
  for_each_tile<N>([&](auto tile) {
#pragma GCC unroll 3
    for (int i = 0; i < P; i++) {
      load_tile<DEEP_X>(parts[i] + at + decltype(tile)::value * TILE * stride, 2 * stride);
      dot_deep_tiles<decltype(tile)::value>();
    }
  });
}

template <int N>
static inline void clear_sums() {
  for_each_tile<N>([](auto tile) { clear_tile<decltype(tile)::value>(); });
}
template <int N>
static inline void load_sums(const float *y, int stride) {
  for_each_tile<N>([&](auto tile) { load_tile<decltype(tile)::value>(y + decltype(tile)::value * TILE * stride, 4 * stride); });
}
template <int N>
static inline void store_sums(float *y, int stride) {
  for_each_tile<N>([&](auto tile) { store_tile<decltype(tile)::value>(y + decltype(tile)::value * TILE * stride, 4 * stride); });
}

// Channels [d, d + 32) of a page of keys, in pairs.
static inline void pair_keys(uint8_t *w, const uint16_t *page, int d, int dim) {
  for (int i = 0; i < 16; i++, d += 2) {
    const __mmask32 there = d + 1 < dim ? ~0u : d < dim ? 0xffffu : 0u;
    _mm512_store_si512(w + 64 * i, paired(_mm512_maskz_loadu_epi16(there, page + d * PAGE)));
  }
}

// Tiles that are written before the first of them is loaded: none can be loaded out of what still waits to be stored.
constexpr int PREPARED = 32;

template <int N>
static void score_strips(const Keys &keys, Rows &rows, const KeyBlock &block) {
  alignas(64) uint8_t w[PREPARED][1024];
  const int deep = chunks(keys.dim, 32), at_once = PREPARED / deep;
  for (int from = 0; from < block.pages; from += at_once) {
    const int to = std::min(block.pages, from + at_once);
    for (int p = from; p < to; p++)
      for (int i = 0; i < deep; i++) pair_keys(w[(p - from) * deep + i], keys.key_page(block.page[p]), i * 32, keys.dim);
    for (int p = from; p < to; p++) {
      clear_sums<N>();
      for (int i = 0; i < deep; i++) {
        load_tile<DEEP_W>(w[(p - from) * deep + i], 64);
        dot_split<N, 3>({rows.parts[0], rows.parts[1], rows.parts[2]}, i * 32, deep * 32);
      }
      store_sums<N>(rows.scores + p * PAGE, rows.span);
    }
  }
}

static inline int strips(const Rows &rows) { return chunks(rows.n, TILE); }

static bool score_by_tiles(const Keys &keys, Rows &rows, const KeyBlock &block) {
  switch (strips(rows)) {
    case 1: return score_strips<1>(keys, rows, block), true;
    case 2: return score_strips<2>(keys, rows, block), true;
    default: return score_strips<3>(keys, rows, block), true;
  }
}

// Sixteen channels of the tokens of a page, in pairs; zeros for those that are not there.
static inline void pair_values(uint8_t *w, const uint16_t *page, int dim, int tokens) {
  for (int i = 0; i < 8; i++, page += 2 * dim) {
    const __m256i none = _mm256_setzero_si256(), a = 2 * i < tokens ? _mm256_loadu_si256((const __m256i *)page) : none;
    const __m256i b = 2 * i + 1 < tokens ? _mm256_loadu_si256((const __m256i *)(page + dim)) : none;
    _mm512_store_si512(w + 64 * i, paired(_mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1)));
  }
}

struct Pairs {  // pages of a block by pairs of neighbours, the even one first: their places in the block, or -1
  int n = 0, place[GAPPED / PAGE][2];
  explicit Pairs(const KeyBlock &block) {
    for (int p = 0; p < block.pages; p++) {
      if (!n || block.page[p] / 2 != block.page[p - 1] / 2) place[n][0] = place[n][1] = -1, n++;
      place[n - 1][block.page[p] % 2] = p;
    }
  }
};

template <int N>
static void mix_strips(const Keys &keys, Rows &rows, const KeyBlock &block) {
  constexpr int MOST = N == 1 ? GAPPED : BLOCK;  // keys: blocks with gaps have few rows
  alignas(64) uint16_t first[N * TILE * MOST], second[N * TILE * MOST];
  alignas(64) uint8_t w[PREPARED][1024];
  const Pairs pairs(block);
  const int deep = pairs.n * 2 * PAGE;
  for (int r = 0; r < rows.n; r++)
    for (int i = 0; i < 2 * pairs.n; i++) {
      const int p = pairs.place[i / 2][i % 2], at = r * deep + i * PAGE;
      store_split<2>({first, second}, at, p < 0 ? set1(0.f) : load(rows.score(r) + p * PAGE));
    }
  const int at_once = PREPARED / pairs.n * 16;
  for (int from = 0; from < rows.wide; from += at_once) {
    const int to = std::min(rows.wide, from + at_once);
    for (int i = 0; i < pairs.n; i++)
      for (int half = 0; half < 2; half++) {
        const int p = pairs.place[i][half];
        const uint16_t *page = p < 0 ? keys.v : keys.value_page(block.page[p]);  // of one that is left out no token is read
        for (int d = from; d < to; d += 16)
          pair_values(w[(d - from) / 16 * pairs.n + i] + 512 * half, page + d, keys.dim, p < 0 ? 0 : block.keys(p));
      }
    for (int d = from; d < to; d += 16) {
      load_sums<N>(rows.sums + d, rows.wide);
      for (int i = 0; i < pairs.n; i++) {
        load_tile<DEEP_W>(w[(d - from) / 16 * pairs.n + i], 64);
        dot_split<N, 2>({first, second}, i * 2 * PAGE, deep);
      }
      store_sums<N>(rows.sums + d, rows.wide);
    }
  }
}

static bool mix_by_tiles(const Keys &keys, Rows &rows, const KeyBlock &block) {
  switch (strips(rows)) {
    case 1: return mix_strips<1>(keys, rows, block), true;
    case 2: return mix_strips<2>(keys, rows, block), true;
    default: return mix_strips<3>(keys, rows, block), true;
  }
}
