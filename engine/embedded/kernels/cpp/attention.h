// Keys and values go to their pages, queries look at them.

// REMEMBER  p: k, v, key pages, value pages, table (rows W apart), starts, cached  n: S, G, K, W, strides of k (T, G), of v (T, G), T
static void remember(const Op &op, int item) {
  const int groups = op.n[1], dim = op.n[2], width = op.n[3];
  const auto *table = (const int32_t *)op.p[4], *starts = (const int32_t *)op.p[5], *cached = (const int32_t *)op.p[6];
  int s = 0;
  for (int t = item * ROWS; t < std::min(rows(op, op.n[8]), (item + 1) * ROWS); t++) {
    while (t >= starts[s + 1]) s++;
    const int position = cached[s] + t - starts[s], slot = position % PAGE;
    const int64_t page = (int64_t)table[s * width + position / PAGE] * groups * dim * PAGE;
    for (int g = 0; g < groups; g++) {
      const float *k = (const float *)op.p[0] + (int64_t)t * op.n[4] + g * op.n[5];
      const float *v = (const float *)op.p[1] + (int64_t)t * op.n[6] + g * op.n[7];
      auto *keys = (uint16_t *)op.p[2] + page + g * dim * PAGE, *values = (uint16_t *)op.p[3] + page + g * dim * PAGE + slot * dim;
      uint16_t key[MAX_DIM], value[MAX_DIM];
      by_sixteen(dim, [&](int d, auto lanes) { store_bf16(key + d, load(k + d, lanes)), store_bf16(value + d, load(v + d, lanes)); });
      for (int d = 0; d < dim; d++) keys[d * PAGE + slot] = key[d];
      std::memcpy(values, value, dim * sizeof(uint16_t));
    }
  }
}

// ATTEND  p: q, key pages, value pages, table (rows W apart), starts, cached, out [T, H, K], partial results, slopes of ALiBi [H] or null,
//            sinks [H] or null, sizes of a window for each kv head int32 [G] or null, offsets [H, back + 32] or null (offsets.h)
//         n: S, G, K, W, strides of q (T, H), H, mask, splits that fit the partial results (0: merge here), two numbers of the mask, back
//         f: scale, softcap
// With the mask FULL all queries of a sequence look at the same keys, as many as `cached` says.
static Keys keys_of(const Op &op, int s, int g) {
  const int64_t head = (int64_t)op.n[2] * PAGE;
  const Mask mask{op.n[7], op.p[10] ? ((const int32_t *)op.p[10])[g] : op.n[9], op.n[10]};
  return {(const uint16_t *)op.p[1] + g * head, (const uint16_t *)op.p[2] + g * head, (const int32_t *)op.p[3] + (int64_t)s * op.n[3],
          head * op.n[1], op.n[2], op.n[3], mask, op.p[8] != nullptr, op.n[11], op.f[0], op.f[1]};
}

// The rows of tile `tile` of kv head g: pairs (token, head) in order. Returns where each belongs in out.
static void gather(const Op &op, int s, int g, int tile, Rows &rows, int64_t *home) {
  const auto *starts = (const int32_t *)op.p[4], *cached = (const int32_t *)op.p[5];
  const auto *slopes = (const float *)op.p[8], *offsets = (const float *)op.p[11];
  const int share = op.n[6] / op.n[1], all = (starts[s + 1] - starts[s]) * share, first = tile * tile_rows(op);
  rows.n = std::min(tile_rows(op), all - first);
  rows.wide = chunks(op.n[2], 16) * 16;
  for (int r = 0; r < rows.n; r++) {
    const int row = first + r, t = starts[s] + row / share, h = g * share + row % share;
    rows.q[r] = (const float *)op.p[0] + (int64_t)t * op.n[4] + (int64_t)h * op.n[5];
    rows.position[r] = first_keys(cached, s, op.n[7]) - 1 + (op.n[7] == FULL ? 0 : row / share);
    rows.slope[r] = slopes ? slopes[h] : 0.f;
    rows.offsets[r] = offsets ? offsets + (int64_t)h * offsets_width(op.n[11], 0) : nullptr;
    home[r] = (int64_t)t * op.n[6] + h;
  }
  split_queries(rows, op.n[2], op.f[0]);
}

