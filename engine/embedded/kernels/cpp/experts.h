// Mixtures of experts: for each token a router chooses A of E experts. (token, slot) pairs are sorted by expert, every expert multiplies
// the rows that it has, and a token's results are summed in the order of its slots: a row's result depends on no other.
// Which rows an expert has is found here, not by who writes the Ops down, so that a recording serves any routing.

constexpr int MAX_EXPERTS = 1024;

enum Router : int32_t { SOFTMAX, SIGMOID, SOFTMAX_OF_TOP, INPUT_SIGMOID, SPARSE_MIXER };

// SCORE  p: x, weight [E, D], bias or null, out [T, E]  n: T, E, D, stride of x
template <int V>
static inline void score_experts(const float *x, const float *w, const float *bias, float *y, int dim) {
  f16v sum[V];
  for (int v = 0; v < V; v++) sum[v] = set1(0.f);
  by_sixteen(dim, [&](int d, auto lanes) {
    const f16v here = load(x + d, lanes);
    for (int v = 0; v < V; v++) sum[v] = fmadd(here, load(w + (int64_t)v * dim + d, lanes), sum[v]);
  });
  for (int v = 0; v < V; v++) y[v] = sum_of(sum[v]) + (bias ? bias[v] : 0.f);
}

static void score_rows(const Op &op, int item) {
  const int experts = op.n[1], dim = op.n[2], across = chunks(experts, SCORED), first = item / across * ROWS;
  const int begin = item % across * SCORED, last = std::min(experts, begin + SCORED);
  const auto *w = (const float *)op.p[1], *bias = (const float *)op.p[2];
  for (int t = first; t < std::min(rows(op, op.n[0]), first + ROWS); t++) {
    const float *x = (const float *)op.p[0] + (int64_t)t * op.n[3];
    float *y = (float *)op.p[3] + (int64_t)t * experts;
    int e = begin;
    for (; e + 4 <= last; e += 4) score_experts<4>(x, w + (int64_t)e * dim, bias ? bias + e : nullptr, y + e, dim);
    for (; e < last; e++) score_experts<1>(x, w + (int64_t)e * dim, bias ? bias + e : nullptr, y + e, dim);
  }
}

struct Choice {  // scores of one token's experts, padded to sixteen
  alignas(64) float logit[MAX_EXPERTS], score[MAX_EXPERTS], rank[MAX_EXPERTS];  // rank: what decides, where it is not the score
  bool taken[MAX_EXPERTS];
};

// The first of the highest; some untaken one whatever the numbers are.
static inline int best_of(const float *x, const bool *taken, int n) {
  int best = -1;
  for (int i = 0; i < n; i++)
    if (!taken[i] && (best < 0 || x[i] > x[best])) best = i;
  return best;
}

static inline float soften_scores(const float *x, float *y, int n) {  // padded with -inf; returns the sum that y must be divided by
  f16v top = set1(-INFINITY), sum = set1(0.f);
  for (int i = 0; i < n; i += 16) top = higher(top, load(x + i));
  const f16v high = set1(highest(top));
  for (int i = 0; i < n; i += 16) {
    const f16v p = exp16(load(x + i) - high);
    store(y + i, p);
    sum = sum + p;
  }
  return sum_of(sum);
}

// Experts of groups that are not among the best get rank `other`.
static void keep_groups(Choice &c, int experts, int count, int active, bool top2, float other) {
  float worth[MAX_EXPERTS];
  bool kept[MAX_EXPERTS] = {};
  const int size = experts / count;
  for (int g = 0; g < count; g++) {
    bool taken[MAX_EXPERTS] = {};
    const float *rank = c.rank + g * size;
    const int first = best_of(rank, taken, size);
    taken[first] = true;
    worth[g] = rank[first] + (top2 ? rank[best_of(rank, taken, size)] : 0.f);
  }
  for (int i = 0; i < active; i++) kept[best_of(worth, kept, count)] = true;
  for (int e = 0; e < experts; e++)
    if (!kept[e / size]) c.rank[e] = other;
}

static void take_best(Choice &c, const float *rank, int experts, int active, int32_t *chosen) {
  std::memset(c.taken, 0, sizeof c.taken);
  for (int a = 0; a < active; a++) c.taken[chosen[a] = best_of(rank, c.taken, experts)] = true;
}

static void share(float *weight, int active, bool renormalise, float eps, float scale) {
  float sum = eps;
  for (int a = 0; a < active; a++) sum += weight[a];
  for (int a = 0; a < active; a++) weight[a] *= renormalise ? scale / sum : scale;
}

