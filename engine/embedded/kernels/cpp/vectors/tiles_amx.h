// AMX: eight tiles, registers of sixteen rows of up to 64 bytes. They have these shapes while a thread runs a list of Ops: 0 to 3 hold sums,
// 4 and 6 activations and weights 64 bytes deep, 5 and 7 the same 32 bytes deep.

constexpr int TILE = 16;  // rows, and outputs
constexpr int DEEP_X = 4, X = 5, DEEP_W = 6, W = 7;

enum TiledPath { TILED_BYTES, TILED_HOT, TILED_BF16, TILED_ATTENTION };
static void ran(TiledPath path) { paths[path].fetch_add(1, std::memory_order_relaxed); }

struct alignas(64) TileShapes {
  uint8_t palette = 1, start = 0, unused[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 32, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 8};
};

static void enter() {
  static const TileShapes shapes;
  asm volatile("ldtilecfg %0" : : "m"(shapes));
}
static void leave() { asm volatile("tilerelease"); }

// The compiler's own names for these do not say that memory is read.
template <int T>
static inline void load_tile(const void *p, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(T) : "memory");
}
template <int T>
static inline void store_tile(void *p, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(stride), "i"(T) : "memory");
}
template <int T>
static inline void clear_tile() {
  asm volatile("tilezero %%tmm%c0" : : "i"(T));
}
template <int SUM, bool SIGNED>  // sums += signed bytes x signed or unsigned ones
static inline void dot_tiles() {
  if (SIGNED)
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(SUM), "i"(X), "i"(W));
  else
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(SUM), "i"(X), "i"(W));
}
// Sums += bf16 x bf16, 32 of each: the even products are summed up, the odd ones, and both sums are added.
template <int SUM>
static inline void dot_deep_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(SUM), "i"(DEEP_X), "i"(DEEP_W));
}
