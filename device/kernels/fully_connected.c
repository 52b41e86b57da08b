/* FULLY_CONNECTED in plain C. */
#include "requantise.h"
#include "semflash/kernels.h"

sf_status_t sf_fully_connected(const sf_fully_connected_t *layer, const int8_t *in, int8_t *out) {
    for (uint32_t row = 0; row < layer->rows; row++, in += layer->inputs) {
        const int8_t *weights = layer->weights;
        for (uint32_t o = 0; o < layer->outputs; o++, weights += layer->inputs) {
            int32_t sum = layer->bias[o];
            for (uint32_t i = 0; i < layer->inputs; i++) {
                sum += (in[i] - layer->input_zero_point) * weights[i];
            }
            const int32_t value = sf_requantise(sum, layer->multiplier, layer->shift);
            *out++ = sf_clamp_int8(value + layer->output_zero_point, layer->act_min, layer->act_max);
        }
    }
    return SF_OK;
}
