// Matrices. Packed for sixteen outputs at a time:
//   U4          per block of 16 outputs and group of 32 inputs 256 bytes: four vectors, vector j holding inputs 4j..4j+3 of
//               each output in its low nibbles and 4j+16..4j+19 in its high ones; scales: 16 fp16 scale, then 16 fp16 low
//   U8          the same in 512 bytes, vector j holding inputs 4j..4j+3 as q + 128; scales: 16 fp16 scale
//   U8_LOW      the same without the 128; scales as U4
//   U4_16 ...   the same in groups of 16 inputs: half as many vectors, the high nibbles of U4 holding 4j+8..4j+11
//   BF16        per block and pair of inputs 64 bytes: two inputs of each output
// Activations become bf16, or signed bytes with one scale per group of inputs of a row. Where a group holds a
// value far beyond the row's others, eight bits would leave too little for its neighbours: such a hot group gets sixteen,
// a byte of high and a byte of low digits. That costs a second pass over the group, and takes the error of a whole model
// from that of 8-bit activations to below that of bf16. A row's result never depends on the rows beside it: the order of
// its additions is the same for one row and for five hundred.

constexpr int AHEAD = 4096;  // bytes: memory is slower than one group's arithmetic, and its own prefetcher stops at every page

struct Block {  // sixteen outputs, and the rows that they are multiplied with
  const uint8_t *w;
  const uint16_t *scales;
  const float *bias;  // null: none
  const uint8_t *x;
  int stride, inputs, outputs;
  float *y;
};

// Group g of R rows, for V blocks side by side: x is their parts of it, `stride` bytes from row to row.
template <int F, int R, int V>
static inline void add_group(f16v (*sum)[V], const Block &b, int g, const uint8_t *x) {
  constexpr int S = group_of(F), BYTES_HERE = 2 * S * bits_of(F), PER = scales_of(F);
  const int64_t stride = b.stride, next = 2LL * bits_of(F) * b.inputs, next_scales = b.inputs / S * PER;
  const auto part = [&](int r) { return (const Part<S> *)(x + r * stride); };
  i16v acc[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) acc[r][v] = set1(has_low(F) ? 0 : part(r)->correction);
  dot<bits_of(F), S / 4, R, V>(acc, b.w + g * BYTES_HERE, next, x, stride);
  for (int v = 0; v < V; v++) {
    const uint16_t *scales = b.scales + v * next_scales + g * PER;
    const f16v d = from_fp16(scales);
    for (int r = 0; r < R; r++) {
      sum[r][v] = fmadd(to_float(acc[r][v]), d * set1(part(r)->scale), sum[r][v]);
      if constexpr (has_low(F)) sum[r][v] = fmadd(from_fp16(scales + 16), set1(float_of(part(r)->correction)), sum[r][v]);
    }
  }
}

// V blocks side by side.
template <int R, int V>
static void multiply_bf16(const Block &b, int row) {
  const uint8_t *x = b.x + (int64_t)row * b.stride;
  f16v sum[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) sum[r][v] = b.bias ? load(b.bias + 16 * v) : set1(0.f);
  for (int i = 0; i < b.inputs; i += 2) dot_pair<R, V>(sum, b.w + 32 * i, 32LL * b.inputs, x + i * sizeof(Bf16Activation), b.stride);
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(b.y + (int64_t)(row + r) * b.outputs + 16 * v, sum[r][v]);
}

template <int V, int R = V == 1 ? LINEAR_TILE : WIDE_ROWS>
static inline void multiply_rows_bf16(const Block &b, int row, int end) {
  for (; row + R <= end; row += R) multiply_bf16<R, V>(b, row);
  if constexpr (R > 1) multiply_rows_bf16<V, R - 1>(b, row, end);
}

template <int R>
static inline bool any_hot(const uint8_t *hot, int groups, int stride) {  // eight flags at once, for most are down
  uint64_t any = 0, flags;
  for (int g = 0; g < groups; g += 8)
    for (int r = 0; r < R; r++) any |= (std::memcpy(&flags, hot + (int64_t)r * stride + g, 8), flags);
  return any;
}

