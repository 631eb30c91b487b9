// The fast CPU path: a list of Ops, run by a pool of threads. Plain C++17 without torch; loaded through ctypes.
// Each kernel has its naive twin in models/ops.py or engine/embedded/on_torch, and tests hold both together.
// The kernels are written once over vec_*.h and compiled for several instruction sets; who opens a pool chooses one.
#include "op.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
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

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
namespace avx2 {
#include "vectors/vec_avx2.h"
#include "vectors/dot_avx2.h"
#include "vectors/bf16_fma.h"
#include "kernels.h"
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
namespace avx512_vnni {
#include "vectors/vec_avx512.h"
#include "vectors/bf16_fma.h"
#include "kernels.h"
}  // namespace avx512_vnni
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16")
namespace avx512_bf16 {
#include "vectors/vec_avx512.h"
#include "vectors/bf16_dot.h"
#include "kernels.h"
}  // namespace avx512_bf16
#pragma GCC pop_options

namespace {

struct Level {
  Pool::Run run_item;
  int (*row_bytes)(int inputs, int format);
  int top_activation, top_four;
};
const Level LEVELS[] = {{avx2::run_item, avx2::row_bytes, avx2::TOP_ACTIVATION, avx2::TOP_FOUR},
                        {avx512_vnni::run_item, avx512_vnni::row_bytes, avx512_vnni::TOP_ACTIVATION, avx512_vnni::TOP_FOUR},
                        {avx512_bf16::run_item, avx512_bf16::row_bytes, avx512_bf16::TOP_ACTIVATION, avx512_bf16::TOP_FOUR}};

int supported() {
  __builtin_cpu_init();
  if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))) return 0;
  if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni")))
    return 1;
  return __builtin_cpu_supports("avx512bf16") ? 3 : 2;
}

}  // namespace

extern "C" {
// How many of LEVELS this processor has: the first so many. A `level` below is an index into those.
int stoa_levels() { return supported(); }
void *stoa_pool(int threads, int level) { return new Pool(threads, items, LEVELS[level].run_item); }
void stoa_close(void *pool) { delete (Pool *)pool; }
void stoa_run(void *pool, const Op *ops, int n) { ((Pool *)pool)->run(ops, n); }
int stoa_row_bytes(int level, int inputs, int format) { return LEVELS[level].row_bytes(inputs, format); }
int stoa_top_activation(int level) { return LEVELS[level].top_activation; }
int stoa_top_four(int level) { return LEVELS[level].top_four; }
}
#else
extern "C" int stoa_levels() { return 0; }
#endif
extern "C" int stoa_layout() { return CODES << 16 | (int)sizeof(Op); }
