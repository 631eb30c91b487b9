// States of constant size: what a sequence leaves behind lies in a slot. A step reads one slot and writes another, or the same. Tokens pass one
// after the other, so that no number depends on how a prompt was cut. An item is some channels of all sequences (RECUR: columns of one head).

struct Span {
  int first, end;
  int64_t read, write;  // slots
};

static inline Span span_of(const void *starts, const void *reads, const void *writes, int s) {
  const auto *from = (const int32_t *)starts;
  return {from[s], from[s + 1], ((const int32_t *)reads)[s], ((const int32_t *)writes)[s]};
}

// f(span) for each sequence that has tokens.
template <typename F>
static inline void by_sequence(int all, const void *starts, const void *reads, const void *writes, F f) {
  for (int s = 0; s < all; s++) {
    const Span span = span_of(starts, reads, writes, s);
    if (span.first < span.end) f(span);
  }
}

// CONVOLVE  p: x, weight [C, W], bias [C] or null, states [slots, W - 1, C], starts, slots read, slots written, out [T, C]
//           n: S, C, W, stride of x
template <int W>
static void convolve_taps(const Op &op, int item) {
  const int channels = op.n[1];
  by_sixteen(std::min(CHANNELS, channels - item * CHANNELS), [&](int from, auto lanes) {
    const int c = item * CHANNELS + from;
    auto *states = (float *)op.p[3] + c;
    const f16v bias = op.p[2] ? load((const float *)op.p[2] + c, lanes) : set1(0.f);
    f16v weight[W];
    for (int j = 0; j < W; j++) weight[j] = load_apart((const float *)op.p[1] + (int64_t)c * W + j, W, count_of(lanes));
    by_sequence(op.n[0], op.p[4], op.p[5], op.p[6], [&](const Span &span) {
      f16v seen[W];
      for (int j = 0; j < W - 1; j++) seen[j] = load(states + (span.read * (W - 1) + j) * channels, lanes);
      for (int t = span.first; t < span.end; t++) {
        seen[W - 1] = load((const float *)op.p[0] + (int64_t)t * op.n[3] + c, lanes);
        f16v y = bias;
        for (int j = 0; j < W; j++) y = fmadd(weight[j], seen[j], y);
        store((float *)op.p[7] + (int64_t)t * channels + c, y, lanes);
        for (int j = 0; j < W - 1; j++) seen[j] = seen[j + 1];
      }
      for (int j = 0; j < W - 1; j++) store(states + (span.write * (W - 1) + j) * channels, seen[j], lanes);
    });
  });
}

static void convolve(const Op &op, int item) {
  switch (op.n[2]) {
    case 2: return convolve_taps<2>(op, item);
    case 3: return convolve_taps<3>(op, item);
    case 4: return convolve_taps<4>(op, item);
    case 5: return convolve_taps<5>(op, item);
    case 6: return convolve_taps<6>(op, item);
    case 7: return convolve_taps<7>(op, item);
    case 8: return convolve_taps<8>(op, item);
  }
}

// Sixteen channels of a sequence, from the state at `before` to that at `after`; a [N, 16] is times log2(e).
static inline void scan_channels(const Op &op, const Span &span, int i, const float *a, const float *before, float *after) {
  const int channels = op.n[1], count = op.n[2], lanes = std::min(16, channels - i);
  for (int t = span.first; t < span.end; t++, before = after) {
    const auto *b = (const float *)op.p[3] + (int64_t)t * op.n[5], *c = (const float *)op.p[4] + (int64_t)t * op.n[6];
    const f16v step = load((const float *)op.p[1] + (int64_t)t * op.n[4] + i, lanes);
    const f16v in = step * load((const float *)op.p[0] + (int64_t)t * op.n[3] + i, lanes);
    f16v y = set1(0.f);
    for (int n = 0; n < count; n++) {
      const f16v state = fmadd(exp2_16(step * load(a + n * 16)), load(before + n * 16), in * set1(b[n]));
      store(after + n * 16, state);
      y = fmadd(state, set1(c[n]), y);
    }
    store((float *)op.p[9] + (int64_t)t * channels + i, y, lanes);
  }
}

constexpr int SCANNED_AHEAD = 32;  // channels whose states are fetched meanwhile: memory is slower than their arithmetic, and slots lie apart

