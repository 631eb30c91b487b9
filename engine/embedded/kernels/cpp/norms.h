// Norms over the last axis. An item is ROWS rows. Weights and biases: null for none, or one for each b, n[5] numbers apart (0: one for all).

static inline const float *weight_of(const void *all, const Op &op, int row) {
  return all ? (const float *)all + (int64_t)(row % op.n[2]) * op.n[5] : nullptr;
}

// RMS_NORM  p: x, weight, out  n: A, D, B, stride of A, stride of B, of the weights  f: eps
static void rms_norm(const Op &op, int item) {
  const int dim = op.n[1];
  for (int row = item * ROWS; row < std::min(rows(op, op.n[0]) * op.n[2], (item + 1) * ROWS); row++) {
    const float *x = strided_row(op, row), *w = weight_of(op.p[1], op, row);
    float *y = (float *)op.p[2] + (int64_t)row * dim;
    f16v sum = set1(0.f);
    by_sixteen(dim, [&](int d, auto lanes) { sum = fmadd(load(x + d, lanes), load(x + d, lanes), sum); });
    const f16v r = set1(1.f / std::sqrt(sum_of(sum) / dim + op.f[0]));
    by_sixteen(dim, [&](int d, auto lanes) {
      const f16v here = load(x + d, lanes) * r;
      store(y + d, w ? here * load(w + d, lanes) : here, lanes);
    });
  }
}

// LAYER_NORM  p: x, weight, bias, out, y or null, sum or null  n: as RMS_NORM  f: eps
// Of x, or of x + y, which goes to `sum`; then all of them are [T, D], without gaps.
static void layer_norm(const Op &op, int item) {
  const int dim = op.n[1];
  for (int row = item * ROWS; row < std::min(rows(op, op.n[0]) * op.n[2], (item + 1) * ROWS); row++) {
    const int64_t at = (int64_t)row * dim;
    const float *x = strided_row(op, row), *y = op.p[4] ? (const float *)op.p[4] + at : nullptr;
    const float *w = weight_of(op.p[1], op, row), *b = weight_of(op.p[2], op, row);
    float *out = (float *)op.p[3] + at, *z = op.p[5] ? (float *)op.p[5] + at : nullptr;
    f16v sum = set1(0.f), square = set1(0.f);
    by_sixteen(dim, [&](int d, auto lanes) {
      const f16v here = y ? load(x + d, lanes) + load(y + d, lanes) : load(x + d, lanes);
      if (z) store(z + d, here, lanes);
      store(out + d, here, lanes);
      sum = sum + here;
    });
    const f16v mean = set1(sum_of(sum) / dim);
    by_sixteen(dim, [&](int d, auto lanes) {
      const f16v away = only(load(out + d, lanes) - mean, lanes);
      square = fmadd(away, away, square);
    });
    const f16v r = set1(1.f / std::sqrt(sum_of(square) / dim + op.f[0]));
    by_sixteen(dim, [&](int d, auto lanes) {
      f16v here = (load(out + d, lanes) - mean) * r;
      if (w) here = here * load(w + d, lanes);
      store(out + d, b ? here + load(b + d, lanes) : here, lanes);
    });
  }
}
