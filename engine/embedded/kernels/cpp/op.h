// One step of work, as the Python side writes it down (library.py mirrors this layout).
#pragma once
#include <cstdint>

enum Code : int32_t {
  EMBED, RMS_NORM, ROTATE, QUANTIZE, LINEAR, REMEMBER, ATTEND, COMBINE, GATED, ACTIVATE, ADD, SCALE,  // decoders
  LAYER_NORM, GATHER, ARRANGE, ATTEND_WHOLE, BALANCE, MULTIPLY,                                       // encoders too
  CLAMP, HEAT, SOFTCAP
};
enum MaskKind : int32_t { CAUSAL, WINDOW, CHUNKED, STRIDED, FIXED };
enum Format : int32_t { U4 = 4, U8 = 8, BF16 = 16, FLOAT = 32 };
enum Activation : int32_t { SILU, GELU_TANH, GELU, RELU, TANH, QUICK_GELU, RELU2, CLAMPED };

struct Op {
  int32_t code;
  int32_t n[13];  // sizes and strides (in elements); their meaning is each kernel's
  float f[2];
  void *p[12];
  const int32_t *live;  // rows that count now, of the rows that this Op was recorded for; null: all
};

static inline int rows(const Op &op, int all) { return op.live && *op.live < all ? *op.live : all; }

constexpr int PAGE = 16;    // tokens per page, and lanes of a vector of floats
constexpr int GROUP = 32;   // weights that share a scale
constexpr int SPLIT = 256;  // keys that one thread looks at before partial results are merged
