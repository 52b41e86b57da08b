/* Plain C twins of the generated convolution kernels; same tables, same bytes. */
#include "semflash/fused.h"

#include "semflash/fused_math.h"

/* Bytes without a partner wait here for the next one; pairs of them end the patch. */
typedef struct singles {
    uint32_t *to;
    uint32_t held;
    uint32_t even;
    uint32_t odd;
} singles_t;

static inline void add_single(singles_t *singles, uint32_t even, uint32_t odd) {
    if (singles->held != 0u) {
        singles->to[0] = singles->even | (even << 16);
        singles->to[1] = singles->odd | (odd << 16);
        singles->to += 2;
    } else {
        singles->even = even;
        singles->odd = odd;
    }
    singles->held ^= 1u;
}

/* Two pixels, interleaved word by word: the order of semflash_codegen/fused/tables.py. */
static inline void gather(uint32_t *patch, const sf_fused_call_t *call, const sf_fused_conv_t *conv,
                          int32_t offset) {
    const uint32_t left = conv->run_bytes & 3u;
    const uint32_t count = conv->kernel_rows * (left == 3u ? 1u : left);
    uint32_t *first = patch;
    singles_t singles = {patch + 2u * conv->steps - 2u * ((count + 1u) / 2u), 0, 0, 0};
    const uint8_t *const *rows = call->rows;
    for (uint32_t r = conv->kernel_rows; r > 0u; r--) {
        const uint8_t *p0 = *rows++ + offset;
        const uint8_t *p1 = p0 + call->in_delta;
        for (const uint8_t *end = p0 + (conv->run_bytes & ~3u); p0 != end; p0 += 4, p1 += 4, patch += 4) {
            const uint32_t word0 = sf_word(p0);
            const uint32_t word1 = sf_word(p1);
            patch[0] = sf_even(word0);
            patch[1] = sf_even(word1);
            patch[2] = sf_odd(word0);
            patch[3] = sf_odd(word1);
        }
        if (left == 1u) {
            add_single(&singles, p0[0], p1[0]);
        } else if (left == 2u) {
            add_single(&singles, p0[0], p1[0]);
            add_single(&singles, p0[1], p1[1]);
        } else if (left == 3u) {
            patch[0] = p0[0] | ((uint32_t)p0[2] << 16);
            patch[1] = p1[0] | ((uint32_t)p1[2] << 16);
            patch += 2;
            add_single(&singles, p0[1], p1[1]);
        }
    }
    if (singles.held != 0u) {
        singles.to[0] = singles.even;
        singles.to[1] = singles.odd;
    }
    memset(first + 2u * conv->steps, 0, 8u * conv->padding);
    if (conv->gain != 0u) {
        uint32_t *word = first;
        for (uint32_t n = 2u * conv->steps; n > 0u; n--, word++) {
            *word <<= conv->gain; /* halves stay apart: 255 << 7 fits 15 bits */
        }
    }
}

/* Keeps the compiler from splitting a running pointer into several, which costs registers that are not there. */
#if defined(__GNUC__)
#define SF_KEEP(pointer) __asm__("" : "+r"(pointer))
#else
#define SF_KEEP(pointer) ((void)0)
#endif

/* One patch times the weights of one group. sums: slots 0, 1 of both pixels, then slots 2, 3. */
static inline const uint32_t *multiply(const uint32_t *patch, const uint32_t *w, uint32_t steps,
                                       int32_t *sums) {
    int32_t a0 = sums[0], b0 = sums[1], a1 = sums[2], b1 = sums[3];
    int32_t c0 = sums[4], d0 = sums[5], c1 = sums[6], d1 = sums[7];
#define STEP                                                                                                 \
    do {                                                                                                     \
        const uint32_t even = patch[0];                                                                      \
        const uint32_t odd = patch[1];                                                                       \
        patch += 2;                                                                                          \
        uint32_t weights = *w++;                                                                             \
        a0 = sf_multiply_add(even, weights, a0);                                                             \
        a1 = sf_multiply_add(odd, weights, a1);                                                              \
        weights = *w++;                                                                                      \
        b0 = sf_multiply_add(even, weights, b0);                                                             \
        b1 = sf_multiply_add(odd, weights, b1);                                                              \
        weights = *w++;                                                                                      \
        c0 = sf_multiply_add(even, weights, c0);                                                             \
        c1 = sf_multiply_add(odd, weights, c1);                                                              \
        weights = *w++;                                                                                      \
        d0 = sf_multiply_add(even, weights, d0);                                                             \
        d1 = sf_multiply_add(odd, weights, d1);                                                              \
        SF_KEEP(w);                                                                                          \
    } while (0)
    if ((steps & 1u) != 0u) {
        STEP;
    }
    for (const uint32_t *end = patch + 2u * (steps & ~1u); patch != end;) {
        STEP;
        STEP;
    }
#undef STEP
    sums[0] = a0, sums[1] = b0, sums[2] = a1, sums[3] = b1;
    sums[4] = c0, sums[5] = d0, sums[6] = c1, sums[7] = d1;
    return w;
}

