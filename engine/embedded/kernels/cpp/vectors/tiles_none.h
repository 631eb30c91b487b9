// Where the processor has no matrix unit nothing is multiplied by tiles.

template <int F, int V>
static inline int multiply_tiles(const Block &, int) {
  return 0;
}

template <int F, int V>
static inline int add_hot_tiles(const Block &, int, const uint8_t *, int) {
  return 0;
}
static inline int multiply_bf16_tiles(const Block &, int, int, int) { return 0; }

static inline void split_queries(Rows &, int, float) {}
static inline bool score_by_tiles(const Keys &, Rows &, const KeyBlock &) { return false; }
static inline bool mix_by_tiles(const Keys &, Rows &, const KeyBlock &) { return false; }
