// Tables read by row, and rotation. An item is ROWS rows.

static inline float widen(uint16_t bf16) {
  const uint32_t bits = (uint32_t)bf16 << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// EMBED  p: tokens int64 [T], q, scales, out [T, D]  n: T, D, format, inputs of the matrix (D and its padding)
static void embed(const Op &op, int item) {
  const int dim = op.n[1], format = op.n[2], inputs = op.n[3], groups = inputs / GROUP;
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const int64_t token = ((const int64_t *)op.p[0])[t];
    const int lane = token % 16;
    const auto *q = (const uint8_t *)op.p[1] + token / 16 * (2LL * inputs * format);
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

// GATHER  p: rows int64 [T], table [Y, D] of floats or bf16, out [T, D]  n: T, D, format
static void gather_rows(const Op &op, int item) {
  const int dim = op.n[1];
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const int64_t from = ((const int64_t *)op.p[0])[t] * dim, to = (int64_t)t * dim;
    const auto *bf16 = (const uint16_t *)op.p[1] + from;
    float *y = (float *)op.p[2] + to;
    if (op.n[2] != BF16) {
      std::memcpy(y, (const float *)op.p[1] + from, dim * sizeof(float));
      continue;
    }
    int d = 0;
    for (; d + 16 <= dim; d += 16) store(y + d, from_bf16(bf16 + d));
    for (; d < dim; d++) y[d] = widen(bf16[d]);
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