// One expert after another: the best of those left, with its probability among those that lie near it.
static void mix_sparsely(Choice &c, int experts, int active, float jitter, int32_t *chosen, float *weight) {
  std::memset(c.taken, 0, sizeof c.taken);
  for (int a = 0; a < active; a++) {
    const int best = best_of(c.logit, c.taken, experts);
    const float top = c.logit[best];
    float sum = 0;
    for (int e = 0; e < experts; e++) {
      const bool far = (top - c.logit[e]) / std::max(std::fabs(c.logit[e]), top) > 2 * jitter;
      if (!c.taken[e] && !far) sum += std::exp(c.logit[e] - top);
    }
    c.taken[chosen[a] = best] = true;
    weight[a] = 1 / sum;
  }
}

// ROUTE  p: logits, correction [E] or null, out: experts int32 [T, A], weights [T, A]
//        n: T, E, A, router, renormalise, groups (0: none), active groups, two best of a group  f: scale, jitter
static void route_row(const Op &op, Choice &c, int t) {
  const int experts = op.n[1], active = op.n[2], padded = chunks(experts, 16) * 16;
  auto *chosen = (int32_t *)op.p[2] + (int64_t)t * active;
  auto *weight = (float *)op.p[3] + (int64_t)t * active;
  for (int e = experts; e < padded; e++) c.logit[e] = -INFINITY;
  std::memcpy(c.logit, (const float *)op.p[0] + (int64_t)t * experts, experts * sizeof(float));
  const auto *correction = (const float *)op.p[1];
  const int router = op.n[3];
  if (router == SPARSE_MIXER) return mix_sparsely(c, experts, active, op.f[1], chosen, weight);
  if (router == SOFTMAX_OF_TOP || router == INPUT_SIGMOID) {
    take_best(c, c.logit, experts, active, chosen);
    for (int a = 0; a < active; a++) {
      const float x = c.logit[chosen[a]];
      weight[a] = router == INPUT_SIGMOID ? 1 / (1 + std::exp(-x)) : std::exp(x - c.logit[chosen[0]]);
    }
    if (router == SOFTMAX_OF_TOP) share(weight, active, true, 0, 1);
    return;
  }
  const float sum = router == SOFTMAX ? soften_scores(c.logit, c.score, padded) : 1;
  for (int e = 0; e < padded; e += 16)
    store(c.score + e, router == SOFTMAX ? load(c.score + e) / set1(sum) : sigmoid16(load(c.logit + e)));
  for (int e = 0; e < experts; e++) c.rank[e] = c.score[e] + (correction ? correction[e] : 0.f);
  if (op.n[5]) keep_groups(c, experts, op.n[5], op.n[6], op.n[7], router == SOFTMAX ? 0.f : -INFINITY);
  take_best(c, c.rank, experts, active, chosen);
  for (int a = 0; a < active; a++) weight[a] = c.score[chosen[a]];
  share(weight, active, op.n[4], router == SOFTMAX ? 0.f : 1e-20f, op.f[0]);
}

static void route(const Op &op, int item) {
  Choice c;
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) route_row(op, c, t);
}

// DEAL  p: experts [T, A], out: place int32 [T, A] of each pair among those sorted by expert, Jobs  n: T, A, E
static void deal(const Op &op, int) {
  const int all = pairs(op, op.n[1]), experts = op.n[2];
  const auto *chosen = (const int32_t *)op.p[0];
  auto *place = (int32_t *)op.p[1];
  auto *jobs = (Jobs *)op.p[2];
  int32_t next[MAX_EXPERTS + 1] = {};
  for (int i = 0; i < all; i++) next[chosen[i] + 1]++;
  jobs->count = 0;
  for (int e = 0; e < experts; e++) {
    next[e + 1] += next[e];
    for (int first = next[e]; first < next[e + 1]; first += LINEAR_ROWS)
      jobs->job[jobs->count++] = {e, first, std::min(next[e + 1], first + LINEAR_ROWS)};
  }
  for (int i = 0; i < all; i++) place[i] = next[chosen[i]]++;
}

// SPREAD  p: x [T, C], place [T, A], weights [T, A] or null: of what is read, out rows [T A]
//         n: T, I, format, bytes per row, stride of x, A, C (behind those columns there are zeros)
static void spread(const Op &op, int item) {
  const int inputs = op.n[1], active = op.n[5], columns = op.n[6], first = item * ROWS;
  const auto *place = (const int32_t *)op.p[1];
  const auto *weight = (const float *)op.p[2];
  const auto row = [&](int i) { return (uint8_t *)op.p[3] + (int64_t)place[i] * op.n[3]; };
  std::vector<float> changed(weight || columns < inputs ? inputs : 0);
  for (int i = first; i < std::min(pairs(op, active), first + ROWS); i++) {
    const float *x = (const float *)op.p[0] + (int64_t)(i / active) * op.n[4];
    if (!weight && i > first && i % active) {
      std::memcpy(row(i), row(i - 1), op.n[3]);
      continue;
    }
    if (!changed.empty()) {
      const f16v factor = set1(weight ? weight[i] : 1.f);
      by_sixteen(columns, [&](int d, auto lanes) { store(changed.data() + d, load(x + d, lanes) * factor, lanes); });
      x = changed.data();
    }
    quantize_row(x, row(i), inputs, op.n[2]);
  }
}

