// Products of many rows by AMX: sixteen rows at a time with a group's inputs of sixteen outputs. The sums are the integers that dot gives
// in vec_avx512.h, and they are added up in the same order, so a row's result does not tell which of the two made it.

constexpr int TILED_GROUPS = 4;  // whose sums lie in the first cache before they are added up
constexpr int FEW = 8;           // hot rows for which vectors are as fast

template <int F, int SUM>
static inline void multiply_group(int32_t *sums, const uint8_t *w) {
  load_tile<W>(w, 64);
  clear_tile<SUM>();
  dot_tiles<SUM, !has_low(F)>();
  store_tile<SUM>(sums, 64);
}

// N groups of V blocks: sums[v][g] of sixteen rows of group x, with weights w[v][g].
template <int F, int N, int V>
static inline void multiply_groups(int32_t (*sums)[TILED_GROUPS][TILE * 16], const uint8_t *x, int stride, const uint8_t (*w)[TILED_GROUPS][512]) {
  constexpr int PART = sizeof(Part<group_of(F)>);
#pragma GCC unroll 2
  for (int g = 0; g < N; g += 2) {
    load_tile<X>(x + g * PART, stride);
    multiply_group<F, 0>(sums[0][g], w[0][g]);
    if (V > 1) multiply_group<F, 1>(sums[V - 1][g], w[V - 1][g]);
    if (g + 1 == N) break;
    load_tile<X>(x + (g + 1) * PART, stride);
    multiply_group<F, 2>(sums[0][g + 1], w[0][g + 1]);
    if (V > 1) multiply_group<F, 3>(sums[V - 1][g + 1], w[V - 1][g + 1]);
  }
}

// As tiles want them, four inputs of each output in a vector; signed where there is no low. Behind the inputs of a small group lie zeros:
// whatever the tile of activations holds there does not count.
template <int F>
static inline void unpack_group(uint8_t *out, const uint8_t *w) {
  constexpr int S = group_of(F);
  const i16v low4 = _mm512_set1_epi8(15), sign = _mm512_set1_epi8(-128);
  for (int at = 0; at < 2 * S * bits_of(F); at += 64) {
    const i16v v = load_bytes(w + at);
    if (bits_of(F) == 4) {
      _mm512_store_si512(out + at, _mm512_and_si512(v, low4));
      _mm512_store_si512(out + 8 * S + at, _mm512_and_si512(_mm512_srli_epi16(v, 4), low4));
    } else {
      _mm512_store_si512(out + at, has_low(F) ? v : _mm512_xor_si512(v, sign));
    }
  }
  for (int at = 16 * S; at < 512; at += 64) _mm512_store_si512(out + at, set1(0));
}

// Adds the sums of N groups of `count` rows, in the order of add_group.
template <int F, int N>
static inline void add_groups(float *y, int outputs, const int32_t (*acc)[TILE * 16], const uint16_t *scales, const uint8_t *x, int stride, int count) {
  constexpr int PER = scales_of(F);
  f16v d[N], low[N];
  for (int g = 0; g < N; g++) d[g] = from_fp16(scales + g * PER), low[g] = has_low(F) ? from_fp16(scales + g * PER + 16) : d[g];
  for (int r = 0; r < count; r++) {
    const auto *part = (const Part<group_of(F)> *)(x + (int64_t)r * stride);
    f16v s = load(y + r * outputs);
#pragma GCC unroll 4
    for (int g = 0; g < N; g++) {
      s = fmadd(to_float(load_bytes(acc[g] + r * 16)), d[g] * set1(part[g].scale), s);
      if (has_low(F)) s = fmadd(low[g], set1(float_of(part[g].correction)), s);
    }
    store(y + r * outputs, s);
  }
}

