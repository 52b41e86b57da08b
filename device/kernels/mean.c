/* MEAN in plain C. */
#include "requantise.h"
#include "semflash/kernels.h"

sf_status_t sf_mean(const sf_mean_t *layer, const int8_t *in, int8_t *out) {
    const uint32_t step = layer->inner * layer->tail;
    const int32_t zeros = layer->input_zero_point * (int32_t)(layer->count * layer->tail);
    for (uint32_t o = 0; o < layer->outer; o++, in += layer->count * step) {
        for (uint32_t i = 0; i < layer->inner; i++) {
            const int8_t *run = in + i * layer->tail;
            int32_t sum = 0;
            for (uint32_t t = 0; t < layer->tail; t++) {
                for (uint32_t k = 0; k < layer->count; k++) {
                    sum += run[k * step + t];
                }
            }
            const int32_t value = sf_requantise(sum - zeros, layer->multiplier, layer->shift);
            *out++ = sf_clamp_int8(value + layer->output_zero_point, INT8_MIN, INT8_MAX);
        }
    }
    return SF_OK;
}
