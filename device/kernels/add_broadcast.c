/* ADD and SUB in plain C where an operand is repeated along rows, columns or channels, or is a constant. */
#include "requantise.h"
#include "semflash/kernels.h"

#define LEFT_SHIFT                                                                                           \
    20 /* TFLite's int8 ADD and SUB: both inputs are widened by 20 bits before they are scaled */

static int32_t scaled(const sf_operand_t *operand, int8_t value) {
    const int32_t wide = (value - operand->zero_point) * (1 << LEFT_SHIFT);
    return operand->sign * sf_requantise(wide, operand->multiplier, operand->shift);
}

sf_status_t sf_add_broadcast(const sf_add_broadcast_t *layer, const int8_t *a, const int8_t *b, int8_t *out) {
    const sf_strides_t *left = &layer->a.strides;
    const sf_strides_t *right = &layer->b.strides;
    for (uint32_t y = 0; y < layer->out.h; y++) {
        for (uint32_t x = 0; x < layer->out.w; x++) {
            const int8_t *from_a = a + y * left->h + x * left->w;
            const int8_t *from_b = b + y * right->h + x * right->w;
            for (uint32_t c = 0; c < layer->out.c; c++, from_a += left->c, from_b += right->c) {
                const int32_t sum = scaled(&layer->a, *from_a) + scaled(&layer->b, *from_b);
                const int32_t value = sf_requantise(sum, layer->output_multiplier, layer->output_shift);
                *out++ = sf_clamp_int8(value + layer->output_zero_point, layer->act_min, layer->act_max);
            }
        }
    }
    return SF_OK;
}

sf_status_t sf_add_constant(const sf_add_broadcast_t *layer, const int8_t *in, int8_t *out) {
    return sf_add_broadcast(layer, in, layer->constant, out);
}