/* The same with byte-mixed weights: a halfword holds two channels, w_a + 256 w_b. Its lower byte alone gives a's
 * products to slots 0 and 2; slots 1 and 3 take both channels', from which a's are taken in the end. */
static const uint32_t *multiply_mixed(const uint32_t *patch, const uint32_t *w, uint32_t steps,
                                      int32_t *sums) {
    for (uint32_t j = steps; j > 0u; j--, w += 2, patch += 2) {
        for (uint32_t i = 0; i < 2u; i++) {
            const uint32_t low = sf_signed_even(w[i]);
            int32_t *sum = sums + 4u * i;
            sum[0] = sf_multiply_add(patch[0], low, sum[0]);
            sum[1] = sf_multiply_add(patch[0], w[i], sum[1]);
            sum[2] = sf_multiply_add(patch[1], low, sum[2]);
            sum[3] = sf_multiply_add(patch[1], w[i], sum[3]);
        }
    }
    return w;
}

static const uint32_t *multiply_group(const sf_fused_conv_t *conv, const uint32_t *patch, const uint32_t *w,
                                      int32_t *sums) {
    return conv->requant.mixed != 0u ? multiply_mixed(patch, w, (uint32_t)conv->steps + conv->padding, sums)
                                     : multiply(patch, w, conv->steps, sums);
}

/* Twice the sums of four slots and two pixels, to bytes: TFLite's rounding. Returns the next coefficients. */
static const uint32_t *scale_exactly(const sf_fused_requant_t *q, const uint32_t *w, const int32_t *sums,
                                     int32_t *bytes) {
    for (uint32_t slot = 0; slot < 4u; slot++) {
        const int32_t m = (int32_t)w[0];
        const int32_t r = (int32_t)w[1];
        const uint32_t shift = q->shift != 0u ? q->shift : w[2];
        w += q->shift != 0u ? 2 : 3;
        for (uint32_t pixel = 0; pixel < 2u; pixel++) {
            const uint32_t i = (slot >> 1) * 4u + (slot & 1u) + 2u * pixel;
            bytes[i] = sf_byte(sf_scale_exactly(sums[i], m, r, q->is_signed) >> shift);
        }
    }
    return w;
}

static const uint32_t *scale_cheaply(const sf_fused_requant_t *q, const uint32_t *w, const int32_t *sums,
                                     int32_t *bytes) {
    for (uint32_t slot = 0; slot < 4u; slot++) {
        const int32_t m = (int32_t)w[0];
        const int32_t b = (int32_t)w[1];
        w += 2;
        const int32_t d = q->is_signed != 0u ? (int32_t)*w++ : 0;
        for (uint32_t pixel = 0; pixel < 2u; pixel++) {
            const uint32_t i = (slot >> 1) * 4u + (slot & 1u) + 2u * pixel;
            bytes[i] = sf_byte((sf_scale(sums[i], m, b) - (sums[i] < 0 ? d : 0)) >> q->shift);
        }
    }
    return w;
}

/* Eight accumulators to bytes, as 16-bit pairs: slots 0, 1 of both pixels, slots 2, 3 of both pixels.
 * Returns the coefficients of the next group. */