// Groups [g, g + N) of sixteens of rows.
template <int F, int N, int V>
static void multiply_panel(const Block &b, int g, int rows) {
  constexpr int S = group_of(F), BYTES_HERE = 2 * S * bits_of(F), PER = scales_of(F);
  alignas(64) uint8_t w[V][TILED_GROUPS][512];
  alignas(64) int32_t acc[V][TILED_GROUPS][TILE * 16];
  const int64_t next = 2LL * bits_of(F) * b.inputs, next_scales = b.inputs / S * PER;
  for (int v = 0; v < V; v++)
    for (int i = 0; i < N; i++) unpack_group<F>(w[v][i], b.w + v * next + (g + i) * BYTES_HERE);
  const uint8_t *x = b.x + g * sizeof(Part<S>);
  float *y = b.y;
  for (; rows > 0; rows -= TILE, x += (int64_t)TILE * b.stride, y += TILE * b.outputs) {
    multiply_groups<F, N, V>(acc, x, b.stride, w);
    for (int v = 0; v < V; v++) add_groups<F, N>(y + v * 16, b.outputs, acc[v], b.scales + v * next_scales + g * PER, x, b.stride, TILE);
  }
}

template <int F, int V>
static int multiply_tiles(const Block &b, int rows) {
  const int groups = b.inputs / group_of(F), whole = rows / TILE * TILE;
  if (whole) ran(TILED_BYTES);
  for (int r = 0; r < whole; r++)
    for (int v = 0; v < V; v++) store(b.y + r * b.outputs + 16 * v, b.bias ? load(b.bias + 16 * v) : set1(0.f));
  int g = 0;
  for (; g + TILED_GROUPS <= groups && whole; g += TILED_GROUPS) multiply_panel<F, TILED_GROUPS, V>(b, g, whole);
  for (; g + 2 <= groups && whole; g += 2) multiply_panel<F, 2, V>(b, g, whole);
  if (g < groups && whole) multiply_panel<F, 1, V>(b, g, whole);
  return whole;
}

// The low bytes of group g of hot rows, as add_hot does. Returns how many of the rows.
template <int F, int V>
static int add_hot_tiles(const Block &b, int g, const uint8_t *hot, int count) {
  constexpr int S = group_of(F), PER = scales_of(F);
  if (count < FEW) return 0;
  ran(TILED_HOT);
  alignas(64) uint8_t w[V][TILED_GROUPS][512];
  alignas(64) int32_t acc[V][TILED_GROUPS][TILE * 16];
  alignas(64) Part<S> low[TILE + 1] = {};  // one more, of which a tile may see the beginning
  f16v sums[V][TILE];
  for (int v = 0; v < V; v++) unpack_group<F>(w[v][0], b.w + 2LL * bits_of(F) * (v * (int64_t)b.inputs + g * S));
  int done = 0;
  for (int here; (here = std::min(TILE, count - done)) >= FEW; done += here) {
    for (int r = 0; r < here; r++) {
      low[r] = Row<S>(b.x + (int64_t)hot[done + r] * b.stride, b.inputs).low[g];
      for (int v = 0; v < V; v++) sums[v][r] = load(b.y + hot[done + r] * b.outputs + 16 * v);
    }
    multiply_groups<F, 1, V>(acc, (const uint8_t *)low, sizeof(Part<S>), w);
    for (int v = 0; v < V; v++)
      add_groups<F, 1>((float *)sums[v], 16, acc[v], b.scales + (v * (b.inputs / S) + g) * PER, (const uint8_t *)low, sizeof(Part<S>), here);
    for (int r = 0; r < here; r++)
      for (int v = 0; v < V; v++) store(b.y + hot[done + r] * b.outputs + 16 * v, sums[v][r]);
  }
  return done;
}

template <int N, typename F>
static inline void for_each_tile(F f) {
  f(std::integral_constant<int, 0>());
  if constexpr (N > 1) f(std::integral_constant<int, 1>());
  if constexpr (N > 2) f(std::integral_constant<int, 2>());
  if constexpr (N > 3) f(std::integral_constant<int, 3>());
}

struct DeepRows {  // sixteens of them
  const uint8_t *x;
  int64_t stride;
};

