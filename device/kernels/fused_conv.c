/* Plain C twins of the generated convolution kernels; same tables, same bytes. */
#include "semflash/fused.h"

#include "semflash/fused_math.h"

/* Two pixels, interleaved word by word: the order of semflash_codegen/fused/tables.py. */
static void gather(uint32_t *patch, const sf_fused_call_t *call, const sf_fused_conv_t *conv,
                   int32_t offset) {
    const uint32_t left = conv->run_bytes & 3u;
    const uint32_t whole = conv->run_bytes & ~3u;
    uint32_t single0 = 0;
    uint32_t single1 = 0;
    uint32_t held = 0;
    uint32_t at = 2u * conv->steps;
    uint32_t singles = conv->kernel_rows * (left == 3u ? 1u : left);
    uint32_t *odd_pair = patch + at - 2u * ((singles + 1u) / 2u);
    for (uint32_t r = 0; r < conv->kernel_rows; r++) {
        const uint8_t *p0 = call->rows[r] + offset;
        const uint8_t *p1 = p0 + call->in_delta;
        for (uint32_t i = 0; i < whole; i += 4u, patch += 4) {
            const uint32_t word0 = sf_word(p0 + i);
            const uint32_t word1 = sf_word(p1 + i);
            patch[0] = sf_even(word0);
            patch[1] = sf_even(word1);
            patch[2] = sf_odd(word0);
            patch[3] = sf_odd(word1);
        }
        p0 += whole;
        p1 += whole;
        if (left == 3u) {
            patch[0] = p0[0] | ((uint32_t)p0[2] << 16);
            patch[1] = p1[0] | ((uint32_t)p1[2] << 16);
            patch += 2;
        }
        for (uint32_t i = left == 3u ? 1u : 0u; i < (left == 3u ? 2u : left); i++) {
            if (held != 0u) {
                odd_pair[0] = single0 | ((uint32_t)p0[i] << 16);
                odd_pair[1] = single1 | ((uint32_t)p1[i] << 16);
                odd_pair += 2;
            } else {
                single0 = p0[i];
                single1 = p1[i];
            }
            held ^= 1u;
        }
    }
    if (held != 0u) {
        odd_pair[0] = single0;
        odd_pair[1] = single1;
    }
}

/* One patch times the weights of one group. sums: slots 0, 1 of both pixels, then slots 2, 3. */
static inline const uint32_t *multiply(const uint32_t *patch, const uint32_t *w, uint32_t steps,
                                       int32_t *sums) {
    int32_t a0 = sums[0], b0 = sums[1], a1 = sums[2], b1 = sums[3];
    int32_t c0 = sums[4], d0 = sums[5], c1 = sums[6], d1 = sums[7];
    for (uint32_t j = steps; j > 0u; j--, w += 4, patch += 2) {
        const uint32_t x0 = patch[0];
        const uint32_t x1 = patch[1];
        a0 = sf_multiply_add(x0, w[0], a0);
        a1 = sf_multiply_add(x1, w[0], a1);
        b0 = sf_multiply_add(x0, w[1], b0);
        b1 = sf_multiply_add(x1, w[1], b1);
        c0 = sf_multiply_add(x0, w[2], c0);
        c1 = sf_multiply_add(x1, w[2], c1);
        d0 = sf_multiply_add(x0, w[3], d0);
        d1 = sf_multiply_add(x1, w[3], d1);
    }
    sums[0] = a0, sums[1] = b0, sums[2] = a1, sums[3] = b1;
    sums[4] = c0, sums[5] = d0, sums[6] = c1, sums[7] = d1;
    return w;
}

/* The same with int8 weights: a word holds two channels of one step. */
static const uint32_t *multiply_small(const uint32_t *patch, const uint32_t *w, uint32_t steps,
                                      int32_t *sums) {
    for (uint32_t j = steps; j > 0u; j--, w += 2, patch += 2) {
        const uint32_t wide[4] = {sf_signed_even(w[0]), sf_signed_even(w[0] >> 8), sf_signed_even(w[1]),
                                  sf_signed_even(w[1] >> 8)};
        for (uint32_t i = 0; i < 4u; i++) {
            int32_t *sum = sums + (i >> 1) * 4u + (i & 1u);
            sum[0] = sf_multiply_add(patch[0], wide[i], sum[0]);
            sum[2] = sf_multiply_add(patch[1], wide[i], sum[2]);
        }
    }
    return w;
}

