/* Depthwise convolution of the streaming engine: four channels at a time, two taps per multiplication. */
#include "semflash/fused.h"

#include "semflash/fused_math.h"

#define TAPS_MAX (SF_FUSED_ROWS_MAX * SF_FUSED_ROWS_MAX)

/* One byte per slot: slots hold the channels 0, 2, 1, 3. */
static void requantise(const sf_fused_depthwise_t *layer, const int32_t *sums, uint32_t first, uint32_t count,
                       uint8_t *out) {
    static const uint8_t slots[4] = {0, 2, 1, 3};
    const sf_fused_requant_t *q = &layer->requant;
    const uint32_t words = 2u + q->is_signed;
    const uint32_t *w = q->cheap + (q->general != 0u ? 0u : first * words);
    for (uint32_t i = 0; i < 4u; i++, w += words) {
        if (slots[i] >= count) {
            continue;
        }
        int32_t value;
        if (q->general != 0u) {
            const uint32_t channel = first + slots[i];
            value = sf_requantise_exact(sums[i], q->multiplier[channel], q->exponent[channel]);
            value = (value > 1024 ? 1024 : value < -1024 ? -1024 : value) + q->zero_point;
        } else {
            const int32_t high = (int32_t)(((int64_t)sums[i] * (int32_t)w[0]) >> 32) + (int32_t)w[1];
            const int32_t d = q->is_signed != 0u && sums[i] < 0 ? (int32_t)w[2] : 0;
            value = (high - d) >> q->shift;
        }
        out[slots[i]] = (uint8_t)(value < q->low ? q->low : value > q->high ? q->high : value);
    }
}

/* Four output channels of one pixel from taps that hold four neighbouring input channels. */
static void four_channels(const uint8_t *const *taps, uint32_t count, uint32_t offset, const uint32_t *w,
                          int32_t *sums) {
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    for (uint32_t t = 0; t < count; t += 2u, w += 4) {
        const uint32_t a = sf_word(taps[t] + offset);
        const uint32_t b = sf_word(taps[t + 1u < count ? t + 1u : t] + offset);
        const uint32_t a_even = sf_even(a);
        const uint32_t b_even = sf_even(b);
        const uint32_t a_odd = sf_odd(a);
        const uint32_t b_odd = sf_odd(b);
        s0 = sf_multiply_add(sf_pair_low(a_even, b_even), w[0], s0);
        s1 = sf_multiply_add(sf_pair_high(a_even, b_even), w[1], s1);
        s2 = sf_multiply_add(sf_pair_low(a_odd, b_odd), w[2], s2);
        s3 = sf_multiply_add(sf_pair_high(a_odd, b_odd), w[3], s3);
    }
    sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
}

/* The same for several output channels per input channel: every slot finds its own input byte. */
static void four_multiplied(const sf_fused_depthwise_t *layer, const uint8_t *const *taps, uint32_t count,
                            uint32_t offset, uint32_t first, const uint32_t *w, int32_t *sums) {
    static const uint8_t slots[4] = {0, 2, 1, 3};
    for (uint32_t i = 0; i < 4u; i++) {
        const uint32_t channel = first + slots[i];
        if (channel >= layer->channels) {
            continue;
        }
        const uint32_t at = offset + channel / layer->multiplier;
        for (uint32_t t = 0; t < count; t += 2u) {
            const uint32_t a = taps[t][at];
            const uint32_t b = taps[t + 1u < count ? t + 1u : t][at];
            sums[i] = sf_multiply_add(a | (b << 16), w[2u * t + i], sums[i]);
        }
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
    const uint8_t *taps[TAPS_MAX];
    uint32_t used = 0;
    for (uint32_t r = 0; r < high; r++) {
        const uint32_t slot = (count->slot + stage->slots - (high - 1u) + r) % stage->slots;
        const uint8_t *row = job->state + stage->ring + slot * stage->pitch;
        for (uint32_t x = 0; x < layer->kernel_columns; x++) {
            taps[used++] = row + x * layer->in_channels;
        }
    }
    uint8_t *out = sf_fused_out(job);
    for (uint32_t x = 0; x < layer->out_width; x++, out += layer->channels) {
        const uint32_t *w = layer->weights;
        const int32_t *bias = layer->bias;
        const uint32_t offset = x * layer->column_bytes;
        for (uint32_t c = 0; c < layer->channels; c += 4u, bias += 4, w += 2u * (used + (used & 1u))) {
            int32_t sums[4] = {bias[0], bias[1], bias[2], bias[3]};
            if (layer->multiplier == 1u) {
                four_channels(taps, used, offset + c, w, sums);
            } else {
                four_multiplied(layer, taps, used, offset, c, w, sums);
            }
            requantise(layer, sums, c, layer->channels - c, out + c);
        }
    }
    return SF_FUSED_ROW;
}