// Inputs [from, to), in 32s, of S sixteens of rows with V blocks; sums go on from what y holds, or begin with the bias.
template <int S, int V>
static inline void multiply_deep(const Block &b, const DeepRows &rows, int from, int to, float *y, int outputs) {
  for_each_tile<S * V>([&](auto tile) {
    constexpr int T = decltype(tile)::value;
    if (from > 0)
      load_tile<T>(y + T / V * TILE * outputs + T % V * 16, 4 * outputs);
    else if (b.bias)
      load_tile<T>(b.bias + T % V * 16, 0);
    else
      clear_tile<T>();
  });
  for (int k = from; k < to; k++)
    for_each_tile<V>([&](auto v) {
      load_tile<DEEP_W>(b.w + (decltype(v)::value * (b.inputs / 32LL) + k) * 1024, 64);
      for_each_tile<S>([&](auto s) {
        load_tile<DEEP_X>(rows.x + decltype(s)::value * TILE * rows.stride + (k - from) * 64, rows.stride);
        dot_deep_tiles<decltype(s)::value * V + decltype(v)::value>();
      });
    });
  for_each_tile<S * V>([&](auto tile) {
    constexpr int T = decltype(tile)::value;
    store_tile<T>(y + T / V * TILE * outputs + T % V * 16, 4 * outputs);
  });
}

// Fewer than sixteen rows: tiles are filled up with zeros, a part of the inputs after the other.
template <int V>
static void multiply_deep_few(const Block &b, int row, int count) {
  constexpr int PART = 16;  // of 32 inputs
  alignas(64) uint8_t x[TILE * PART * 64] = {};
  alignas(64) float y[TILE * 16 * V];
  for (int from = 0; from < b.inputs / 32; from += PART) {
    const int to = std::min(b.inputs / 32, from + PART);
    for (int r = 0; r < count; r++) std::memcpy(x + r * PART * 64, b.x + (int64_t)(row + r) * b.stride + from * 64, (to - from) * 64);
    multiply_deep<1, V>(b, {x, PART * 64}, from, to, y, 16 * V);
  }
  for (int r = 0; r < count; r++) std::memcpy(b.y + (int64_t)(row + r) * b.outputs, y + r * 16 * V, 64 * V);
}

template <int V>
static void multiply_deep_rows(const Block &b, int row, int end) {
  const auto at = [&](int r) { return DeepRows{b.x + (int64_t)r * b.stride, b.stride}; };
  if constexpr (V <= 2)
    for (; row + 2 * TILE <= end; row += 2 * TILE) multiply_deep<2, V>(b, at(row), 0, b.inputs / 32, b.y + (int64_t)row * b.outputs, b.outputs);
  for (; row + TILE <= end; row += TILE) multiply_deep<1, V>(b, at(row), 0, b.inputs / 32, b.y + (int64_t)row * b.outputs, b.outputs);
  if (row < end) multiply_deep_few<V>(b, row, end - row);
}

// Matrices of bf16, whatever the number of rows: their sums are rounded in an order that only tiles have.
static int multiply_bf16_tiles(const Block &b, int blocks, int row, int end) {
  if (b.inputs % 32) return 0;
  ran(TILED_BF16);
  if (blocks >= 4 && end - row <= TILE) return multiply_deep_rows<4>(b, row, end), 4;
  if (blocks >= 2) return multiply_deep_rows<2>(b, row, end), 2;
  return multiply_deep_rows<1>(b, row, end), 1;
}

// Products of bytes that registers alone can make, whatever memory does: multiplications and additions in `rounds`.
static int64_t most_tiled(int rounds) {
  enter();
  for (int i = 0; i < rounds; i++)
    asm volatile(
        "tdpbusd %tmm6, %tmm4, %tmm0\n\ttdpbusd %tmm6, %tmm4, %tmm1\n\ttdpbusd %tmm6, %tmm4, %tmm2\n\ttdpbusd %tmm6, %tmm4, %tmm3");
  leave();
  return rounds * 4LL * 2 * 16 * 16 * 64;
}
