// Matrices of bytes for many rows: signed weights in the order of linear.h's U8, with one float of scale per output and group of 32
// inputs, and rows of bytes with one per group. Those are kept without a sign, as x + TOP_ACTIVATION; what that adds to a sum is known
// beforehand, so each sum starts below zero by as much. Inputs are balanced first: what is multiplied into a column of the matrix is
// divided out of the activations, so that no channel fills the bytes of its group alone. A group that holds a value far beyond the row's
// others is hot all the same: it gets a second byte per number, and a second pass.
// As everywhere, a row's result does not depend on the rows beside it.

constexpr int MAX_INPUTS = 8192;
constexpr float LOW = 2 * TOP_ACTIVATION;  // low bytes to a high one
// Times the row's root mean square; a lone value of I reaches sqrt(I). Lower costs time and gains no more (MiniLM).
static inline float very_hot(int inputs) { return std::min(12.f, 0.6f * std::sqrt((float)inputs)); }

struct ByteRow {  // I high bytes, each plus TOP_ACTIVATION, a scale for each group, I low bytes, plus the same; flags, read eight at a
                  // time: those behind the last are 0
  uint8_t *high;
  float *scale;
  uint8_t *low, *hot;
  ByteRow(void *row, int inputs)
      : high((uint8_t *)row), scale((float *)(high + inputs)), low((uint8_t *)(scale + inputs / GROUP)), hot(low + inputs) {}
};

static void balance_group(const float *x, const ByteRow &row, int g, float limit) {
  const f16v a = load(x), b = load(x + 16);
  const float top = highest(higher(magnitude(a), magnitude(b)));
  const bool hot = top > limit;
  const f16v inverse = set1(top > 0 ? TOP_ACTIVATION / top : 0.f);
  const f16v part = set1(hot ? LOW : 0.f);  // of what rounding left, at most a half
  const i16v zero = set1(TOP_ACTIVATION), ha = to_int(a * inverse), hb = to_int(b * inverse);
  const i16v la = to_int((a * inverse - to_float(ha)) * part), lb = to_int((b * inverse - to_float(hb)) * part);
  store_bytes(row.high + g * GROUP, plus(ha, zero)), store_bytes(row.high + g * GROUP + 16, plus(hb, zero));
  store_bytes(row.low + g * GROUP, plus(la, zero)), store_bytes(row.low + g * GROUP + 16, plus(lb, zero));
  row.scale[g] = top / TOP_ACTIVATION;
  row.hot[g] = hot;
}

// BALANCE  p: x [T, I], out rows, balance [I]  n: T, I, bytes per row, stride of x, activation (-1: none)
static void balance(const Op &op, int item) {
  const int inputs = op.n[1];
  const auto *factor = (const float *)op.p[2];
  float y[MAX_INPUTS];
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const float *x = (const float *)op.p[0] + (int64_t)t * op.n[3];
    const ByteRow row((uint8_t *)op.p[1] + (int64_t)t * op.n[2], inputs);
    f16v square = set1(0.f);
    for (int i = 0; i < inputs; i += 16) {
      const f16v here = (op.n[4] < 0 ? load(x + i) : activation16(op.n[4], load(x + i))) * load(factor + i);
      store(y + i, here);
      square = fmadd(here, here, square);
    }
    const float limit = very_hot(inputs) * std::sqrt(sum_of(square) / inputs);
    for (int g = 0; g < inputs / GROUP; g++) balance_group(y + g * GROUP, row, g, limit);
    for (int g = inputs / GROUP; g % 8; g++) row.hot[g] = 0;
  }
}

struct ByteBlock {
  const uint8_t *w;
  const int32_t *starts;
  const float *scales, *bias;  // bias null: none
  const uint8_t *x;
  int stride, inputs, outputs;
  float *y;
  int64_t next() const { return 16LL * inputs; }              // bytes to the next sixteen outputs
  int64_t next_scales() const { return inputs / GROUP * 16; }  // floats, and starts
};

template <typename T>
static inline T of_row(const T *first, int r, int stride) {
  return *(const T *)((const uint8_t *)first + (int64_t)r * stride);
}

