// A matrix for each head: the rows of head h are multiplied with matrix h alone. The matrices lie behind one another in linear.h's order,
// each filled up to whole blocks of sixteen outputs.

// Rows [first, first + count) of head h, in the form that the matrix wants.
static void quantize_head(const Op &op, int h, int first, int count, uint8_t *rows) {
  const int columns = op.n[2], inputs = op.n[3];
  std::vector<float> padded(columns < inputs ? inputs : 0);
  for (int t = 0; t < count; t++) {
    const float *x = (const float *)op.p[0] + (int64_t)(first + t) * op.n[7] + (int64_t)h * op.n[8];
    if (columns < inputs) x = (const float *)std::memcpy(padded.data(), x, columns * sizeof(float));
    quantize_row(x, rows + t * op.n[6], inputs, op.n[5]);
  }
}

// EACH_HEAD  p: x [T, H, C], q, scales, out [T, H, O]
//            n: T, H, C, I (behind C columns there are zeros), O, format, bytes per row, strides of x (T, H)
static void each_head(const Op &op, int item) {
  const int heads = op.n[1], inputs = op.n[3], outputs = op.n[4], format = op.n[5];
  const int h = item % heads, first = item / heads * HEAD_ROWS, count = std::min(rows(op, op.n[0]) - first, HEAD_ROWS);
  const int blocks = chunks(outputs, 16), whole = blocks * 16;
  alignas(64) uint8_t x[HEAD_ROWS * MAX_LATENT * sizeof(float)];
  quantize_head(op, h, first, count, x);
  std::vector<float> filled(whole == outputs ? 0 : count * whole);
  float *out = (float *)op.p[3] + ((int64_t)first * heads + h) * outputs, *y = filled.empty() ? out : filled.data();
  const Hot hot(x, op.n[6], inputs, format, 0, count);
  for (int i = 0; i < blocks;) {
    const int64_t block = (int64_t)h * blocks + i;
    const Block b = {(const uint8_t *)op.p[1] + block * (2 * inputs * bits_of(format)),
                     (const uint16_t *)op.p[2] + block * (inputs / group_of(format) * scales_of(format)),
                     nullptr,
                     x,
                     op.n[6],
                     inputs,
                     filled.empty() ? heads * outputs : whole,
                     y + 16 * i};
    i += multiply_some(b, format, blocks - i, 0, count, hot);
  }
  for (int t = 0; t < count && !filled.empty(); t++) std::memcpy(out + (int64_t)t * heads * outputs, y + t * whole, outputs * sizeof(float));
}
