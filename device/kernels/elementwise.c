/* ADD, RELU and RELU6 in plain C. */
#include "requantise.h"
#include "semflash/kernels.h"

#define ADD_LEFT_SHIFT 20 /* TFLite's int8 ADD: both inputs are widened by 20 bits before they are scaled */

sf_status_t sf_add(const sf_add_t *layer, const int8_t *a, const int8_t *b, int8_t *out) {
    for (uint32_t i = 0; i < layer->size; i++) {
        const int32_t wide_a = (a[i] - layer->zero_point_a) * (1 << ADD_LEFT_SHIFT);
        const int32_t wide_b = (b[i] - layer->zero_point_b) * (1 << ADD_LEFT_SHIFT);
        const int32_t sum = sf_requantise(wide_a, layer->multiplier_a, layer->shift_a) +
                            sf_requantise(wide_b, layer->multiplier_b, layer->shift_b);
        const int32_t value = sf_requantise(sum, layer->output_multiplier, layer->output_shift);
        out[i] = sf_clamp_int8(value + layer->output_zero_point, layer->act_min, layer->act_max);
    }
    return SF_OK;
}

sf_status_t sf_clamp(const sf_clamp_t *layer, const int8_t *in, int8_t *out) {
    for (uint32_t i = 0; i < layer->size; i++) {
        const int32_t value = sf_requantise(in[i] - layer->input_zero_point, layer->multiplier, layer->shift);
        out[i] = sf_clamp_int8(value + layer->output_zero_point, layer->act_min, layer->act_max);
    }
    return SF_OK;
}
