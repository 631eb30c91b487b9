// Tables read by row, and rotation. An item is ROWS rows.

static inline float widen(uint16_t bf16) {
  const uint32_t bits = (uint32_t)bf16 << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// EMBED  p: tokens int64 [T], q, scales, out [T, D]  n: T, D, format, inputs of the matrix (D and its padding)
static void embed(const Op &op, int item) {
  const int dim = op.n[1], format = op.n[2], inputs = op.n[3], bits = bits_of(format), size = group_of(format), per = scales_of(format);
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const int64_t token = ((const int64_t *)op.p[0])[t];
    const int lane = token % 16;
    const auto *q = (const uint8_t *)op.p[1] + token / 16 * (2LL * inputs * bits);
    const auto *scales = (const uint16_t *)op.p[2] + token / 16 * (inputs / size) * per;
    float *y = (float *)op.p[3] + (int64_t)t * dim;
    for (int i = 0; i < dim; i++) {
      if (format == BF16) {
        y[i] = widen(((const uint16_t *)q)[(i / 2) * 32 + lane * 2 + i % 2]);
        continue;
      }
      const int g = i / size, quad = i % size / 4, vectors = size * bits / 32;
      const int byte = q[(g * vectors + quad % vectors) * 64 + lane * 4 + i % 4];
      const int number = bits == U8 ? byte : quad < vectors ? byte & 15 : byte >> 4;
      const float scale = _cvtsh_ss(scales[g * per + lane]);
      y[i] = has_low(format) ? number * scale + _cvtsh_ss(scales[g * per + 16 + lane]) : (number - 128) * scale;
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