static const uint32_t *requantise_any(const sf_fused_requant_t *q, const uint32_t *w, const int32_t *sums,
                                      uint32_t *pairs) {
    int32_t bytes[8];
    if (q->mixed != 0u) {
        int32_t twice[8];
        for (uint32_t i = 0; i < 8u; i += 2u) { /* a's sum, and 256 times b's */
            twice[i] = (int32_t)((uint32_t)sums[i] << 1);
            twice[i + 1u] = (int32_t)((uint32_t)sums[i + 1u] - (uint32_t)sums[i]) >> 7;
        }
        w = scale_exactly(q, w, twice, bytes);
    } else {
        w = scale_cheaply(q, w, sums, bytes);
    }
    for (uint32_t i = 0; i < 8u; i++) {
        bytes[i] = bytes[i] < q->low ? q->low : bytes[i] > q->high ? q->high : bytes[i];
    }
    for (uint32_t i = 0; i < 4u; i++) {
        pairs[i] = (uint32_t)bytes[2u * i] | ((uint32_t)bytes[2u * i + 1u] << 16);
    }
    return w;
}

static inline uint32_t scaled_pair(const int32_t *sums, const uint32_t *w, uint32_t shift) {
    const int32_t low = sf_byte(sf_scale(sums[0], (int32_t)w[0], (int32_t)w[1]) >> shift);
    const int32_t high = sf_byte(sf_scale(sums[1], (int32_t)w[2], (int32_t)w[3]) >> shift);
    return (uint32_t)low | ((uint32_t)high << 16);
}

/* Slots hold the channels 0, 2, 1, 3: two pairs make a word of bytes in the natural order. */
static inline uint32_t pack(uint32_t slots01, uint32_t slots23) {
    return slots01 | (slots23 << 8);
}

/* One group of two pixels, fast tables, unsigned requantisation without bounds but 0 and 255: what is common. */
static inline const uint32_t *plain_group(const uint32_t *patch, const uint32_t *w, uint32_t steps,
                                          uint32_t shift, uint32_t *pairs) {
    int32_t sums[8] = {(int32_t)w[0], (int32_t)w[1], (int32_t)w[0], (int32_t)w[1],
                       (int32_t)w[2], (int32_t)w[3], (int32_t)w[2], (int32_t)w[3]};
    w = multiply(patch, w + 4, steps, sums);
    pairs[0] = scaled_pair(sums, w, shift);
    pairs[1] = scaled_pair(sums + 2, w, shift);
    pairs[2] = scaled_pair(sums + 4, w + 4, shift);
    pairs[3] = scaled_pair(sums + 6, w + 4, shift);
    return w + 8;
}

static const uint32_t *any_group(const sf_fused_conv_t *conv, const uint32_t *patch, const uint32_t *w,
                                 uint32_t *pairs) {
    int32_t sums[8] = {(int32_t)w[0], (int32_t)w[1], (int32_t)w[0], (int32_t)w[1],
                       (int32_t)w[2], (int32_t)w[3], (int32_t)w[2], (int32_t)w[3]};
    w = multiply_group(conv, patch, w + 4, sums);
    return requantise_any(&conv->requant, w, sums, pairs);
}

void sf_fused_conv_c(const sf_fused_call_t *call, const sf_fused_conv_t *conv) {
    uint32_t patch[2 * SF_FUSED_STEPS_MAX];
    const sf_fused_requant_t *q = &conv->requant;
    const int plain = q->is_signed == 0u && q->mixed == 0u && q->low == 0u && q->high == 255u;
    uint8_t *out0 = call->out0;
    uint8_t *out1 = call->out1;
    int32_t offset = 0;
    for (uint32_t n = call->pairs; n > 0u; n--, offset += call->in_step) {
        gather(patch, call, conv, offset);
        const uint32_t *w = call->weights;
        while (w != call->weights_end) {
            uint32_t pairs[4];
            w = plain ? plain_group(patch, w, conv->steps, q->shift, pairs)
                      : any_group(conv, patch, w, pairs);
            if (conv->store == SF_FUSED_PAIRS) {
                sf_put_word(out0, pairs[0]);
                sf_put_word(out0 + 4, pairs[1]);
                sf_put_word(out0 + 8, pairs[2]);
                sf_put_word(out0 + 12, pairs[3]);
                out0 += 16;
                continue;
            }
            const uint32_t even = pack(pairs[0], pairs[2]);
            const uint32_t odd = pack(pairs[1], pairs[3]);
            if (conv->store == SF_FUSED_MAX) {
                sf_put_word(out0, sf_max4(sf_word(out0), sf_max4(even, odd)));
            } else {
                sf_put_word(out0, even);
                sf_put_word(out1, odd);
            }
            out0 -= 4;
            out1 -= 4;
        }
        out0 += call->out_step;
        out1 += call->out_step;
    }
}

