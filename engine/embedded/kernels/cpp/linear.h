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

constexpr int AHEAD = 1024;  // bytes: memory is slower than one group's arithmetic, and its own prefetcher stops at every page
constexpr float HOT = 4.f;  // of the row's root mean square

// A quantized row: I high bytes, G scales, G corrections (with a low: scale * sum, float; without: -128 * sum, int32), I low
// bytes (zero but in hot groups), G flags.
static int row_bytes(int inputs, int format) {
  const int bytes = format == BF16 ? inputs * (int)sizeof(Bf16Activation) : 2 * inputs + 9 * (inputs / group_of(format));
  return (bytes + 63) & ~63;
}

struct Row {
  uint8_t *high;
  float *scale;
  void *correction;
  uint8_t *low, *hot;
  Row(uint8_t *row, int inputs, int group = GROUP)
      : high(row),
        scale((float *)(row + inputs)),
        correction(scale + inputs / group),
        low((uint8_t *)(scale + inputs / group * 2)),
        hot(low + inputs) {}
};

static inline float mean_square(const float *x, int n) {
  f16v sum = set1(0.f);
  for (int i = 0; i < n; i += 16) sum = fmadd(load(x + i), load(x + i), sum);
  return sum_of(sum) / n;
}

// Returns the sum of the S numbers.
template <int S>
static inline int32_t quantize_group(const float *x, const Row &row, int g, float limit) {
  f16v most = set1(0.f);
  for (int i = 0; i < S; i += 16) most = higher(most, magnitude(load(x + i)));
  const float top = highest(most);
  const bool hot = top > limit;
  const f16v inverse = set1(top > 0 ? (hot ? 32512.f : 127.f) / top : 0.f);
  i16v sum = set1(0);
  for (int i = 0; i < S; i += 16) {
    i16v q = to_int(load(x + i) * inverse);
    if (!hot) q = shifted_up(q);
    const i16v h = high_bytes(q);
    store_bytes(row.high + g * S + i, h), store_bytes(row.low + g * S + i, minus(q, shifted_up(h)));
    sum = plus(sum, q);
  }
  row.hot[g] = hot;
  row.scale[g] = top / 32512.f;
  return sum_of(sum, set1(0));
}

template <int S>
static inline void quantize_groups(const float *x, uint8_t *bytes, int inputs, bool low) {
  const Row row(bytes, inputs, S);
  const float limit = HOT * std::sqrt(mean_square(x, inputs));
  for (int g = 0; g < inputs / S; g++) {
    const int32_t sum = quantize_group<S>(x + g * S, row, g, limit);
    if (low)
      ((float *)row.correction)[g] = row.scale[g] * sum;
    else
      ((int32_t *)row.correction)[g] = -128 * sum;
  }
}

static void quantize_row(const float *x, uint8_t *bytes, int inputs, int format) {
  if (format == BF16) {
    for (int i = 0; i < inputs; i += 16) store_activations((Bf16Activation *)bytes + i, load(x + i));
    return;
  }
  if (group_of(format) == GROUP)
    quantize_groups<GROUP>(x, bytes, inputs, has_low(format));
  else
    quantize_groups<16>(x, bytes, inputs, has_low(format));
}

struct Block {  // sixteen outputs, and the rows that they are multiplied with
  const uint8_t *w;
  const uint16_t *scales;
  const float *bias;  // null: none
  const uint8_t *x;
  int stride, inputs, outputs;
  float *y;
};

template <int F, int R>
static inline void dot(i16v *acc, const uint8_t *w, const uint8_t *x, int stride) {
  if constexpr (bits_of(F) == U4)
    dot_u4<R, group_of(F) / 4>(acc, w, x, stride);
  else
    dot_u8<R, group_of(F) / 4>(acc, w, x, stride);
}

// Exactly the weights of sixteen outputs times group g of R rows. Low bytes of cold groups are zero, so it does not
// matter for them whether they are counted in.
template <int F, int R>
static inline void dot_group_of_rows(i16v *acc, const Block &b, const uint8_t *x, int g) {
  constexpr int S = group_of(F);
  const uint8_t *w = b.w + g * (2 * S * bits_of(F));
  const Row first((uint8_t *)x, b.inputs, S);
  for (int r = 0; r < R; r++) acc[r] = set1(0);
  dot<F, R>(acc, w, first.high + g * S, b.stride);
  int hot = 0;
  for (int r = 0; r < R; r++) {
    acc[r] = shifted_up(acc[r]);
    hot += first.hot[r * b.stride + g];
  }
  if (2 * hot >= R)
    dot<F, R>(acc, w, first.low + g * S, b.stride);
  else if (hot)
    for (int r = 0; r < R; r++)
      if (first.hot[r * b.stride + g]) dot<F, 1>(acc + r, w, first.low + r * b.stride + g * S, b.stride);
}