// QUANTIZE_PAIRS  p: x [T A, I], out rows  n: T, I, format, bytes per row, A
static void quantize_pairs(const Op &op, int item) {
  for (int i = item * ROWS; i < std::min(pairs(op, op.n[4]), (item + 1) * ROWS); i++)
    quantize_row((const float *)op.p[0] + (int64_t)i * op.n[1], (uint8_t *)op.p[1] + (int64_t)i * op.n[3], op.n[1], op.n[2]);
}

struct Tile {  // blocks [begin, end) of one expert's sixteen outputs, for the rows of a job
  const Job &job;
  int begin, end, before;  // before: blocks of the experts before this one
};

static inline Tile tile_of(const Op &op, int item) {
  const int across = expert_tiles(op), per = expert_blocks(op), all = op.n[2] / 16;
  const Job &job = jobs_of(op).job[item / across];
  return {job, item % across * per, std::min(all, (item % across + 1) * per), job.expert * all};
}

// The LINEAR that makes `count` blocks from block i on, for the rows of a job.
static inline Op part_of(const Op &op, const Tile &tile, int i, float *y, int stride) {
  const Block b = block_of(op, tile.before + i);
  Op part = op;
  part.p[0] = (uint8_t *)op.p[0] + (int64_t)tile.job.first * op.n[4];
  part.p[1] = (void *)b.w, part.p[2] = (void *)b.scales, part.p[3] = y, part.p[4] = (void *)b.bias;
  part.n[2] = stride;
  return part;
}

// EXPERTS_UP  p: rows [T A], q, scales, out [T A, O / 2], bias [E, O] or null, Jobs  n: T, I, O, format, bytes per row, activation
//             f: limit, alpha. Sixteen rows of the gate, then the sixteen of up that they open.
static void experts_up(const Op &op, int item) {
  const Tile tile = tile_of(op, item);
  const int count = tile.job.end - tile.job.first, hidden = op.n[2] / 2;
  alignas(64) float both[LINEAR_ROWS * STRIDE * 16];
  for (int i = tile.begin; i < tile.end; i += STRIDE) {
    const int blocks = std::min(STRIDE, tile.end - i);
    multiply_part(part_of(op, tile, i, both, 16 * blocks), 0, blocks, 0, count);
    for (int r = 0; r < count; r++)
      for (int j = 0; j < blocks; j += 2) {
        const float *gate = both + (r * blocks + j) * 16;
        float *y = (float *)op.p[3] + (int64_t)(tile.job.first + r) * hidden + (i + j) * 8;
        store(y, gated16(op.n[5], op, load(gate), load(gate + 16)));
      }
  }
}

// EXPERTS_DOWN  p: rows [T A], q, scales, out [T A, O], bias [E, O] or null, Jobs  n: T, I, O, format, bytes per row
static void experts_down(const Op &op, int item) {
  const Tile tile = tile_of(op, item);
  float *y = (float *)op.p[3] + (int64_t)tile.job.first * op.n[2] + 16 * tile.begin;
  multiply_part(part_of(op, tile, tile.begin, y, op.n[2]), 0, tile.end - tile.begin, 0, tile.job.end - tile.job.first);
}

// COLLECT  p: y [T A, O], place [T, A], weights [T, A] or null, out [T, D]  n: T, D, A, O
static void collect(const Op &op, int item) {
  const int dim = op.n[1], active = op.n[2];
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const auto *place = (const int32_t *)op.p[1] + (int64_t)t * active;
    const auto *weight = op.p[2] ? (const float *)op.p[2] + (int64_t)t * active : nullptr;
    float *out = (float *)op.p[3] + (int64_t)t * dim;
    by_sixteen(dim, [&](int d, auto lanes) {
      f16v sum = set1(0.f);
      for (int a = 0; a < active; a++)
        sum = fmadd(load((const float *)op.p[0] + (int64_t)place[a] * op.n[3] + d), set1(weight ? weight[a] : 1.f), sum);
      store(out + d, sum, lanes);
    });
  }
}

// OPEN  p: x [T, D], logits [T], out: x times their sigmoid  n: T, D, strides of x and logits
static void open_rows(const Op &op, int item) {
  const int dim = op.n[1];
  for (int t = item * ROWS; t < std::min(rows(op, op.n[0]), (item + 1) * ROWS); t++) {
    const f16v gate = sigmoid16(set1(((const float *)op.p[1])[(int64_t)t * op.n[3]]));
    const float *x = (const float *)op.p[0] + (int64_t)t * op.n[2];
    float *out = (float *)op.p[2] + (int64_t)t * dim;
    by_sixteen(dim, [&](int d, auto lanes) { store(out + d, load(x + d, lanes) * gate, lanes); });
  }
}