// Adds the low bytes of hot groups to what the high ones gave. Those of cold groups are zero, so it does not matter for them
// whether they are counted in. Apart, so that the sums of multiply stay in registers.
template <int F, int R, int V>
[[gnu::noinline]] static void add_low_bytes(const Block &b, const uint8_t *x, float *y) {
  constexpr int S = group_of(F);
  const Row<S> first(x, b.inputs);
  f16v sum[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) sum[r][v] = load(y + (int64_t)r * b.outputs + 16 * v);
  for (int g = 0; g < b.inputs / S; g++) {
    int hot = 0;
    for (int r = 0; r < R; r++) hot += first.hot[(int64_t)r * b.stride + g];
    const auto *low = (const uint8_t *)(first.low + g);
    if (2 * hot >= R) add_group<F, R, V>(sum, b, g, low);
    for (int r = 0; 2 * hot < R && r < R; r++)
      if (first.hot[(int64_t)r * b.stride + g]) add_group<F, 1, V>(sum + r, b, g, low + (int64_t)r * b.stride);
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(y + (int64_t)r * b.outputs + 16 * v, sum[r][v]);
}

template <int F, int R, int V>
static inline void multiply_high(const Block &b, int row) {
  constexpr int S = group_of(F), BYTES_HERE = 2 * S * bits_of(F);
  const Row<S> first(b.x + (int64_t)row * b.stride, b.inputs);
  const int64_t next = 2LL * bits_of(F) * b.inputs;
  f16v sum[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) sum[r][v] = b.bias ? load(b.bias + 16 * v) : set1(0.f);
  for (int g = 0; g < b.inputs / S; g++) {
    const int64_t ahead = g * BYTES_HERE + AHEAD, soon = ahead < next ? ahead : ahead + (V - 1) * next;  // then those behind these V
    for (int v = 0; v < V; v++)
      for (int at = 0; at < BYTES_HERE; at += 64) __builtin_prefetch(b.w + v * next + soon + at);
    add_group<F, R, V>(sum, b, g, (const uint8_t *)(first.high + g));
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(b.y + (int64_t)(row + r) * b.outputs + 16 * v, sum[r][v]);
}

template <int F, int R, int V>
static void multiply(const Block &b, int row) {
  const uint8_t *x = b.x + (int64_t)row * b.stride;
  multiply_high<F, R, V>(b, row);
  if (any_hot<R>(Row<group_of(F)>(x, b.inputs).hot, b.inputs / group_of(F), b.stride))
    add_low_bytes<F, R, V>(b, x, b.y + (int64_t)row * b.outputs);
}

template <int F, int V, int R = LINEAR_TILE>
static inline void multiply_tile(const Block &b, int row, int count) {
  if (count == R) return multiply<F, R, V>(b, row);
  if constexpr (R > 1) multiply_tile<F, V, R - 1>(b, row, count);
}

// R rows at a time, then what is left.
template <int F, int V, int R = LINEAR_TILE>
static void multiply_high_rows(const Block &b, int row, int end) {
  for (; row + R <= end; row += R) multiply_high<F, R, V>(b, row);
  if constexpr (R > 1) multiply_high_rows<F, V, R - 1>(b, row, end);
}

// Which rows of [row, end) are hot, for each group: what blocks beside each other have in common. Empty for so few rows that each looks itself.
class Hot {
 public:
  Hot(const uint8_t *x, int stride, int inputs, int format, int row, int end) {
    if (format == BF16 || end - row <= LINEAR_TILE) return;
    const int size = group_of(format), groups = inputs / size;
    const auto each = [&](auto found) {
      for (int r = row; r < end; r++) {
        const uint8_t *hot = x + (int64_t)r * stride + 2 * (inputs + 8 * groups);
        uint64_t flags;
        for (int g = 0; g < groups; g += 8)
          for (std::memcpy(&flags, hot + g, 8); flags; flags &= flags - 1) found(g + __builtin_ctzll(flags) / 8, r - row);
      }
    };
    starts_.assign(groups + 2, 0);
    each([&](int g, int) { starts_[g + 2]++; });
    for (int g = 2; g < groups + 2; g++) starts_[g] += starts_[g - 1];
    rows_.resize(starts_[groups + 1]);
    each([&](int g, int r) { rows_[starts_[g + 1]++] = r; });
  }
  bool none() const { return rows_.empty(); }
  int count(int g) const { return starts_[g + 1] - starts_[g]; }
  const uint8_t *rows(int g) const { return rows_.data() + starts_[g]; }  // counted from the first of them

 private:
  std::vector<int> starts_;
  std::vector<uint8_t> rows_;
  static_assert(LINEAR_ROWS <= 256, "a row's number is a byte");
};

// The low bytes of group g of R hot rows, brought together.
template <int F, int V, int R = LINEAR_TILE>
static void add_hot(const Block &b, int g, const uint8_t *hot, int count) {
  constexpr int S = group_of(F);
  Block near = b;
  near.stride = sizeof(Part<S>);
  for (; count >= R; count -= R, hot += R) {
    Part<S> low[R];
    f16v sum[R][V];
    for (int r = 0; r < R; r++) {
      low[r] = Row<S>(b.x + (int64_t)hot[r] * b.stride, b.inputs).low[g];
      for (int v = 0; v < V; v++) sum[r][v] = load(b.y + hot[r] * b.outputs + 16 * v);
    }
    add_group<F, R, V>(sum, near, g, (const uint8_t *)low);
    for (int r = 0; r < R; r++)
      for (int v = 0; v < V; v++) store(b.y + hot[r] * b.outputs + 16 * v, sum[r][v]);
  }
  if constexpr (R > 1) add_hot<F, V, R - 1>(b, g, hot, count);
}

// tiles_none.h, tiled.h: the same by tiles, the high bytes of rows and the low ones of hot rows. They return how many of the rows.
template <int F, int V>
static int multiply_tiles(const Block &b, int rows);
template <int F, int V>
static int add_hot_tiles(const Block &b, int g, const uint8_t *hot, int count);
static int multiply_bf16_tiles(const Block &b, int blocks, int row, int end);  // of the blocks: how many

// Many rows: their sums stay in the first cache until the low bytes of hot groups have been added, in the order of add_low_bytes.
template <int F, int V>
static void multiply_many(const Block &b, int row, int end, const Hot &hot) {
  alignas(64) float sums[LINEAR_ROWS * 16 * V];
  Block near = b;
  near.x += (int64_t)row * b.stride, near.y = sums, near.outputs = 16 * V;
  multiply_high_rows<F, V>(near, multiply_tiles<F, V>(near, end - row), end - row);
  for (int g = 0; g < b.inputs / group_of(F) && !hot.none(); g++) {
    const int done = add_hot_tiles<F, V>(near, g, hot.rows(g), hot.count(g));
    add_hot<F, V>(near, g, hot.rows(g) + done, hot.count(g) - done);
  }
  for (int r = 0; r < end - row; r++)
    for (int v = 0; v < V; v++) store(b.y + (int64_t)(row + r) * b.outputs + 16 * v, load(sums + (r * V + v) * 16));
}

template <int F, int V>
static inline void multiply_rows(const Block &b, int row, int end, const Hot &hot) {
  end - row > LINEAR_TILE ? multiply_many<F, V>(b, row, end, hot) : multiply_tile<F, V>(b, row, end - row);
}

template <int V>
static void multiply_blocks_of(const Block &b, int format, int row, int end, const Hot &hot) {
  switch (format) {
    case U4: return multiply_rows<U4, V>(b, row, end, hot);
    case U8: return multiply_rows<U8, V>(b, row, end, hot);
    case U4_16: return multiply_rows<U4_16, V>(b, row, end, hot);
    case U8_16: return multiply_rows<U8_16, V>(b, row, end, hot);
    case U8_LOW: return multiply_rows<U8_LOW, V>(b, row, end, hot);
    case U8_LOW_16: return multiply_rows<U8_LOW_16, V>(b, row, end, hot);
    default: return multiply_rows_bf16<1>(b, row, end);
  }
}

// One block, or as many side by side as are fastest: for a row or two memory is what is waited for, and it is read faster in one stream.
// Returns how many.
static int multiply_some(const Block &b, int format, int blocks, int row, int end, const Hot &hot) {
  if (const int done = format == BF16 ? multiply_bf16_tiles(b, blocks, row, end) : 0) return done;
  if (format == BF16 && blocks >= WIDE) return multiply_rows_bf16<WIDE>(b, row, end), WIDE;
  if (format != BF16 && blocks >= LINEAR_WIDE && end - row > 2) return multiply_blocks_of<LINEAR_WIDE>(b, format, row, end, hot), LINEAR_WIDE;
  return multiply_blocks_of<1>(b, format, row, end, hot), 1;
}

static Block block_of(const Op &op, int i) {
  const int64_t inputs = op.n[1], format = op.n[3];
  const auto *bias = (const float *)op.p[4];
  return {(const uint8_t *)op.p[1] + i * (2 * inputs * bits_of(format)),
          (const uint16_t *)op.p[2] + i * (inputs / group_of(format) * scales_of(format)),
          bias ? bias + 16 * i : nullptr,
          (const uint8_t *)op.p[0],
          op.n[4],
          op.n[1],
          op.n[2],
          (float *)op.p[3] + 16 * i};
}

// Blocks [i, last) of rows [first, end).
static void multiply_part(const Op &op, int i, int last, int first, int end) {
  const Hot hot((const uint8_t *)op.p[0], op.n[4], op.n[1], op.n[3], first, end);
  while (i < last) i += multiply_some(block_of(op, i), op.n[3], last - i, first, end, hot);
}

// LINEAR  p: quantized rows, q, scales, out [T, O], bias or null  n: T, I, O, format, bytes per row
static void linear(const Op &op, int item) {
  const int per = linear_blocks(op), all = op.n[2] / 16, across = chunks(all, per), i = item % across * per;
  const int first = item / across * LINEAR_ROWS, end = std::min(rows(op, op.n[0]), first + LINEAR_ROWS);
  multiply_part(op, i, std::min(all, i + per), first, end);
}
