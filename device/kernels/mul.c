/* MUL in plain C: either operand may be repeated along rows, columns or channels. */
#include "requantise.h"
#include "semflash/kernels.h"

static uint32_t position(const sf_strides_t *strides, uint32_t y, uint32_t x) {
    return y * strides->h + x * strides->w;
}

sf_status_t sf_mul(const sf_mul_t *layer, const int8_t *a, const int8_t *b, int8_t *out) {
    for (uint32_t y = 0; y < layer->out.h; y++) {
        for (uint32_t x = 0; x < layer->out.w; x++) {
            const int8_t *left = a + position(&layer->strides_a, y, x);
            const int8_t *right = b + position(&layer->strides_b, y, x);
            for (uint32_t c = 0; c < layer->out.c; c++) {
                const int32_t product = (*left - layer->zero_point_a) * (*right - layer->zero_point_b);
                const int32_t value = sf_requantise(product, layer->multiplier, layer->shift);
                *out++ = sf_clamp_int8(value + layer->output_zero_point, layer->act_min, layer->act_max);
                left += layer->strides_a.c;
                right += layer->strides_b.c;
            }
        }
    }
    return SF_OK;
}

sf_status_t sf_mul_constant(const sf_mul_t *layer, const int8_t *in, int8_t *out) {
    return sf_mul(layer, in, layer->constant, out);
}
