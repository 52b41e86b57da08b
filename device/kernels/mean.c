/* MEAN in plain C. */
#include "requantise.h"
#include "semflash/kernels.h"

sf_status_t sf_mean(const sf_mean_t *layer, const int8_t *in, int8_t *out) {
    const int32_t zeros = layer->input_zero_point * (int32_t)layer->count;
    for (uint32_t o = 0; o < layer->outer; o++, in += layer->count * layer->inner) {
        for (uint32_t i = 0; i < layer->inner; i++) {
            int32_t sum = 0;
            for (uint32_t k = 0; k < layer->count; k++) {
                sum += in[k * layer->inner + i];
            }
            const int32_t value = sf_requantise(sum - zeros, layer->multiplier, layer->shift);
            *out++ = sf_clamp_int8(value + layer->output_zero_point, INT8_MIN, INT8_MAX);
        }
    }
    return SF_OK;
}