static const uint32_t *multiply_group(const sf_fused_conv_t *conv, const uint32_t *patch, const uint32_t *w,
                                      int32_t *sums) {
    return conv->requant.small != 0u ? multiply_small(patch, w, conv->steps, sums)
                                     : multiply(patch, w, conv->steps, sums);
}

/* Eight accumulators to eight bytes (one per word, same order). Returns the coefficients of the next group. */
static inline const uint32_t *requantise(const sf_fused_requant_t *q, const uint32_t *w, const int32_t *sums,
                                         uint32_t *bytes) {
    for (uint32_t slot = 0; slot < 4u; slot++) {
        const int32_t m = (int32_t)w[0];
        const int32_t b = (int32_t)w[1];
        w += 2;
        const int32_t d = q->is_signed != 0u ? (int32_t)*w++ : 0;
        const uint32_t k = q->small != 0u ? *w++ : 0u;
        for (uint32_t pixel = 0; pixel < 2u; pixel++) {
            const uint32_t i = (slot >> 1) * 4u + (slot & 1u) + 2u * pixel;
            const int32_t sum = (int32_t)((uint32_t)sums[i] << k);
            const int32_t high = (int32_t)(((int64_t)sum * m) >> 32) + b;
            const int32_t value = sf_byte((high - (sum < 0 ? d : 0)) >> q->shift);
            bytes[i] = (uint32_t)(value < q->low ? q->low : value > q->high ? q->high : value);
        }
    }
    return w;
}

/* Slots hold the channels 0, 2, 1, 3. */
static inline uint32_t pack(const uint32_t *bytes) {
    return bytes[0] | (bytes[4] << 8) | (bytes[1] << 16) | (bytes[5] << 24);
}

void sf_fused_conv_c(const sf_fused_call_t *call, const sf_fused_conv_t *conv) {
    uint32_t patch[2 * SF_FUSED_STEPS_MAX];
    uint8_t *out0 = call->out0;
    uint8_t *out1 = call->out1;
    int32_t offset = 0;
    for (uint32_t n = call->pairs; n > 0u; n--, offset += call->in_step) {
        gather(patch, call, conv, offset);
        const uint32_t *w = call->weights;
        while (w != call->weights_end) {
            int32_t sums[8] = {(int32_t)w[0], (int32_t)w[1], (int32_t)w[0], (int32_t)w[1],
                               (int32_t)w[2], (int32_t)w[3], (int32_t)w[2], (int32_t)w[3]};
            uint32_t bytes[8];
            w = multiply_group(conv, patch, w + 4, sums);
            w = requantise(&conv->requant, w, sums, bytes);
            if (conv->store == SF_FUSED_PAIRS) {
                const uint32_t pairs[4] = {bytes[0] | (bytes[1] << 16), bytes[2] | (bytes[3] << 16),
                                           bytes[4] | (bytes[5] << 16), bytes[6] | (bytes[7] << 16)};
                memcpy(out0, pairs, sizeof pairs);
                out0 += sizeof pairs;
            } else if (conv->store == SF_FUSED_MAX) {
                sf_put_word(out0, sf_max4(sf_word(out0), sf_max4(pack(bytes), pack(bytes + 2))));
                out0 -= 4;
            } else {
                sf_put_word(out0, pack(bytes));
                sf_put_word(out1, pack(bytes + 2));
                out0 -= 4;
                out1 -= 4;
            }
        }
        out0 += call->out_step;
        out1 += call->out_step;
    }
}

static int32_t *accumulate(const sf_fused_call_t *call, const sf_fused_conv_t *conv, const uint32_t *patch,
                           int32_t *sums) {
    for (const uint32_t *w = call->weights; w != call->weights_end; sums += 8) {
        w = multiply_group(conv, patch, w, sums);
    }
    return sums;
}

