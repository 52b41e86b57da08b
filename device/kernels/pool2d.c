/* MAX_POOL_2D and AVERAGE_POOL_2D in plain C. */
#include "requantise.h"
#include "semflash/kernels.h"

/* The part of a window that lies inside the image: rows [y0, y1), columns [x0, x1). */
typedef struct span {
    int32_t y0, y1, x0, x1;
} span_t;

static span_t clip(const sf_pool2d_t *layer, int32_t oy, int32_t ox) {
    const sf_window_t *win = &layer->window;
    span_t s = {.y0 = oy * win->stride_h - win->pad_top, .x0 = ox * win->stride_w - win->pad_left};
    s.y1 = s.y0 + win->h < layer->in.h ? s.y0 + win->h : layer->in.h;
    s.x1 = s.x0 + win->w < layer->in.w ? s.x0 + win->w : layer->in.w;
    s.y0 = s.y0 > 0 ? s.y0 : 0;
    s.x0 = s.x0 > 0 ? s.x0 : 0;
    return s;
}

static int32_t largest(const sf_pool2d_t *layer, const int8_t *in, span_t s, uint32_t c) {
    int32_t best = INT8_MIN;
    for (int32_t y = s.y0; y < s.y1; y++) {
        for (int32_t x = s.x0; x < s.x1; x++) {
            const int8_t value = in[((uint32_t)y * layer->in.w + (uint32_t)x) * layer->in.c + c];
            best = value > best ? value : best;
        }
    }
    return best;
}

static int32_t average(const sf_pool2d_t *layer, const int8_t *in, span_t s, uint32_t c) {
    const int32_t count = (s.y1 - s.y0) * (s.x1 - s.x0);
    int32_t sum = 0;
    for (int32_t y = s.y0; y < s.y1; y++) {
        for (int32_t x = s.x0; x < s.x1; x++) {
            sum += in[((uint32_t)y * layer->in.w + (uint32_t)x) * layer->in.c + c];
        }
    }
    return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

typedef int32_t (*reduce_fn)(const sf_pool2d_t *layer, const int8_t *in, span_t s, uint32_t c);

static sf_status_t run(const sf_pool2d_t *layer, const int8_t *in, int8_t *out, reduce_fn reduce) {
    for (int32_t oy = 0; oy < layer->out.h; oy++) {
        for (int32_t ox = 0; ox < layer->out.w; ox++) {
            const span_t s = clip(layer, oy, ox);
            if (s.y0 >= s.y1 || s.x0 >= s.x1) {
                return SF_ERR_KERNEL; /* a window without a pixel: the generator never plans one */
            }
            for (uint32_t c = 0; c < layer->in.c; c++) {
                *out++ = sf_clamp_int8(reduce(layer, in, s, c), layer->act_min, layer->act_max);
            }
        }
    }
    return SF_OK;
}

sf_status_t sf_max_pool2d(const sf_pool2d_t *layer, const int8_t *in, int8_t *out) {
    return run(layer, in, out, largest);
}

sf_status_t sf_average_pool2d(const sf_pool2d_t *layer, const int8_t *in, int8_t *out) {
    return run(layer, in, out, average);
}
