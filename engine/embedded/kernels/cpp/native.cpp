// The fast CPU path: a list of Ops, run by a pool of threads. Plain C++17 without torch; loaded through ctypes.
// Each kernel has its naive twin in models/ops.py or engine/embedded/on_torch, and tests hold both together.
// The kernels are written once over vec_*.h and compiled for several instruction sets; who opens a pool chooses one.
#include "op.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#include <cpuid.h>
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "items.h"
#include "pool.h"

static inline int32_t four_bytes(const uint8_t *p) {
  int32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

static inline float float_of(int32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

static std::atomic<int64_t> paths[4];  // how often each of tiles_amx.h's TiledPath was taken: for tests

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
namespace avx2 {
#include "vectors/vec_avx2.h"
#include "vectors/dot_avx2.h"
#include "vectors/bf16_fma.h"
#include "kernels.h"
#include "vectors/tiles_none.h"
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
namespace avx512_vnni {
#include "vectors/vec_avx512.h"
#include "vectors/bf16_fma.h"
#include "kernels.h"
#include "vectors/tiles_none.h"
}  // namespace avx512_vnni
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16")
namespace avx512_bf16 {
#include "vectors/vec_avx512.h"
#include "vectors/bf16_dot.h"
#include "kernels.h"
#include "vectors/tiles_none.h"
}  // namespace avx512_bf16
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,amx-tile,amx-int8,amx-bf16")
namespace amx {
#include "vectors/vec_avx512.h"
#include "vectors/bf16_dot.h"
#include "vectors/tiles_amx.h"
#include "kernels.h"
#include "tiled.h"
#include "attend_tiles.h"
}  // namespace amx
#pragma GCC pop_options

namespace {

struct Level {
  Pool::Run run_item;
  Pool::Hook enter, leave;  // of a thread, around a list of Ops; null: nothing
  int (*row_bytes)(int inputs, int format);
  int top_activation, top_four;
  int64_t (*most)(int rounds);  // products of bytes: operations in so many rounds
};
const Level LEVELS[] = {{avx2::run_item, nullptr, nullptr, avx2::row_bytes, avx2::TOP_ACTIVATION, avx2::TOP_FOUR, avx2::most_products},
                        {avx512_vnni::run_item, nullptr, nullptr, avx512_vnni::row_bytes, avx512_vnni::TOP_ACTIVATION, avx512_vnni::TOP_FOUR, avx512_vnni::most_products},
                        {avx512_bf16::run_item, nullptr, nullptr, avx512_bf16::row_bytes, avx512_bf16::TOP_ACTIVATION, avx512_bf16::TOP_FOUR, avx512_bf16::most_products},
                        {amx::run_item, amx::enter, amx::leave, amx::row_bytes, amx::TOP_ACTIVATION, amx::TOP_FOUR, amx::most_tiled}};

// Tiles are registers of 8 KB that the system must be asked for: ARCH_REQ_XCOMP_PERM of XTILEDATA, for all threads of the process.
bool has_tiles() {
  constexpr unsigned BF16_TILES = 1 << 22, TILES = 1 << 24, INT8_TILES = 1 << 25, ALL = BF16_TILES | TILES | INT8_TILES;
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & ALL) == ALL && syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

int supported() {
  __builtin_cpu_init();
  if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))) return 0;
  if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni")))
    return 1;
  if (!__builtin_cpu_supports("avx512bf16")) return 2;
  return has_tiles() ? 4 : 3;
}

}  // namespace

extern "C" {
// How many of LEVELS this processor has: the first so many. A `level` below is an index into those.
int stoa_levels() { return supported(); }
void *stoa_pool(int threads, int level) { 
  const Level &l = LEVELS[level];
  return new Pool(threads, items, l.run_item, l.enter, l.leave);
}
void stoa_close(void *pool) { delete (Pool *)pool; }
void stoa_run(void *pool, const Op *ops, int n) { ((Pool *)pool)->run(ops, n); }
int stoa_row_bytes(int level, int inputs, int format) { return LEVELS[level].row_bytes(inputs, format); }
int stoa_top_activation(int level) { return LEVELS[level].top_activation; }
int64_t stoa_most(int level, int rounds) { return LEVELS[level].most(rounds); }
int64_t stoa_path(int path) { return paths[path].load(std::memory_order_relaxed); }
int stoa_top_four(int level) { return LEVELS[level].top_four; }
}
#else
extern "C" int stoa_levels() { return 0; }
#endif
extern "C" int stoa_layout() { return CODES << 16 | (int)sizeof(Op); }
