/* Depthwise convolution of the streaming engine: four channels of one pixel at a time.
 *
 * A word of input is unpacked into channels (0, 2) and (1, 3); the two words of weights of a tap lie in the same
 * order, so that a product is one SMLABB or SMLATT. */
#include "semflash/fused.h"

#include "semflash/fused_math.h"

static inline int32_t low_half(uint32_t word) {
    return (int16_t)(uint16_t)word;
}

static inline int32_t high_half(uint32_t word) {
    return (int16_t)(uint16_t)(word >> 16);
}

/* Slots 0..3 (channels 0, 2, 1, 3) += all taps. */
static inline const uint32_t *four_channels(const sf_fused_depthwise_t *layer, const uint8_t *const *rows,
                                            uint32_t offset, const uint32_t *w, int32_t *sums) {
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    const uint32_t channels = layer->in_channels;
    for (uint32_t r = layer->kernel_rows; r > 0u; r--) {
        const uint8_t *in = *rows++ + offset;
        for (uint32_t x = layer->kernel_columns; x > 0u; x--, in += channels, w += 2) {
            const uint32_t word = sf_word(in);
            const uint32_t even = sf_even(word);
            const uint32_t odd = sf_odd(word);
            const uint32_t w01 = w[0];
            const uint32_t w23 = w[1];
            s0 += low_half(even) * low_half(w01);
            s1 += high_half(even) * high_half(w01);
            s2 += low_half(odd) * low_half(w23);
            s3 += high_half(odd) * high_half(w23);
        }
    }
    sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
    return w;
}

/* The same for several output channels per input channel: every slot finds its own input byte. */
static const uint32_t *four_multiplied(const sf_fused_depthwise_t *layer, const uint8_t *const *rows,
                                       uint32_t offset, uint32_t first, const uint32_t *w, int32_t *sums) {
    static const uint8_t slots[4] = {0, 2, 1, 3};
    for (uint32_t r = 0; r < layer->kernel_rows; r++) {
        const uint8_t *in = rows[r] + offset;
        for (uint32_t x = layer->kernel_columns; x > 0u; x--, in += layer->in_channels, w += 2) {
            for (uint32_t i = 0; i < 4u; i++) {
                const uint32_t channel = first + slots[i];
                if (channel < layer->channels) {
                    const uint32_t weights = w[i >> 1];
                    sums[i] += in[channel / layer->multiplier] *
                               ((i & 1u) != 0u ? high_half(weights) : low_half(weights));
                }
            }
        }
    }
    return w;
}

/* Exact form: four bytes in the natural order; sums are twice their channels'. */
static inline uint32_t exact_bytes(const sf_fused_requant_t *q, const uint32_t *w, const int32_t *sums) {
    uint32_t bytes[4];
    for (uint32_t i = 0; i < 4u; i++) {
        const uint32_t shift = q->shift != 0u ? q->shift : w[2];
        const int32_t value = sf_scale_exactly(sums[i], (int32_t)w[0], (int32_t)w[1], q->is_signed);
        bytes[i] = (uint32_t)sf_byte(value >> shift);
        w += q->shift != 0u ? 2 : 3;
    }
    return bytes[0] | (bytes[2] << 8) | (bytes[1] << 16) | (bytes[3] << 24);
}

/* Any form without bounds but 0 and 255: four bytes in the natural order. */
static inline uint32_t plain_bytes(const sf_fused_requant_t *q, const uint32_t *w, const int32_t *sums) {
    const uint32_t shift = q->shift;
    int32_t high[4];
    if (q->mixed != 0u) {
        return exact_bytes(q, w, sums);
    }
    if (q->is_signed != 0u) {
        for (uint32_t i = 0; i < 4u; i++, w += 3) {
            high[i] = sf_scale(sums[i], (int32_t)w[0], (int32_t)w[1]) - ((int32_t)w[2] & (sums[i] >> 31));
        }
    } else {
        for (uint32_t i = 0; i < 4u; i++, w += 2) {
            high[i] = sf_scale(sums[i], (int32_t)w[0], (int32_t)w[1]);
        }
    }
    return (uint32_t)sf_byte(high[0] >> shift) | ((uint32_t)sf_byte(high[2] >> shift) << 8) |
           ((uint32_t)sf_byte(high[1] >> shift) << 16) | ((uint32_t)sf_byte(high[3] >> shift) << 24);
}

