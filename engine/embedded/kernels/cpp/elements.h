// What happens to every number by itself. An item is ROWS rows; of those that may be as wide as a vocabulary, COLUMNS of each.

// ADD  p: x, y, out  n: T, D, strides of x, y
static void add(const Op &op, int item) {
  const int64_t dim = op.n[1];
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const float *x = (const float *)op.p[0] + (int64_t)t * op.n[2], *y = (const float *)op.p[1] + (int64_t)t * op.n[3];
    float *out = (float *)op.p[2] + t * dim;
    by_sixteen(op.n[1], [&](int d, auto lanes) { store(out + d, load(x + d, lanes) + load(y + d, lanes), lanes); });
  }
}

// SCALE  p: x, out  n: T, D, stride of x  f: factor.   SOFTCAP  the same  f: cap: cap * tanh(x / cap)
static void map_wide(const Op &op, int item) {
  const int across = chunks(op.n[1], COLUMNS), from = item % across * COLUMNS, count = std::min(COLUMNS, op.n[1] - from);
  const f16v factor = set1(op.f[0]), inverse = set1(1.f / op.f[0]);
  item /= across;
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const float *x = (const float *)op.p[0] + (int64_t)t * op.n[2] + from;
    float *y = (float *)op.p[1] + (int64_t)t * op.n[1] + from;
    if (op.code == SCALE)
      by_sixteen(count, [&](int d, auto lanes) { store(y + d, load(x + d, lanes) * factor, lanes); });
    else
      by_sixteen(count, [&](int d, auto lanes) { store(y + d, factor * tanh16(load(x + d, lanes) * inverse), lanes); });
  }
}

// CLAMP  p: x, out  n: A, D, B, stride of A, stride of B  f: most
static void clamp(const Op &op, int item) {
  const f16v most = set1(op.f[0]), least = set1(-op.f[0]);
  for (int row = item * ROWS; row < std::min(rows(op, op.n[0]) * op.n[2], (item + 1) * ROWS); row++) {
    const float *x = strided_row(op, row);
    float *y = (float *)op.p[1] + (int64_t)row * op.n[1];
    by_sixteen(op.n[1], [&](int d, auto lanes) { store(y + d, lower(higher(load(x + d, lanes), least), most), lanes); });
  }
}

// HEAT  p: x, out, positions int64 [A]  n: A, D, B, stride of A, stride of B  f: floor, scale
static void heat(const Op &op, int item) {
  for (int row = item * ROWS; row < std::min(rows(op, op.n[0]) * op.n[2], (item + 1) * ROWS); row++) {
    const auto position = (float)(((const int64_t *)op.p[2])[row / op.n[2]] + 1);
    const f16v factor = set1(1.f + op.f[1] * std::log1p(std::floor(position / op.f[0])));
    const float *x = strided_row(op, row);
    float *y = (float *)op.p[1] + (int64_t)row * op.n[1];
    by_sixteen(op.n[1], [&](int d, auto lanes) { store(y + d, load(x + d, lanes) * factor, lanes); });
  }
}

// GATED  p: x [T, 2F], out [T, F]  n: T, F, activation, stride of x  f: limit, alpha (CLAMPED).   ACTIVATE  the same with x [T, F].
static inline f16v gated16(int activation, const Op &op, f16v gate, f16v up) {
  if (activation != CLAMPED) return activation16(activation, gate) * up;
  const f16v limit = set1(op.f[0]), g = lower(gate, limit);
  return g * sigmoid16(set1(op.f[1]) * g) * (lower(higher(up, set1(-op.f[0])), limit) + set1(1.f));
}

static void gate(const Op &op, int item) {
  const int hidden = op.n[1];
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const float *x = (const float *)op.p[0] + (int64_t)t * op.n[3];
    float *y = (float *)op.p[1] + (int64_t)t * hidden;
    if (op.code == GATED)
      by_sixteen(hidden, [&](int i, auto lanes) { store(y + i, gated16(op.n[2], op, load(x + i, lanes), load(x + hidden + i, lanes)), lanes); });
    else
      by_sixteen(hidden, [&](int i, auto lanes) { store(y + i, activation16(op.n[2], load(x + i, lanes)), lanes); });
  }
}
