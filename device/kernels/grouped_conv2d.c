/* CONV_2D in groups in plain C: the output channels of a group read the input channels of that group. */
#include "requantise.h"
#include "semflash/kernels.h"

/* Products of one pixel's channels of a group with the weights of one place of the kernel. */
static int32_t dot(const int8_t *pixel, const int8_t *weights, uint32_t depth, int32_t zero_point) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < depth; i++) {
        sum += (pixel[i] - zero_point) * weights[i];
    }
    return sum;
}

/* The sum of one output channel; top and left may lie outside the image. */
static int32_t window_sum(const sf_grouped_conv2d_t *layer, const int8_t *in, int32_t top, int32_t left,
                          const int8_t *weights) {
    const sf_window_t *window = &layer->conv.window;
    const sf_shape_t *size = &layer->conv.in;
    int32_t sum = 0;
    for (uint32_t ky = 0; ky < window->h; ky++) {
        const int32_t y = top + (int32_t)(ky * window->dilation_h);
        for (uint32_t kx = 0; kx < window->w; kx++, weights += layer->depth) {
            const int32_t x = left + (int32_t)(kx * window->dilation_w);
            if (y >= 0 && y < size->h && x >= 0 && x < size->w) {
                const int8_t *pixel = in + ((uint32_t)y * size->w + (uint32_t)x) * size->c;
                sum += dot(pixel, weights, layer->depth, layer->conv.input_zero_point);
            }
        }
    }
    return sum;
}

sf_status_t sf_grouped_conv2d(const sf_grouped_conv2d_t *layer, const int8_t *in, int8_t *out) {
    const sf_conv2d_t *conv = &layer->conv;
    const sf_window_t *window = &conv->window;
    const uint32_t taps = (uint32_t)window->h * window->w * layer->depth;
    const uint32_t per_group = conv->out.c / (conv->in.c / layer->depth);
    for (int32_t y = 0; y < conv->out.h; y++) {
        for (int32_t x = 0; x < conv->out.w; x++) {
            for (uint32_t c = 0; c < conv->out.c; c++) {
                const int32_t sum = conv->bias[c] + window_sum(layer, in + c / per_group * layer->depth,
                                                               y * window->stride_h - window->pad_top,
                                                               x * window->stride_w - window->pad_left,
                                                               conv->weights + c * taps);
                const int32_t value = sf_requantise(sum, conv->multiplier[c], conv->shift[c]);
                *out++ = sf_clamp_int8(value + conv->output_zero_point, conv->act_min, conv->act_max);
            }
        }
    }
    return SF_OK;
}