template <int F, int R>
static inline void add_group(f16v *sum, const Block &b, const uint8_t *x, int g) {
  constexpr int BYTES_HERE = 2 * group_of(F) * bits_of(F);
  i16v acc[R];
  for (int at = 0; at < BYTES_HERE; at += 64) __builtin_prefetch(b.w + g * BYTES_HERE + at + AHEAD);
  dot_group_of_rows<F, R>(acc, b, x, g);
  const uint16_t *scales = b.scales + g * scales_of(F);
  const f16v d = from_fp16(scales);
  for (int r = 0; r < R; r++) {
    const Row row((uint8_t *)x + r * b.stride, b.inputs, group_of(F));
    if constexpr (!has_low(F)) acc[r] = plus(acc[r], set1(((const int32_t *)row.correction)[g]));
    sum[r] = fmadd(to_float(acc[r]), d * set1(row.scale[g]), sum[r]);
    if constexpr (has_low(F)) sum[r] = fmadd(from_fp16(scales + 16), set1(((const float *)row.correction)[g]), sum[r]);
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

template <int F, int R>
static void multiply(const Block &b, int row) {
  const uint8_t *x = b.x + (int64_t)row * b.stride;
  f16v sum[R];
  for (int r = 0; r < R; r++) sum[r] = b.bias ? load(b.bias) : set1(0.f);
  for (int g = 0; g < b.inputs / group_of(F); g++) add_group<F, R>(sum, b, x, g);
  for (int r = 0; r < R; r++) store(b.y + (int64_t)(row + r) * b.outputs, sum[r]);
}

// R rows at a time, then what is left.
template <int F, int R = LINEAR_TILE>
static inline void multiply_rows(const Block &b, int row, int end) {
  for (; row + R <= end; row += R) multiply<F, R>(b, row);
  if constexpr (R > 1) multiply_rows<F, R - 1>(b, row, end);
}

static void multiply_block(const Block &b, int format, int row, int end) {
  switch (format) {
    case U4: return multiply_rows<U4>(b, row, end);
    case U8: return multiply_rows<U8>(b, row, end);
    case U4_16: return multiply_rows<U4_16>(b, row, end);
    case U8_16: return multiply_rows<U8_16>(b, row, end);
    case U8_LOW: return multiply_rows<U8_LOW>(b, row, end);
    case U8_LOW_16: return multiply_rows<U8_LOW_16>(b, row, end);
    default: return multiply_rows_bf16<1>(b, row, end);
  }
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
  const int format = op.n[3];
  if (format == BF16)
    for (; i + WIDE <= last; i += WIDE) multiply_rows_bf16<WIDE>(block_of(op, i), first, end);
  for (; i < last; i++) multiply_block(block_of(op, i), format, first, end);
}

// LINEAR  p: quantized rows, q, scales, out [T, O], bias or null  n: T, I, O, format, bytes per row
static void linear(const Op &op, int item) {
  const int per = linear_blocks(op), all = op.n[2] / 16, across = chunks(all, per), i = item % across * per;
  const int first = item / across * LINEAR_ROWS, end = std::min(rows(op, op.n[0]), first + LINEAR_ROWS);
  multiply_part(op, i, std::min(all, i + per), first, end);
}

// QUANTIZE  p: x [T, C], out rows  n: T, I, format, bytes per row, stride of x, C (behind those columns there are zeros)
static void quantize(const Op &op, int item) {
  const int inputs = op.n[1], columns = op.n[5];
  std::vector<float> padded(columns < inputs ? inputs : 0);
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const float *x = (const float *)op.p[0] + (int64_t)t * op.n[4];
    if (columns < inputs) x = (const float *)std::memcpy(padded.data(), x, columns * sizeof(float));
    quantize_row(x, (uint8_t *)op.p[1] + (int64_t)t * op.n[3], inputs, op.n[2]);
  }
}
