// Rows of any length, sixteen numbers at a time: the last few of a row are read and written without touching what lies behind.

struct All {};  // of sixteen lanes

static inline f16v load(const float *p, All) { return load(p); }
static inline void store(float *p, f16v x, All) { store(p, x); }
static inline f16v only(f16v x, All) { return x; }
static inline int count_of(All) { return 16; }
static inline int count_of(int lanes) { return lanes; }
static inline f16v only(f16v x, int lanes) { return select(first_lanes(lanes), x, set1(0.f)); }  // the others: 0

// f(i, lanes) for i = 0, 16, ... below n.
template <typename F>
static inline void by_sixteen(int n, F f) {
  int i = 0;
  for (; i + 16 <= n; i += 16) f(i, All{});
  if (i < n) f(i, n - i);
}

// Rows (a, b) of x [A, B, D].  n: A, D, B, stride of A, stride of B
static inline const float *strided_row(const Op &op, int row) {
  return (const float *)op.p[0] + (int64_t)(row / op.n[2]) * op.n[3] + (int64_t)(row % op.n[2]) * op.n[4];
}
