/* SOFTMAX in fixed point: no table, no floating point, the bytes of TFLite-Micro.
 *
 * TFLite-Micro (and gemmlowp below it) stops at a failed assertion where the exponentials of a row sum to 512 or
 * more, which takes 512 values: the shift of the last step is then 32 or more. Here the mathematics decide: no share
 * of such a row reaches half a step of 1/256, so all its outputs are 0 (-128). */
#include "fixed_point.h"
#include "semflash/kernels.h"

#define QUARTER   (1 << 24) /* 1/4 as Q5 */
#define SUM_BITS  12        /* integer bits of the sum of exponentials */
#define OUT_SHIFT (31 - 8)  /* from Q0 to an int8 with scale 1/256 */
#define ONE       INT32_MAX /* 1 as Q0 */
#define EXP_STEPS 7
#define SHIFT_MAX 31 /* of sf_shift_right; beyond it, a product below 2^31 rounds to 0 */

/* exp(x) as Q0 for x in [-1/4, 0) as Q0: Taylor's series around -1/8. */
static int32_t exp_quarter(int32_t x) {
    const int32_t exp_minus_eighth = 1895147668;
    const int32_t one_third = 715827883;
    const int32_t t = x + (1 << 28);
    const int32_t t2 = sf_multiply_high(t, t);
    const int32_t t3 = sf_multiply_high(t2, t);
    const int32_t t4 = sf_multiply_high(t2, t2);
    const int32_t thirds = sf_multiply_high(sf_shift_right(t4, 2) + t3, one_third);
    const int32_t high_terms = sf_shift_right(thirds + t2, 1); /* t^4/24 + t^3/6 + t^2/2 */
    return exp_minus_eighth + sf_multiply_high(exp_minus_eighth, t + high_terms);
}

/* exp(x) as Q0 for x <= 0 as Q5: the last quarter by series, the rest one factor per bit. */
static int32_t exp_negative(int32_t x) {
    static const int32_t factors[EXP_STEPS] = {
        /* exp(-1/4), exp(-1/2), exp(-1), exp(-2), exp(-4), exp(-8), exp(-16) */
        1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242,
    };
    if (x == 0) {
        return ONE;
    }
    const int32_t rest = (x & (QUARTER - 1)) - QUARTER; /* [-1/4, 0) */
    const int32_t quarters = rest - x;                  /* >= 0, a multiple of 1/4 */
    int32_t result = exp_quarter(sf_shift_left(rest, 5));
    for (int32_t i = 0; i < EXP_STEPS; i++) {
        if ((quarters & (QUARTER << i)) != 0) {
            result = sf_multiply_high(result, factors[i]);
        }
    }
    return result;
}

/* 1 / (1 + x) as Q0 for x in [0, 1) as Q0: Newton and Raphson's division, three steps in Q2. */
static int32_t reciprocal(int32_t x) {
    const int32_t half = (int32_t)(((int64_t)x + ONE + 1) / 2);   /* (1 + x) / 2 */
    int32_t y = 1515870810 + sf_multiply_high(half, -1010580540); /* 48/17 - 32/17 half */
    for (int32_t i = 0; i < 3; i++) {
        const int32_t error = (1 << 29) - sf_multiply_high(half, y);
        y += sf_shift_left(sf_multiply_high(y, error), 2);
    }
    return sf_shift_left(y, 1); /* y is 2 / (1 + x) as Q2: halved it is Q1 */
}

static int32_t leading_zeros(uint32_t value) {
    return value == 0 ? 32 : __builtin_clz(value);
}

/* exp((value - largest) * beta * scale) as Q0; -1 where it is too small to count. */
static int32_t exp_of(const sf_softmax_t *layer, int32_t difference) {
    if (difference < layer->difference_min) {
        return -1;
    }
    const int32_t wide = difference * (1 << layer->left_shift);
    return exp_negative(sf_multiply_high(wide, layer->multiplier));
}

static int8_t largest(const int8_t *in, uint32_t depth) {
    int8_t best = INT8_MIN;
    for (uint32_t i = 0; i < depth; i++) {
        best = in[i] > best ? in[i] : best;
    }
    return best;
}

/* 256 value / sum, to nearest; value as Q0, scale and shift of the sum's reciprocal. */
static int32_t share_of(int32_t value, int32_t scale, int32_t shift) {
    if (value < 0 || shift > SHIFT_MAX) {
        return 0;
    }
    return sf_shift_right(sf_multiply_high(scale, value), shift);
}

static void softmax_row(const sf_softmax_t *layer, const int8_t *in, int8_t *out) {
    const int32_t top = largest(in, layer->depth);
    int32_t sum = 0; /* Q12 */
    for (uint32_t i = 0; i < layer->depth; i++) {
        const int32_t value = exp_of(layer, in[i] - top);
        sum += value < 0 ? 0 : sf_shift_right(value, SUM_BITS);
    }
    const int32_t headroom = leading_zeros((uint32_t)sum);
    const int32_t scale = reciprocal((int32_t)(((uint32_t)sum << headroom) - (UINT32_C(1) << 31)));
    const int32_t shift = SUM_BITS - headroom + OUT_SHIFT;
    for (uint32_t i = 0; i < layer->depth; i++) {
        const int32_t share = share_of(exp_of(layer, in[i] - top), scale, shift);
        out[i] = (int8_t)(share > UINT8_MAX ? INT8_MAX : share + INT8_MIN);
    }
}

sf_status_t sf_softmax(const sf_softmax_t *layer, const int8_t *in, int8_t *out) {
    for (uint32_t row = 0; row < layer->rows; row++, in += layer->depth, out += layer->depth) {
        softmax_row(layer, in, out);
    }
    return SF_OK;
}