// What a row has seen before its first key: nothing, or a sink, which has a score but no value (Xiao et al. 2023, arXiv 2309.17453).
static void begin(const void *sinks, int head, float *top, float *mass) {
  *top = sinks ? ((const float *)sinks)[head] : -INFINITY;
  *mass = sinks ? 1.f : 0.f;
}

static void finish(float *out, const float *total, float mass, int dim) {
  by_sixteen(dim, [&](int d, auto lanes) { store(out + d, load(total + d, lanes) / set1(mass), lanes); });
}

static void attend_tile(const Op &op, int s, int g, int tile) {
  Rows rows;
  float total[TILE_ROWS * MAX_DIM], top[TILE_ROWS], mass[TILE_ROWS];
  int64_t home[TILE_ROWS];
  gather(op, s, g, tile, rows, home);
  const int wide = rows.wide, end = rows.position[rows.n - 1] + 1;
  for (int r = 0; r < rows.n; r++) begin(op.p[9], home[r] % op.n[6], top + r, mass + r);
  std::fill(total, total + rows.n * wide, 0.f);
  for (int from = 0; from < end; from += SPLIT) {
    look(keys_of(op, s, g), rows, from, std::min(from + SPLIT, end));
    for (int r = 0; r < rows.n; r++) merge(top + r, mass + r, total + r * wide, rows.top[r], rows.mass[r], rows.out(r), wide);
  }
  for (int r = 0; r < rows.n; r++) finish((float *)op.p[6] + home[r] * op.n[2], total + r * wide, mass[r], op.n[2]);
}

// Partial result of (row of out, split): top, mass, 14 unused, then K sums, up to a multiple of sixteen.
static float *partial(void *base, int64_t row, int splits, int split, int wide) {
  return (float *)base + (row * splits + split) * (16 + wide);
}

static void attend_split(const Op &op, int s, int g, int tile, int split) {
  const int length = first_keys((const int32_t *)op.p[5], s, op.n[7]), from = split * SPLIT;
  if (from >= length) return;
  Rows rows;
  int64_t home[TILE_ROWS];
  gather(op, s, g, tile, rows, home);
  look(keys_of(op, s, g), rows, from, std::min(from + SPLIT, length));
  for (int r = 0; r < rows.n; r++) {
    float *at = partial(op.p[7], home[r], op.n[8], split, rows.wide);
    at[0] = rows.top[r], at[1] = rows.mass[r];
    std::memcpy(at + 16, rows.out(r), rows.wide * sizeof(float));
  }
}

static void attend(const Op &op, int item) {
  const int splits = attend_splits(op), split = item % splits;
  item /= splits;
  for (int s = op.n[0] - 1;; s--) {  // the last sequences are prompts, the longest work: they go first
    const int here = attend_tiles(op, s) * op.n[1];
    if (item < here) {
      const int g = item % op.n[1], tile = attend_tiles(op, s) - 1 - item / op.n[1];
      return op.n[8] ? attend_split(op, s, g, tile, split) : attend_tile(op, s, g, tile);
    }
    item -= here;
  }
}

// COMBINE  p: partial results, cached, out [S, H, K], sinks [H] or null  n: S, H, K, splits that fit, mask
static void combine(const Op &op, int s) {
  const int heads = op.n[1], dim = op.n[2], wide = chunks(dim, 16) * 16;
  const int splits = chunks(first_keys((const int32_t *)op.p[1], s, op.n[4]), SPLIT);
  float total[MAX_DIM];
  for (int h = 0; h < heads; h++) {
    const int64_t row = (int64_t)s * heads + h;
    float top, mass;
    begin(op.p[3], h, &top, &mass);
    std::fill(total, total + wide, 0.f);
    for (int i = 0; i < splits; i++) {
      const float *at = partial(op.p[0], row, op.n[3], i, wide);
      merge(&top, &mass, total, at[0], at[1], at + 16, wide);
    }
    finish((float *)op.p[2] + row * dim, total, mass, dim);
  }
}
