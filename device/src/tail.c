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

static void gdn_codes(const sf_tail_t *tail, const int8_t *latent, uint8_t *codes) {
    const uint32_t channels = tail->channels;
    const uint32_t steps = tail->levels - 1u;
    for (uint32_t c = 0; c < channels; c++) {
        int64_t den = tail->beta[c];
        const int32_t *gamma = tail->gamma + c;
        for (uint32_t i = 0; i < channels; i++) {
            const int32_t q = (int32_t)latent[i] - (int32_t)tail->zero_point;
            den += (int64_t)(q * q) * (int64_t)*gamma;
            gamma += channels;
        }
        const int32_t q = (int32_t)latent[c] - (int32_t)tail->zero_point;
        const int64_t signed_square = q < 0 ? -(int64_t)(q * q) : (int64_t)(q * q);
        codes[c] = count_below(tail->threshold + c * steps, steps, signed_square * ((int64_t)1 << 40), den);
    }
}

sf_status_t sf_tail_codes(const sf_tail_t *tail, const int8_t *latent, uint8_t *codes) {
    if (tail == NULL || latent == NULL || codes == NULL) {
        return SF_ERR_ARGUMENT;
    }
    switch (tail->kind) {
    case SF_TAIL_GDN:
        gdn_codes(tail, latent, codes);
        return SF_OK;
    case SF_TAIL_TABLE:
        for (uint32_t c = 0; c < tail->channels; c++) {
            codes[c] = tail->table[c * 256u + (uint32_t)((int32_t)latent[c] + 128)];
        }
        return SF_OK;
    default:
        return SF_ERR_ARGUMENT;
    }
}