/* One run of whole words of both pixels. */
static void gather_run(uint32_t *patch, const uint8_t *in, int32_t delta, const sf_fused_conv_t *conv) {
    memset(patch + 2u * conv->steps, 0, 8u * conv->padding);
    for (uint32_t n = conv->steps / 2u; n > 0u; n--, in += 4, patch += 4) {
        const uint32_t word0 = sf_word(in);
        const uint32_t word1 = sf_word(in + delta);
        patch[0] = sf_even(word0) << conv->gain;
        patch[1] = sf_even(word1) << conv->gain;
        patch[2] = sf_odd(word0) << conv->gain;
        patch[3] = sf_odd(word1) << conv->gain;
    }
}

static int32_t *accumulate(const sf_fused_call_t *call, const sf_fused_conv_t *conv, const uint32_t *patch,
                           int32_t *sums) {
    for (const uint32_t *w = call->weights; w != call->weights_end; sums += 8) {
        w = multiply_group(conv, patch, w, sums);
    }
    return sums;
}

/* One run of bytes after the other into the accumulators in memory, then the finished pixels. */
void sf_fused_rows_c(const sf_fused_call_t *call, const sf_fused_conv_t *conv) {
    uint32_t patch[2 * SF_FUSED_STEPS_MAX];
    const uint32_t runs = (uint32_t)conv->kernel_rows * conv->chunks;
    uint8_t *out0 = call->out0;
    uint8_t *out1 = call->out1;
    sf_fused_call_t run = *call;
    for (uint32_t n = call->pairs; n > 0u; n--) {
        int32_t *sums = call->sums;
        const uint32_t *w = call->weights;
        for (uint32_t group = conv->groups; group > 0u; group--, w += 4, sums += 8) {
            sums[0] = (int32_t)w[0], sums[1] = (int32_t)w[1], sums[2] = (int32_t)w[0],
            sums[3] = (int32_t)w[1];
            sums[4] = (int32_t)w[2], sums[5] = (int32_t)w[3], sums[6] = (int32_t)w[2],
            sums[7] = (int32_t)w[3];
        }
        for (uint32_t r = 0; r < runs; r++) {
            gather_run(patch, run.rows[r], call->in_delta, conv);
            run.rows[r] += call->in_step;
            run.weights = w;
            run.weights_end = w + conv->chunk_words;
            (void)accumulate(&run, conv, patch, call->sums);
            w = run.weights_end;
        }
        for (sums = call->sums; w != call->weights_end; sums += 8) {
            uint32_t pairs[4];
            w = requantise_any(&conv->requant, w, sums, pairs);
            sf_put_word(out0, pack(pairs[0], pairs[2]));
            sf_put_word(out1, pack(pairs[1], pairs[3]));
            out0 -= 4;
            out1 -= 4;
        }
        out0 += call->out_step;
        out1 += call->out_step;
    }
}

void sf_fused_accumulate_c(const sf_fused_call_t *call, const sf_fused_conv_t *conv) {
    uint32_t patch[2 * SF_FUSED_STEPS_MAX];
    int32_t *sums = call->sums;
    int32_t offset = 0;
    for (uint32_t n = call->pairs; n > 0u; n--, offset += call->in_step) {
        gather_run(patch, call->rows[0] + offset, call->in_delta, conv);
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
    memset(patch + 2u * strip->second->steps, 0, 8u * strip->second->padding);
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
            uint32_t pairs[4];
            w = requantise_any(&conv->requant, w, sums, pairs);
            sf_put_word(out0, pack(pairs[0], pairs[2]));
            sf_put_word(out1, pack(pairs[1], pairs[3]));
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
