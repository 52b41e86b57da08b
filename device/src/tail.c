#include "semflash/tail.h"

#include <stddef.h>

/* Number of ascending thresholds t with signed_square 2^40 > t * den: binary search, den > 0. */
static uint8_t count_below(const int32_t *threshold, uint32_t n, int64_t scaled_square, int64_t den) {
    uint32_t low = 0;
    uint32_t high = n;
    while (low < high) {
        const uint32_t middle = (low + high) / 2u;
        if (scaled_square > (int64_t)threshold[middle] * den) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return (uint8_t)low;
}

/* q^2 of latent[i]. */
static inline int32_t square(const sf_tail_t *tail, int8_t value) {
    const int32_t q = (int32_t)value - (int32_t)tail->zero_point;
    return q * q;
}

static uint8_t gdn_code(const sf_tail_t *tail, const int8_t *latent, uint32_t c) {
    const uint32_t channels = tail->channels;
    const int8_t *end = latent + (channels & ~1u);
    const int32_t *gamma = tail->gamma;
    uint32_t at = c; /* an index, because a pointer would end beyond the table */
    int64_t den = tail->beta[c];
    /* Two input channels at a time: this loop is most of the tail's work. */
    for (const int8_t *value = latent; value < end; value += 2) {
        den += (int64_t)square(tail, value[0]) * gamma[at];
        den += (int64_t)square(tail, value[1]) * gamma[at + channels];
        at += 2u * channels;
    }
    if ((channels & 1u) != 0u) {
        den += (int64_t)square(tail, *end) * gamma[at];
    }
    const int64_t magnitude = square(tail, latent[c]);
    const int64_t signed_square = latent[c] < tail->zero_point ? -magnitude : magnitude;
    const uint32_t steps = tail->levels - 1u;
    return count_below(tail->threshold + c * steps, steps, signed_square * ((int64_t)1 << 40), den);
}

uint8_t sf_tail_code(const sf_tail_t *tail, const int8_t *latent, uint16_t channel) {
    if (tail->kind == SF_TAIL_TABLE) {
        return tail->table[channel * 256u + (uint32_t)((int32_t)latent[channel] + 128)];
    }
    return gdn_code(tail, latent, channel);
}

sf_status_t sf_tail_codes(const sf_tail_t *tail, const int8_t *latent, uint8_t *codes) {
    if (tail == NULL || latent == NULL || codes == NULL ||
        (tail->kind != SF_TAIL_GDN && tail->kind != SF_TAIL_TABLE)) {
        return SF_ERR_ARGUMENT;
    }
    for (uint16_t c = 0; c < tail->channels; c++) {
        codes[c] = sf_tail_code(tail, latent, c);
    }
    return SF_OK;
}