void sf_fused_accumulate_c(const sf_fused_call_t *call, const sf_fused_conv_t *conv) {
    uint32_t patch[2 * SF_FUSED_STEPS_MAX];
    int32_t *sums = call->sums;
    int32_t offset = 0;
    for (uint32_t n = call->pairs; n > 0u; n--, offset += call->in_step) {
        for (uint32_t i = 0; i < conv->steps; i += 2u) {
            const uint8_t *p = call->rows[0] + offset + 2u * i;
            const uint32_t word0 = sf_word(p);
            const uint32_t word1 = sf_word(p + call->in_delta);
            patch[2u * i] = sf_even(word0);
            patch[2u * i + 1u] = sf_even(word1);
            patch[2u * i + 2u] = sf_odd(word0);
            patch[2u * i + 3u] = sf_odd(word1);
        }
        sums = accumulate(call, conv, patch, sums);
    }
}

void sf_fused_strip_c(const sf_fused_strip_call_t *call, const sf_fused_strip_t *strip) {
    uint32_t patch[2 * SF_FUSED_STEPS_MAX];
    const sf_fused_conv_t *first = strip->first;
    sf_fused_call_t fill = {0};
    sf_fused_call_t add = {0};
    memcpy(fill.rows, call->rows, sizeof fill.rows);
    fill.weights = call->weights;
    fill.weights_end = call->weights_end;
    fill.out0 = (uint8_t *)(void *)patch;
    fill.pairs = strip->second_kernel_columns;
    fill.in_delta = call->in_delta;
    fill.in_step = first->column_bytes;
    add.weights = call->weights2;
    add.weights_end = call->weights2_end;
    add.sums = call->sums;
    for (uint32_t n = call->pairs; n > 0u; n--) {
        sf_fused_conv_c(&fill, first);
        add.sums = accumulate(&add, strip->second, patch, add.sums);
        for (uint32_t r = 0; r < first->kernel_rows; r++) {
            fill.rows[r] += 2 * (int32_t)fill.pairs * fill.in_step;
        }
    }
}

void sf_fused_finish_c(const sf_fused_call_t *call, const sf_fused_conv_t *conv) {
    const int32_t *sums = call->sums;
    uint8_t *out0 = call->out0;
    uint8_t *out1 = call->out1;
    for (uint32_t n = call->pairs; n > 0u; n--) {
        for (const uint32_t *w = call->weights; w != call->weights_end; sums += 8) {
            uint32_t bytes[8];
            w = requantise(&conv->requant, w, sums, bytes);
            sf_put_word(out0, pack(bytes));
            sf_put_word(out1, pack(bytes + 2));
            out0 -= 4;
            out1 -= 4;
        }
        out0 += call->out_step;
        out1 += call->out_step;
    }
}

void sf_fused_finish_general(const sf_fused_call_t *call, const sf_fused_conv_t *conv) {
    static const uint8_t slots[4] = {0, 2, 1, 3};
    const sf_fused_requant_t *q = &conv->requant;
    const int32_t *sums = call->sums;
    uint8_t *out[2] = {call->out0, call->out1};
    for (uint32_t n = call->pairs; n > 0u; n--) {
        for (uint32_t group = conv->groups; group > 0u; group--, sums += 8) {
            for (uint32_t i = 0; i < 8u; i++) {
                const uint32_t slot = slots[(i >> 2) * 2u + (i & 1u)];
                const uint32_t channel = 4u * (group - 1u) + slot;
                if (channel >= conv->out_channels) {
                    continue;
                }
                const int32_t value =
                    sf_requantise_exact(sums[i], q->multiplier[channel], q->exponent[channel]);
                const int32_t limited = value > 1024 ? 1024 : value < -1024 ? -1024 : value;
                const int32_t byte = limited + q->zero_point;
                out[(i >> 1) & 1u][slot] = (uint8_t)(byte < q->low    ? q->low
                                                     : byte > q->high ? q->high
                                                                      : byte);
            }
            out[0] -= 4;
            out[1] -= 4;
        }
        out[0] += call->out_step;
        out[1] += call->out_step;
    }
}
