// One step of work, as the Python side writes it down (library.py mirrors this layout).
#pragma once
#include <cstdint>

enum Code : int32_t {
  EMBED, RMS_NORM, ROTATE, QUANTIZE, LINEAR, REMEMBER, ATTEND, COMBINE, GATED, ACTIVATE, ADD, SCALE,  // decoders
  LAYER_NORM, GATHER, ARRANGE, ATTEND_WHOLE, BALANCE, MULTIPLY,                                       // encoders too
  CLAMP, HEAT, SOFTCAP,
  SCORE, ROUTE, DEAL, SPREAD, QUANTIZE_PAIRS, EXPERTS_UP, EXPERTS_DOWN, COLLECT, OPEN,  // mixtures of experts
  EACH_HEAD, REMEMBER_LATENT, ATTEND_LATENT, COMBINE_LATENT,  // latent attention
  CONVOLVE, SCAN, RECUR, REPLACE, PRODUCT, SOFTPLUS, LOGISTIC, ADD_SCALED,  // states
  CODES  // how many there are
};
enum MaskKind : int32_t { CAUSAL, WINDOW, CHUNKED, STRIDED, FIXED, FULL };  // FULL: of what a decoder's encoder has read
static inline bool has_gaps(int mask) { return mask == STRIDED || mask == FIXED; }
// Of weights: bits, whether groups have sixteen inputs (otherwise 32), and whether eight bits have a low (four always do).
constexpr int SIXTEEN = 64, LOW_TOO = 128;
enum Format : int32_t {
  U4 = 4, U8 = 8, BF16 = 16, FLOAT = 32,
  U4_16 = U4 | SIXTEEN, U8_16 = U8 | SIXTEEN, U8_LOW = U8 | LOW_TOO, U8_LOW_16 = U8 | LOW_TOO | SIXTEEN
};
constexpr int bits_of(int format) { return format & (SIXTEEN - 1); }
constexpr int group_of(int format) { return format & SIXTEEN ? 16 : 32; }
constexpr bool has_low(int format) { return bits_of(format) == U4 || (format & LOW_TOO); }
constexpr int scales_of(int format) { return has_low(format) ? 32 : 16; }  // of a group of sixteen outputs
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
constexpr int GROUP = 32;   // weights that share a scale, unless their format says sixteen
constexpr int SPLIT = 256;  // keys that one thread looks at before partial results are merged
constexpr int MAX_TAPS = 8;       // tokens that a short convolution sees
constexpr int MAX_STATE = 64;     // numbers that a scanned channel keeps
constexpr int MAX_LATENT = 1024;  // numbers that latent attention remembers of a token; inputs of a head's matrix