// Group g of R rows: bytes that begin at x for the first of them, `scale` times a group's own.
template <int R, int V>
static inline void add_bytes(f16v (*sum)[V], const ByteBlock &b, const ByteRow &first, int g, const uint8_t *x, float scale) {
  i16v acc[R][V];
  for (int v = 0; v < V; v++)
    for (int r = 0; r < R; r++) acc[r][v] = load_bytes(b.starts + v * b.next_scales() + g * 16);
  dot_blocks<R, V>(acc, b.w + g * 512, b.next(), x + g * GROUP, b.stride);
  for (int v = 0; v < V; v++) {
    const f16v d = load(b.scales + v * b.next_scales() + g * 16);
    for (int r = 0; r < R; r++) sum[r][v] = fmadd(to_float(acc[r][v]), d * set1(scale * of_row(first.scale + g, r, b.stride)), sum[r][v]);
  }
}

template <int R>
static inline bool any_hot(const ByteRow &first, int groups, int stride) {  // eight flags at once, for most are down
  uint64_t hot = 0;
  for (int g = 0; g < groups; g += 8)
    for (int r = 0; r < R; r++) hot |= of_row((const uint64_t *)(first.hot + g), r, stride);
  return hot;
}

// Adds the low bytes of hot groups to what the high ones gave. Those of cold rows are zero, so it does not matter for them
// whether they are counted in. Apart, so that the sums of multiply_byte_rows stay in registers.
template <int R, int V>
[[gnu::noinline]] static void add_low_bytes(const ByteBlock &b, const ByteRow &first, float *y) {
  f16v sum[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) sum[r][v] = load(y + (int64_t)r * b.outputs + 16 * v);
  for (int g = 0; g < b.inputs / GROUP; g++) {
    int hot = 0;
    for (int r = 0; r < R; r++) hot += of_row(first.hot + g, r, b.stride);
    if (2 * hot >= R) add_bytes<R, V>(sum, b, first, g, first.low, 1 / LOW);
    for (int r = 0; 2 * hot < R && r < R; r++) {
      const ByteRow row(first.high + (int64_t)r * b.stride, b.inputs);
      if (row.hot[g]) add_bytes<1, V>(sum + r, b, row, g, row.low, 1 / LOW);
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(y + (int64_t)r * b.outputs + 16 * v, sum[r][v]);
}

template <int R, int V>
static void multiply_byte_rows(const ByteBlock &b, int t) {
  const ByteRow first((uint8_t *)b.x + (int64_t)t * b.stride, b.inputs);
  f16v sum[R][V];
  float *y = b.y + (int64_t)t * b.outputs;
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) sum[r][v] = b.bias ? load(b.bias + 16 * v) : set1(0.f);
  for (int g = 0; g < b.inputs / GROUP; g++) add_bytes<R, V>(sum, b, first, g, first.high, 1.f);
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(y + (int64_t)r * b.outputs + 16 * v, sum[r][v]);
  if (any_hot<R>(first, b.inputs / GROUP, b.stride)) add_low_bytes<R, V>(b, first, y);
}

// R rows at a time, then what is left.
template <int V, int R = BYTES_ROWS>
static inline void multiply_bytes_of(const ByteBlock &b, int t, int end) {
  for (; t + R <= end; t += R) multiply_byte_rows<R, V>(b, t);
  if constexpr (R > 1) multiply_bytes_of<V, R - 1>(b, t, end);
}

// MULTIPLY  p: rows of BALANCE, q, scales, out [T, O], bias or null, starts  n: T, I, O, bytes per row
static void multiply_bytes(const Op &op, int item) {
  const int inputs = op.n[1], outputs = op.n[2], per = multiply_blocks(op), across = chunks(outputs / 16, per);
  const int first = item / across * LINEAR_ROWS, end = std::min(rows(op, op.n[0]), first + LINEAR_ROWS);
  const int last = std::min(outputs / 16, (item % across + 1) * per);
  const auto *bias = (const float *)op.p[4];
  for (int i = item % across * per; i < last;) {
    const int64_t groups = i * 16LL * (inputs / GROUP);
    const ByteBlock b{(const uint8_t *)op.p[1] + i * 16LL * inputs, (const int32_t *)op.p[5] + groups, (const float *)op.p[2] + groups,
                      bias ? bias + 16 * i : nullptr, (const uint8_t *)op.p[0], op.n[3], inputs, outputs, (float *)op.p[3] + 16 * i};
    if (i + BYTES <= last)
      multiply_bytes_of<BYTES>(b, first, end), i += BYTES;
    else
      multiply_bytes_of<1>(b, first, end), i++;
  }
}
