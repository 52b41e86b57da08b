/* PRELU in plain C. */
#include "requantise.h"
#include "semflash/kernels.h"

static int32_t prelu(const sf_prelu_t *layer, int32_t value, int32_t alpha) {
    if (value >= 0) {
        return sf_requantise(value, layer->multiplier, layer->shift);
    }
    return sf_requantise(value * (alpha - layer->alpha_zero_point), layer->alpha_multiplier,
                         layer->alpha_shift);
}

sf_status_t sf_prelu(const sf_prelu_t *layer, const int8_t *in, int8_t *out) {
    for (uint32_t y = 0; y < layer->out.h; y++) {
        for (uint32_t x = 0; x < layer->out.w; x++) {
            const int8_t *alpha = layer->alpha + y * layer->strides.h + x * layer->strides.w;
            for (uint32_t c = 0; c < layer->out.c; c++, alpha += layer->strides.c) {
                const int32_t value = prelu(layer, *in++ - layer->input_zero_point, *alpha);
                *out++ = sf_clamp_int8(value + layer->output_zero_point, INT8_MIN, INT8_MAX);
            }
        }
    }
    return SF_OK;
}