// SCAN  p: x, step, a [I, N], b, c, states [slots, I / 16, N, 16], starts, slots read, slots written, out [T, I]
//       n: S, I, N, strides of x, step, b, c
static void scan(const Op &op, int item) {
  const int channels = op.n[1], count = op.n[2], first = item * SCANNED, end = std::min(channels, first + SCANNED);
  const int64_t slot = (int64_t)chunks(channels, 16) * count * 16;
  auto *states = (float *)op.p[5];
  alignas(64) float a[MAX_STATE * SCANNED];
  for (int i = first; i < end; i += 16)
    for (int n = 0; n < count; n++) {
      const f16v rate = load_apart((const float *)op.p[2] + (int64_t)i * count + n, count, std::min(16, channels - i));
      store(a + (i - first) * count + n * 16, rate * set1(1.44269504f));
    }
  for (int s = 0; s < op.n[0]; s++) {
    const Span span = span_of(op.p[6], op.p[7], op.p[8], s);
    const auto at = [&](int64_t which, int i) { return states + which * slot + (int64_t)i * count; };
    const int64_t next = s + 1 < op.n[0] ? ((const int32_t *)op.p[7])[s + 1] : span.read;
    for (int i = first; i < end && span.first < span.end; i += 16) {
      const int ahead = i + SCANNED_AHEAD;
      const float *soon = ahead < end ? at(span.read, ahead) : at(next, first + ahead - end);
      for (int n = 0; n < count; n++) __builtin_prefetch(soon + n * 16);
      scan_channels(op, span, i, a + (i - first) * count, at(span.read, i), at(span.write, i));
    }
  }
}

// RECUR  p: q, k, v, decay [T, H], share of v that is taken in [T, H] or null, states [slots, H, K, V padded to sixteen], starts, slots read,
//           slots written, out [T, H, V]
//        n: S, H, G, K, V, strides of q (T, G), k (T, G), v (T, H), decay (T)
// REPLACE  the same; the share is that of what the decayed state holds for k, and v takes its place
template <int M, bool REPLACES>
static void recur_columns(const Op &op, const Span &span, int h, int column) {
  const int heads = op.n[1], g = h / (heads / op.n[2]), keys = op.n[3], width = chunks(op.n[4], 16) * 16;
  const auto at = [&](int64_t slot) { return (float *)op.p[5] + ((slot * heads + h) * keys) * width + column; };
  const auto lanes = [&](int m) { return std::min(16, op.n[4] - column - m * 16); };
  const float *before = at(span.read);
  float *after = at(span.write);
  for (int t = span.first; t < span.end; t++, before = after) {
    const int64_t row = (int64_t)t * heads + h;
    const auto *q = (const float *)op.p[0] + (int64_t)t * op.n[5] + (int64_t)g * op.n[6];
    const auto *k = (const float *)op.p[1] + (int64_t)t * op.n[7] + (int64_t)g * op.n[8];
    const auto *v = (const float *)op.p[2] + (int64_t)t * op.n[9] + (int64_t)h * op.n[10] + column;
    const f16v decay = set1(std::exp(((const float *)op.p[3])[(int64_t)t * op.n[11] + h]));
    const f16v share = set1(op.p[4] ? ((const float *)op.p[4])[row] : 1.f);
    f16v in[M], y[M];
    for (int m = 0; m < M; m++) in[m] = load(v + m * 16, lanes(m)), y[m] = set1(0.f);
    if (REPLACES) {
      f16v held[M];
      for (int m = 0; m < M; m++) held[m] = set1(0.f);
      for (int n = 0; n < keys; n++)
        for (int m = 0; m < M; m++) held[m] = fmadd(set1(k[n]), load(before + n * width + m * 16), held[m]);
      for (int m = 0; m < M; m++) in[m] = fnmadd(decay, held[m], in[m]);
    }
    for (int m = 0; m < M; m++) in[m] = in[m] * share;
    for (int n = 0; n < keys; n++) {
      const f16v key = set1(k[n]), query = set1(q[n]);
      for (int m = 0; m < M; m++) {
        const f16v state = fmadd(key, in[m], decay * load(before + n * width + m * 16));
        store(after + n * width + m * 16, state);
        y[m] = fmadd(query, state, y[m]);
      }
    }
    for (int m = 0; m < M; m++) store((float *)op.p[9] + row * op.n[4] + column + m * 16, y[m], lanes(m));
  }
}

