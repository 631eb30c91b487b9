// Matrices. Packed for sixteen outputs at a time:
//   U4    per block of 16 outputs and group of 32 inputs 256 bytes: four vectors, vector j holding inputs 4j..4j+3 of
//         each output in its low nibbles and 4j+16..4j+19 in its high ones; scales: 16 fp16 scale, then 16 fp16 low
//   U8    the same in 512 bytes, vector j holding inputs 4j..4j+3 as q + 128; scales: 16 fp16 scale
//   BF16  per block and pair of inputs 64 bytes: two inputs of each output
// Activations become signed bytes with one scale per group of 32 inputs of a row (U4, U8) or bf16. A row's result never
// depends on the rows beside it: the order of its additions is the same for one row and for five hundred.

// A quantized row: I bytes, then G scales, then G corrections (U4: scale * sum, float; U8: -128 * sum, int32).
static int row_bytes(int inputs, int format) {
  const int bytes = format == BF16 ? inputs * (int)sizeof(Bf16Activation) : inputs + 8 * (inputs / GROUP);
  return (bytes + 63) & ~63;
}

static inline void quantize_group(const float *x, uint8_t *q, float *scale, int32_t *sum) {
  const f16v a = load(x), b = load(x + 16);
  const float top = highest(higher(magnitude(a), magnitude(b)));
  const f16v inverse = set1(top > 0 ? 127.f / top : 0.f);
  const i16v qa = to_int(a * inverse), qb = to_int(b * inverse);
  store_bytes(q, qa), store_bytes(q + 16, qb);
  *scale = top / 127.f;
  *sum = sum_of(qa, qb);
}

static void quantize_row(const float *x, uint8_t *row, int inputs, int format) {
  if (format == BF16) {
    for (int i = 0; i < inputs; i += 16) store_activations((Bf16Activation *)row + i, load(x + i));
    return;
  }
  const int groups = inputs / GROUP;
  float *scale = (float *)(row + inputs);
  for (int g = 0; g < groups; g++) {
    int32_t sum;
    quantize_group(x + g * GROUP, row + g * GROUP, scale + g, &sum);
    if (format == U4)
      scale[groups + g] = scale[g] * sum;
    else
      ((int32_t *)scale)[groups + g] = -128 * sum;
  }
}

struct Block {  // sixteen outputs, and the rows that they are multiplied with
  const uint8_t *w;
  const uint16_t *scales;
  const float *bias;  // null: none
  const uint8_t *x;
  int stride, inputs, outputs;
  float *y;
};

template <int R>
static inline void add_group_u4(f16v *sum, const Block &b, const uint8_t *x, int g) {
  const int groups = b.inputs / GROUP;
  i16v acc[R];
  for (int r = 0; r < R; r++) acc[r] = set1(0);
  dot_u4<R>(acc, b.w + g * 256, x + g * GROUP, b.stride);
  const f16v d = from_fp16(b.scales + g * 32), m = from_fp16(b.scales + g * 32 + 16);
  for (int r = 0; r < R; r++) {
    const auto *scale = (const float *)(x + r * b.stride + b.inputs) + g;
    sum[r] = fmadd(to_float(acc[r]), d * set1(scale[0]), sum[r]);
    sum[r] = fmadd(m, set1(scale[groups]), sum[r]);
  }
}

template <int R>
static inline void add_group_u8(f16v *sum, const Block &b, const uint8_t *x, int g) {
  const int groups = b.inputs / GROUP;
  i16v acc[R];
  for (int r = 0; r < R; r++) acc[r] = set1(((const int32_t *)(x + r * b.stride + b.inputs))[groups + g]);
  dot_u8<R>(acc, b.w + g * 512, x + g * GROUP, b.stride);
  const f16v d = from_fp16(b.scales + g * 16);
  for (int r = 0; r < R; r++) {
    const auto *scale = (const float *)(x + r * b.stride + b.inputs) + g;
    sum[r] = fmadd(to_float(acc[r]), d * set1(scale[0]), sum[r]);
  }
}

template <int F, int R>
static void multiply(const Block &b, int row) {
  const uint8_t *x = b.x + (int64_t)row * b.stride;
  f16v sum[R];
  for (int r = 0; r < R; r++) sum[r] = b.bias ? load(b.bias) : set1(0.f);
  if constexpr (F == BF16)
    for (int i = 0; i < b.inputs; i += 2) dot_pair<R>(sum, b.w + 32 * i, x + i * sizeof(Bf16Activation), b.stride);
  else
    for (int g = 0; g < b.inputs / GROUP; g++) F == U4 ? add_group_u4<R>(sum, b, x, g) : add_group_u8<R>(sum, b, x, g);
  for (int r = 0; r < R; r++) store(b.y + (int64_t)(row + r) * b.outputs, sum[r]);
}

// R rows at a time, then what is left.
template <int F, int R = LINEAR_TILE>
static inline void multiply_rows(const Block &b, int row, int end) {
  for (; row + R <= end; row += R) multiply<F, R>(b, row);
  if constexpr (R > 1) multiply_rows<F, R - 1>(b, row, end);
}

// LINEAR  p: quantized rows, q, scales, out [T, O], bias or null  n: T, I, O, format, bytes per row
static void linear(const Op &op, int item) {
  const int inputs = op.n[1], outputs = op.n[2], format = op.n[3];
  const int per = linear_blocks(op), all = outputs / 16, across = chunks(all, per);
  const int first = item / across * LINEAR_ROWS, end = std::min(rows(op, op.n[0]), first + LINEAR_ROWS);
  for (int i = item % across * per; i < std::min(all, (item % across + 1) * per); i++) {
    const auto *bias = (const float *)op.p[4];
    const Block b{(const uint8_t *)op.p[1] + i * (2LL * inputs * format),
                  (const uint16_t *)op.p[2] + i * ((int64_t)inputs / GROUP * (format == U4 ? 32 : 16)),
                  bias ? bias + 16 * i : nullptr,
                  (const uint8_t *)op.p[0],
                  op.n[4],
                  inputs,
                  outputs,
                  (float *)op.p[3] + 16 * i};
    format == U4 ? multiply_rows<U4>(b, first, end) : format == U8 ? multiply_rows<U8>(b, first, end) : multiply_rows<BF16>(b, first, end);
  }
}

// QUANTIZE  p: x [T, I], out rows  n: T, I, format, bytes per row, stride of x
static void quantize(const Op &op, int item) {
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++)
    quantize_row((const float *)op.p[0] + (int64_t)t * op.n[4], (uint8_t *)op.p[1] + (int64_t)t * op.n[3], op.n[1], op.n[2]);
}
