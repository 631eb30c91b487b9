// Every kernel over the vectors of one instruction set. native.cpp includes this once per set, each time in a namespace
// and under a target of its own; so these headers have no include guards and include no header of a library.
#include "functions.h"
#include "columns.h"
#include "rows.h"
#include "linear.h"
#include "small.h"
#include "norms.h"
#include "elements.h"
#include "masks.h"
#include "offsets.h"
#include "softmax.h"
#include "attention.h"
#include "heads.h"
#include "latent.h"
#include "bytes.h"
#include "encoder.h"
#include "experts.h"
#include "states.h"

static void run_item(const Op &op, int item) {
  switch (op.code) {
    case EMBED: return embed(op, item);
    case RMS_NORM: return rms_norm(op, item);
    case ROTATE: return rotate(op, item);
    case QUANTIZE: return quantize(op, item);
    case LINEAR: return linear(op, item);
    case REMEMBER: return remember(op, item);
    case ATTEND: return attend(op, item);
    case COMBINE: return combine(op, item);
    case GATED:
    case ACTIVATE: return gate(op, item);
    case ADD: return add(op, item);
    case SCALE:
    case SOFTCAP: return map_wide(op, item);
    case CLAMP: return clamp(op, item);
    case HEAT: return heat(op, item);
    case LAYER_NORM: return layer_norm(op, item);
    case GATHER: return gather_rows(op, item);
    case ARRANGE: return arrange(op, item);
    case BALANCE: return balance(op, item);
    case MULTIPLY: return multiply_bytes(op, item);
    case ATTEND_WHOLE: return attend_whole(op, item);
    case SCORE: return score_rows(op, item);
    case ROUTE: return route(op, item);
    case DEAL: return deal(op, item);
    case SPREAD: return spread(op, item);
    case QUANTIZE_PAIRS: return quantize_pairs(op, item);
    case EXPERTS_UP: return experts_up(op, item);
    case EXPERTS_DOWN: return experts_down(op, item);
    case COLLECT: return collect(op, item);
    case OPEN: return open_rows(op, item);
    case EACH_HEAD: return each_head(op, item);
    case REMEMBER_LATENT: return remember_latent(op, item);
    case ATTEND_LATENT: return attend_latent(op, item);
    case COMBINE_LATENT: return combine_latent(op, item);
    case CONVOLVE: return convolve(op, item);
    case SCAN: return scan(op, item);
    case RECUR:
    case REPLACE: return recur(op, item);
    case PRODUCT: return product(op, item);
    case SOFTPLUS: return softplus(op, item);
    case LOGISTIC: return sigmoid(op, item);
    case ADD_SCALED: return add_scaled(op, item);
  }
}
