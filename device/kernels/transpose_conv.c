/* TRANSPOSE_CONV in plain C. Gathers: each output pixel sums the input pixels that reach it, so no scratch is needed. */
#include "requantise.h"
#include "semflash/kernels.h"

/* Sum over the input pixels (y, x) and kernel taps (ky, kx) with y * stride + ky - pad == the output's row, and the
 * same for columns. oy and ox count from the first padded row and column. */
static int32_t gather(const sf_conv2d_t *layer, const int8_t *in, int32_t oy, int32_t ox, uint32_t channel) {
    const sf_window_t *win = &layer->window;
    const uint32_t depth = layer->in.c;
    const int8_t *weights = layer->weights + (uint32_t)win->h * win->w * depth * channel;
    int32_t sum = layer->bias[channel];
    for (int32_t ky = oy % win->stride_h; ky < win->h && ky <= oy; ky += win->stride_h) {
        const int32_t y = (oy - ky) / win->stride_h;
        for (int32_t kx = ox % win->stride_w; kx < win->w && kx <= ox; kx += win->stride_w) {
            const int32_t x = (ox - kx) / win->stride_w;
            if (y >= layer->in.h || x >= layer->in.w) {
                continue;
            }
            const int8_t *pixel = in + ((uint32_t)y * layer->in.w + (uint32_t)x) * depth;
            const int8_t *tap = weights + ((uint32_t)ky * win->w + (uint32_t)kx) * depth;
            for (uint32_t i = 0; i < depth; i++) {
                sum += (pixel[i] - layer->input_zero_point) * tap[i];
            }
        }
    }
    return sum;
}

sf_status_t sf_transpose_conv2d(const sf_conv2d_t *layer, const int8_t *in, int8_t *out) {
    for (int32_t y = 0; y < layer->out.h; y++) {
        for (int32_t x = 0; x < layer->out.w; x++) {
            for (uint32_t c = 0; c < layer->out.c; c++) {
                const int32_t sum =
                    gather(layer, in, y + layer->window.pad_top, x + layer->window.pad_left, c);
                const int32_t value = sf_requantise(sum, layer->multiplier[c], layer->shift[c]);
                *out++ = sf_clamp_int8(value + layer->output_zero_point, layer->act_min, layer->act_max);
            }
        }
    }
    return SF_OK;
}
