/* CONV_2D and DEPTHWISE_CONV_2D in plain C. */
#include "requantise.h"
#include "semflash/kernels.h"

static int32_t conv_sum(const sf_conv2d_t *layer, const int8_t *in, int32_t top, int32_t left,
                        uint32_t channel) {
    const sf_window_t *win = &layer->window;
    const uint32_t depth = layer->in.c;
    const int8_t *weights = layer->weights + (uint32_t)win->h * win->w * depth * channel;
    int32_t sum = layer->bias[channel];
    for (int32_t ky = 0; ky < win->h; ky++) {
        const int32_t y = top + ky * win->dilation_h;
        for (int32_t kx = 0; kx < win->w; kx++, weights += depth) {
            const int32_t x = left + kx * win->dilation_w;
            if (y < 0 || y >= layer->in.h || x < 0 || x >= layer->in.w) {
                continue;
            }
            const int8_t *pixel = in + ((uint32_t)y * layer->in.w + (uint32_t)x) * depth;
            for (uint32_t i = 0; i < depth; i++) {
                sum += (pixel[i] - layer->input_zero_point) * weights[i];
            }
        }
    }
    return sum;
}

static int32_t depthwise_sum(const sf_conv2d_t *layer, const int8_t *in, int32_t top, int32_t left,
                             uint32_t channel) {
    const sf_window_t *win = &layer->window;
    const uint32_t source = channel / ((uint32_t)layer->out.c / layer->in.c);
    const int8_t *weights = layer->weights + channel;
    int32_t sum = layer->bias[channel];
    for (int32_t ky = 0; ky < win->h; ky++) {
        const int32_t y = top + ky * win->dilation_h;
        for (int32_t kx = 0; kx < win->w; kx++, weights += layer->out.c) {
            const int32_t x = left + kx * win->dilation_w;
            if (y < 0 || y >= layer->in.h || x < 0 || x >= layer->in.w) {
                continue;
            }
            const uint32_t at = ((uint32_t)y * layer->in.w + (uint32_t)x) * layer->in.c + source;
            sum += (in[at] - layer->input_zero_point) * *weights;
        }
    }
    return sum;
}

typedef int32_t (*sum_fn)(const sf_conv2d_t *layer, const int8_t *in, int32_t top, int32_t left,
                          uint32_t channel);

static sf_status_t run(const sf_conv2d_t *layer, const int8_t *in, int8_t *out, sum_fn sum) {
    const sf_window_t *win = &layer->window;
    for (int32_t oy = 0; oy < layer->out.h; oy++) {
        const int32_t top = oy * win->stride_h - win->pad_top;
        for (int32_t ox = 0; ox < layer->out.w; ox++) {
            const int32_t left = ox * win->stride_w - win->pad_left;
            for (uint32_t c = 0; c < layer->out.c; c++) {
                const int32_t value =
                    sf_requantise(sum(layer, in, top, left, c), layer->multiplier[c], layer->shift[c]);
                *out++ = sf_clamp_int8(value + layer->output_zero_point, layer->act_min, layer->act_max);
            }
        }
    }
    return SF_OK;
}

sf_status_t sf_conv2d(const sf_conv2d_t *layer, const int8_t *in, int8_t *out) {
    return run(layer, in, out, conv_sum);
}

sf_status_t sf_depthwise_conv2d(const sf_conv2d_t *layer, const int8_t *in, int8_t *out) {
    return run(layer, in, out, depthwise_sum);
}
