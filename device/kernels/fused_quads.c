/* Plain C twin of the generated kernels that compute four pixels and two channels at a time. */
#include "semflash/fused.h"

#include "semflash/fused_math.h"

#define PIXELS 4u

/* Four pixels, interleaved word by word: (b0, b2) of each, then (b1, b3) of each. */
static void gather(uint32_t *patch, const sf_fused_call_t *call, const sf_fused_conv_t *conv,
                   int32_t offset) {
    for (uint32_t r = 0; r < conv->kernel_rows; r++) {
        const uint8_t *in = call->rows[r] + offset;
        for (uint32_t n = conv->run_bytes / 4u; n > 0u; n--, in += 4, patch += 2u * PIXELS) {
            for (uint32_t p = 0; p < PIXELS; p++) {
                const uint32_t word = sf_word(in + (int32_t)p * call->in_delta);
                patch[p] = sf_even(word);
                patch[PIXELS + p] = sf_odd(word);
            }
        }
    }
    memset(patch, 0, 4u * PIXELS * conv->padding);
}

/* Sums of the first channel (low) and of both mixed; returns what follows the weights. */
static const uint32_t *multiply(const uint32_t *patch, const uint32_t *w, uint32_t steps, int32_t *low,
                                int32_t *mixed) {
    for (; steps > 0u; steps--, patch += PIXELS) {
        const uint32_t weights = *w++;
        const uint32_t first = sf_signed_even(weights);
        for (uint32_t p = 0; p < PIXELS; p++) {
            low[p] = sf_multiply_add(patch[p], first, low[p]);
            mixed[p] = sf_multiply_add(patch[p], weights, mixed[p]);
        }
    }
    return w;
}

/* Bytes of one channel from twice its sums. */
static const uint32_t *scale(const sf_fused_requant_t *q, const uint32_t *w, const int32_t *twice,
                             uint32_t *bytes) {
    const uint32_t shift = q->shift != 0u ? q->shift : w[2];
    for (uint32_t p = 0; p < PIXELS; p++) {
        const int32_t value =
            sf_byte(sf_scale_exactly(twice[p], (int32_t)w[0], (int32_t)w[1], q->is_signed) >> shift);
        bytes[p] = (uint32_t)(value < q->low ? q->low : value > q->high ? q->high : value);
    }
    return w + (q->shift != 0u ? 2 : 3);
}

static void put_two(uint8_t *out, uint32_t first, uint32_t second) {
    out[0] = (uint8_t)first;
    out[1] = (uint8_t)second;
}

static uint32_t larger(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

static void store(uint8_t *out, const sf_fused_conv_t *conv, const uint32_t *first, const uint32_t *second) {
    if (conv->store != SF_FUSED_MAX) {
        for (uint32_t p = 0; p < PIXELS; p++) {
            put_two(out + p * conv->out_channels, first[p], second[p]);
        }
        return;
    }
    for (uint32_t p = 0; p < PIXELS; p += 2u, out += conv->out_channels) {
        put_two(out, larger(out[0], larger(first[p], first[p + 1u])),
                larger(out[1], larger(second[p], second[p + 1u])));
    }
}

void sf_fused_quads_c(const sf_fused_call_t *call, const sf_fused_conv_t *conv) {
    uint32_t patch[PIXELS * SF_FUSED_QUAD_STEPS_MAX];
    const uint32_t steps = (uint32_t)conv->steps + conv->padding;
    uint8_t *out = call->out0;
    int32_t offset = 0;
    for (uint32_t n = call->pairs; n > 0u; n--, offset += call->in_step) {
        gather(patch, call, conv, offset);
        for (const uint32_t *w = call->weights; w != call->weights_end; out -= 2) {
            int32_t low[PIXELS], mixed[PIXELS];
            uint32_t first[PIXELS], second[PIXELS];
            for (uint32_t p = 0; p < PIXELS; p++) {
                low[p] = (int32_t)w[0];
                mixed[p] = (int32_t)w[1];
            }
            w = multiply(patch, w + 2, steps, low, mixed);
            for (uint32_t p = 0; p < PIXELS; p++) {
                mixed[p] = (int32_t)((uint32_t)mixed[p] - (uint32_t)low[p]) >> 7;
                low[p] = (int32_t)((uint32_t)low[p] << 1);
            }
            w = scale(&conv->requant, w, low, first);
            w = scale(&conv->requant, w, mixed, second);
            store(out, conv, first, second);
        }
        out += call->out_step;
    }
}
