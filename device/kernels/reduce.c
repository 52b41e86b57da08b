/* REDUCE_MAX and REDUCE_MIN in plain C. */
#include "semflash/kernels.h"

sf_status_t sf_reduce(const sf_reduce_t *layer, const int8_t *in, int8_t *out) {
    const uint32_t step = layer->inner * layer->tail;
    for (uint32_t o = 0; o < layer->outer; o++, in += layer->count * step) {
        for (uint32_t i = 0; i < layer->inner; i++) {
            const int8_t *run = in + i * layer->tail;
            int8_t best = *run;
            for (uint32_t t = 0; t < layer->tail; t++) {
                for (uint32_t k = 0; k < layer->count; k++) {
                    const int8_t value = run[k * step + t];
                    const bool better = layer->smallest ? value < best : value > best;
                    best = better ? value : best;
                }
            }
            *out++ = best;
        }
    }
    return SF_OK;
}
