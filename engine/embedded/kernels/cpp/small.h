// What happens between matrices and attention. An item is ROWS rows.

static inline float widen(uint16_t bf16) {
  const uint32_t bits = (uint32_t)bf16 << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// EMBED  p: tokens int64 [T], q, scales, out [T, D]  n: T, D, format
static void embed(const Op &op, int item) {
  const int dim = op.n[1], format = op.n[2], groups = dim / GROUP;
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const int64_t token = ((const int64_t *)op.p[0])[t];
    const int lane = token % 16;
    const auto *q = (const uint8_t *)op.p[1] + token / 16 * (2LL * dim * format);
    const auto *scales = (const uint16_t *)op.p[2] + token / 16 * groups * (format == U4 ? 32 : 16);
    float *y = (float *)op.p[3] + (int64_t)t * dim;
    for (int i = 0; i < dim; i++) {
      const int g = i / GROUP, quad = i % GROUP / 4, at = lane * 4 + i % 4;
      if (format == BF16) {
        y[i] = widen(((const uint16_t *)q)[(i / 2) * 32 + lane * 2 + i % 2]);
      } else if (format == U4) {
        const int byte = q[g * 256 + (quad % 4) * 64 + at];
        y[i] = (quad < 4 ? byte & 15 : byte >> 4) * _cvtsh_ss(scales[g * 32 + lane]) + _cvtsh_ss(scales[g * 32 + 16 + lane]);
      } else {
        y[i] = (q[g * 512 + quad * 64 + at] - 128) * _cvtsh_ss(scales[g * 16 + lane]);
      }
    }
  }
}

// RMS_NORM  p: x, weight, out  n: A, B, D, stride of A, stride of B: rows (a, b) of x;  f: eps
static void rms_norm(const Op &op, int item) {
  const int dim = op.n[2];
  const auto *w = (const float *)op.p[1];
  for (int row = item * ROWS; row < std::min(rows(op, op.n[0]) * op.n[1], (item + 1) * ROWS); row++) {
    const float *x = (const float *)op.p[0] + (int64_t)(row / op.n[1]) * op.n[3] + (int64_t)(row % op.n[1]) * op.n[4];
    float *y = (float *)op.p[2] + (int64_t)row * dim;
    f16v sum = set1(0.f);
    for (int d = 0; d < dim; d += 16) sum = fmadd(load(x + d), load(x + d), sum);
    const f16v r = set1(1.f / std::sqrt(sum_of(sum) / dim + op.f[0]));
    for (int d = 0; d < dim; d += 16) store(y + d, load(x + d) * r * load(w + d));
  }
}

// ROTATE  p: x, table [P, R], positions int64, out [T, H, K]  n: T, H, K, stride of T, stride of H, R
static void rotate(const Op &op, int item) {
  const int heads = op.n[1], dim = op.n[2], rot = op.n[5], half = rot / 2;
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const float *cos = (const float *)op.p[1] + ((const int64_t *)op.p[2])[t] * rot, *sin = cos + half;
    for (int h = 0; h < heads; h++) {
      const float *x = (const float *)op.p[0] + (int64_t)t * op.n[3] + (int64_t)h * op.n[4];
      float *y = (float *)op.p[3] + ((int64_t)t * heads + h) * dim;
      for (int i = 0; i < half; i++) {
        y[i] = x[i] * cos[i] - x[i + half] * sin[i];
        y[i + half] = x[i + half] * cos[i] + x[i] * sin[i];
      }
      std::memcpy(y + rot, x + rot, (dim - rot) * sizeof(float));
    }
  }
}

// GATED  p: x [T, 2F], out [T, F]  n: T, F, activation.   ACTIVATE  the same with x [T, F].
static void gate(const Op &op, int item) {
  const int hidden = op.n[1];
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const float *x = (const float *)op.p[0] + (int64_t)t * hidden * (op.code == GATED ? 2 : 1);
    float *y = (float *)op.p[1] + (int64_t)t * hidden;
    for (int i = 0; i < hidden; i += 16) {
      const f16v a = activation16(op.n[2], load(x + i));
      store(y + i, op.code == GATED ? a * load(x + hidden + i) : a);
    }
  }
}

// ADD  p: x, y, out  n: T, D
static void add(const Op &op, int item) {
  const int64_t dim = op.n[1], end = std::min(rows(op, op.n[0]), (item + 1) * ROWS) * dim;
  const auto *x = (const float *)op.p[0], *y = (const float *)op.p[1];
  for (int64_t i = item * ROWS * dim; i < end; i += 16) store((float *)op.p[2] + i, load(x + i) + load(y + i));
}

// SCALE  p: x, out  n: T, D  f: factor
static void scale(const Op &op, int item) {
  const int64_t dim = op.n[1], end = std::min(rows(op, op.n[0]), (item + 1) * ROWS) * dim;
  const f16v factor = set1(op.f[0]);
  for (int64_t i = item * ROWS * dim; i < end; i += 16) store((float *)op.p[1] + i, load((const float *)op.p[0] + i) * factor);
}