/* TFLite's own arithmetic. */
static uint32_t general_bytes(const sf_fused_depthwise_t *layer, uint32_t first, const int32_t *sums) {
    static const uint8_t slots[4] = {0, 2, 1, 3};
    const sf_fused_requant_t *q = &layer->requant;
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < 4u; i++) {
        const uint32_t channel = first + slots[i];
        if (channel < layer->channels) {
            const int32_t value = sf_requantise_exact(sums[i], q->multiplier[channel], q->exponent[channel]);
            const int32_t limited = value > 1024 ? 1024 : value < -1024 ? -1024 : value;
            bytes |= (uint32_t)sf_byte(limited + q->zero_point) << (8u * slots[i]);
        }
    }
    return bytes;
}

/* Where the four bytes go; the last group may hold fewer channels. */
static inline void put_channels(uint8_t *out, uint32_t bytes, uint32_t count) {
    if (count >= 4u) {
        sf_put_word(out, bytes);
        return;
    }
    for (; count > 0u; count--, bytes >>= 8) {
        *out++ = (uint8_t)bytes;
    }
}

static void pixel(const sf_fused_depthwise_t *layer, const uint8_t *const *rows, uint32_t offset,
                  uint8_t *out) {
    const sf_fused_requant_t *q = &layer->requant;
    const uint32_t *w = layer->weights;
    const int bounded = q->low != 0u || q->high != 255u;
    const uint32_t groups = (layer->channels + 3u) / 4u;
    const uint32_t coefficients = q->mixed != 0u ? (q->shift != 0u ? 2u : 3u) : 2u + q->is_signed;
    for (uint32_t group = groups; group > 0u; group--) {
        const uint32_t c = 4u * (group - 1u);
        int32_t sums[4] = {(int32_t)w[0], (int32_t)w[1], (int32_t)w[2], (int32_t)w[3]};
        w = layer->multiplier == 1u ? four_channels(layer, rows, offset + c, w + 4, sums)
                                    : four_multiplied(layer, rows, offset, c, w + 4, sums);
        uint32_t bytes;
        if (q->general != 0u) {
            bytes = general_bytes(layer, c, sums);
        } else {
            bytes = plain_bytes(q, w, sums);
            w += 4u * coefficients;
        }
        put_channels(out + c, bounded ? sf_clamp4(bytes, q->low, q->high) : bytes, layer->channels - c);
    }
}

void sf_fused_depthwise_c(const sf_fused_call_t *call, const sf_fused_depthwise_t *layer) {
    uint8_t *out = call->out0;
    for (uint32_t x = 0; x < layer->out_width; x++, out += layer->channels) {
        pixel(layer, call->rows, x * layer->column_bytes, out);
    }
}

uint32_t sf_fused_run_depthwise(const sf_fused_job_t *job) {
    const sf_fused_stage_t *stage = job->stage;
    const sf_fused_count_t *count = job->count;
    const uint32_t high = stage->kernel_rows;
    if (count->seen < high || count->made >= stage->out_rows ||
        count->seen - high != (uint32_t)count->made * stage->stride_rows) {
        return 0;
    }
    const sf_fused_depthwise_t *layer = (const sf_fused_depthwise_t *)stage->layer;
    sf_fused_call_t call;
    for (uint32_t r = 0; r < high; r++) {
        const uint32_t slot = (count->slot + stage->slots - (high - 1u) + r) % stage->slots;
        call.rows[r] = job->state + stage->ring + slot * stage->pitch;
    }
    call.weights = layer->weights;
    call.weights_end = layer->weights + layer->weight_words;
    call.out0 = sf_fused_out(job);
    call.pairs = (layer->out_width + layer->pixels - 1u) / layer->pixels;
    layer->kernel(&call, layer);
    return SF_FUSED_ROW;
}
