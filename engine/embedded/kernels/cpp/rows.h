// Rows of activations in bytes: a Part of high bytes for each group, then one of low bytes for each, then flags, read eight at a time:
// those behind the last are 0. A part has its own scale, and what is added to its sums: with a low scale * sum, a float; without
// -128 * sum, an int32. What a row has of a group lies together, so that few addresses are kept while many rows are multiplied.

constexpr float HOT = 4.f;  // of the row's root mean square

template <int S>
struct Part {
  uint8_t bytes[S];
  float scale;
  int32_t correction;
};

static inline int flags_of(int groups) { return (groups + 7) & ~7; }

static int row_bytes(int inputs, int format) {
  const int groups = inputs / group_of(format);
  const int bytes = format == BF16 ? inputs * (int)sizeof(Bf16Activation) : 2 * (inputs + 8 * groups) + flags_of(groups);
  return (bytes + 63) & ~63;
}

template <int S>
struct Row {
  Part<S> *high, *low;
  uint8_t *hot;
  Row(const uint8_t *row, int inputs) : high((Part<S> *)row), low(high + inputs / S), hot((uint8_t *)(low + inputs / S)) {}
};

static inline float mean_square(const float *x, int n) {
  f16v sum = set1(0.f);
  for (int i = 0; i < n; i += 16) sum = fmadd(load(x + i), load(x + i), sum);
  return sum_of(sum) / n;
}

template <int S>
static inline void finish(Part<S> &part, float scale, int32_t sum, bool low) {
  const float shift = scale * sum;
  const int32_t raised = -128 * sum;
  part.scale = scale;
  low ? std::memcpy(&part.correction, &shift, sizeof shift) : std::memcpy(&part.correction, &raised, sizeof raised);
}

template <int S>
static inline void quantize_group(const float *x, const Row<S> &row, int g, float limit, bool low) {
  f16v most = set1(0.f);
  for (int i = 0; i < S; i += 16) most = higher(most, magnitude(load(x + i)));
  const float top = highest(most);
  const bool hot = top > limit;
  const f16v inverse = set1(top > 0 ? (hot ? 32512.f : 127.f) / top : 0.f);
  i16v highs = set1(0), lows = set1(0);
  for (int i = 0; i < S; i += 16) {
    const i16v q = to_int(load(x + i) * inverse), h = hot ? high_bytes(q) : q, l = hot ? minus(q, shifted_up(h)) : set1(0);
    store_bytes(row.high[g].bytes + i, h), store_bytes(row.low[g].bytes + i, l);
    highs = plus(highs, h), lows = plus(lows, l);
  }
  finish(row.high[g], top / 127.f, sum_of(highs, set1(0)), low);
  finish(row.low[g], top / 32512.f, sum_of(lows, set1(0)), low);
  row.hot[g] = hot;
}

template <int S>
static inline void quantize_groups(const float *x, uint8_t *bytes, int inputs, bool low) {
  const Row<S> row(bytes, inputs);
  const float limit = HOT * std::sqrt(mean_square(x, inputs));
  for (int g = 0; g < inputs / S; g++) quantize_group<S>(x + g * S, row, g, limit, low);
  for (int g = inputs / S; g % 8; g++) row.hot[g] = 0;
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
