#include <stddef.h>

#include "semflash/stages.h"

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

/* q^2 of a latent. */
static inline int32_t square(const sf_gdn_t *gdn, int8_t value) {
    const int32_t q = (int32_t)value - (int32_t)gdn->zero_point;
    return q * q;
}

static uint8_t code(const sf_gdn_t *gdn, const int8_t *latent, uint32_t c) {
    const uint32_t channels = gdn->channels;
    const int8_t *end = latent + (channels & ~1u);
    const int32_t *gamma = gdn->gamma;
    uint32_t at = c; /* an index, because a pointer would end beyond the table */
    int64_t den = gdn->beta[c];
    /* Two input channels at a time: this loop is most of the stage's work. */
    for (const int8_t *value = latent; value < end; value += 2) {
        den += (int64_t)square(gdn, value[0]) * gamma[at];
        den += (int64_t)square(gdn, value[1]) * gamma[at + channels];
        at += 2u * channels;
    }
    if ((channels & 1u) != 0u) {
        den += (int64_t)square(gdn, *end) * gamma[at];
    }
    const int64_t magnitude = square(gdn, latent[c]);
    const int64_t signed_square = latent[c] < gdn->zero_point ? -magnitude : magnitude;
    const uint32_t steps = gdn->levels - 1u;
    return count_below(gdn->threshold + c * steps, steps, signed_square * ((int64_t)1 << 40), den);
}

void sf_gdn_codes(const sf_gdn_t *gdn, const int8_t *latent, uint16_t first, uint16_t n, uint8_t *codes) {
    for (uint32_t i = 0; i < n; i++) {
        codes[i] = code(gdn, latent, first + i);
    }
}