template <bool REPLACES>
static void recur_item(const Op &op, int item) {
  const int across = chunks(op.n[4], CHANNELS), column = item % across * CHANNELS, h = item / across % op.n[1];
  const Span span = span_of(op.p[6], op.p[7], op.p[8], item / across / op.n[1]);
  switch (std::min(4, chunks(op.n[4] - column, 16))) {
    case 1: return recur_columns<1, REPLACES>(op, span, h, column);
    case 2: return recur_columns<2, REPLACES>(op, span, h, column);
    case 3: return recur_columns<3, REPLACES>(op, span, h, column);
    case 4: return recur_columns<4, REPLACES>(op, span, h, column);
  }
}

static void recur(const Op &op, int item) { return op.code == REPLACE ? recur_item<true>(op, item) : recur_item<false>(op, item); }

// PRODUCT  p: x, y, out  n: T, D, strides of x, y, activation of y or -1
static void product(const Op &op, int item) {
  const int kind = op.n[4];
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const float *x = (const float *)op.p[0] + (int64_t)t * op.n[2], *y = (const float *)op.p[1] + (int64_t)t * op.n[3];
    float *out = (float *)op.p[2] + (int64_t)t * op.n[1];
    by_sixteen(op.n[1], [&](int d, auto lanes) {
      const f16v factor = load(y + d, lanes);
      store(out + d, load(x + d, lanes) * (kind < 0 ? factor : activation16(kind, factor)), lanes);
    });
  }
}

// log(1 + e^x), which is x or 0 but for log(1 + u), u = e^-|x|: 2 artanh(u / (2 + u)), whose argument is a third at most.
static inline f16v softplus16(f16v x) {
  const f16v u = exp16(set1(0.f) - magnitude(x)), z = u / (u + set1(2.f)), zz = z * z;
  f16v y = set1(1.f / 13);
  for (int i = 11; i > 0; i -= 2) y = fmadd(y, zz, set1(1.f / i));
  return fmadd(z + z, y, higher(x, set1(0.f)));
}

// SOFTPLUS  p: x, bias [D] or null, out  n: T, D, stride of x  f: the least and the most that comes out
static void softplus(const Op &op, int item) {
  const auto *bias = (const float *)op.p[1];
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const float *x = (const float *)op.p[0] + (int64_t)t * op.n[2];
    float *out = (float *)op.p[2] + (int64_t)t * op.n[1];
    by_sixteen(op.n[1], [&](int d, auto lanes) {
      const f16v y = softplus16(bias ? load(x + d, lanes) + load(bias + d, lanes) : load(x + d, lanes));
      store(out + d, lower(higher(y, set1(op.f[0])), set1(op.f[1])), lanes);
    });
  }
}

// LOGISTIC  p: x, out  n: T, D, stride of x  f: what it is multiplied with
static void sigmoid(const Op &op, int item) {
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const float *x = (const float *)op.p[0] + (int64_t)t * op.n[2];
    float *out = (float *)op.p[1] + (int64_t)t * op.n[1];
    by_sixteen(op.n[1], [&](int d, auto lanes) { store(out + d, set1(op.f[0]) * sigmoid16(load(x + d, lanes)), lanes); });
  }
}

// ADD_SCALED  p: x, y, scales [H], out  n: T, D, strides of x, y, H: each scale is of D / H columns of y
static void add_scaled(const Op &op, int item) {
  const int share = op.n[1] / op.n[4];
  const auto *scales = (const float *)op.p[2];
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const float *x = (const float *)op.p[0] + (int64_t)t * op.n[2], *y = (const float *)op.p[1] + (int64_t)t * op.n[3];
    float *out = (float *)op.p[3] + (int64_t)t * op.n[1];
    if (share == 1)
      by_sixteen(op.n[1], [&](int d, auto lanes) { store(out + d, fmadd(load(scales + d, lanes), load(y + d, lanes), load(x + d, lanes)), lanes); });
    else
      for (int h = 0; h < op.n[4]; h++, x += share, y += share, out += share)
        by_sixteen(share, [&](int d, auto lanes) { store(out + d, fmadd(set1(scales[h]), load(y + d, lanes), load(x + d, lanes)), lanes); });
  }
}
