/* RESIZE_BILINEAR in integers. */
#include "semflash/kernels.h"

#define ONE 1024 /* weights have 10 fraction bits */

/* Where an output position falls between two input positions. */
typedef struct place {
    int32_t low, high; /* input positions */
    int32_t weight;    /* of `high`; ONE - weight is that of `low` */
} place_t;

static place_t find(int32_t position, int32_t scale, int32_t offset, int32_t size) {
    const int32_t scaled = position * scale + offset;
    place_t p = {.low = scaled / ONE, .high = (scaled + ONE - 1) / ONE};
    p.low = p.low > 0 ? p.low : 0;
    p.high = p.high < size ? p.high : size - 1;
    p.weight = scaled - p.low * ONE;
    return p;
}

static void row(const sf_resize_t *layer, const int8_t *in, place_t y, int8_t *out) {
    const uint32_t depth = layer->in.c;
    const int8_t *upper = in + (uint32_t)y.low * layer->in.w * depth;
    const int8_t *lower = in + (uint32_t)y.high * layer->in.w * depth;
    for (int32_t column = 0; column < layer->out.w; column++) {
        const place_t x = find(column, layer->scale_w, layer->offset_w, layer->in.w);
        const uint32_t left = (uint32_t)x.low * depth;
        const uint32_t right = (uint32_t)x.high * depth;
        for (uint32_t c = 0; c < depth; c++) {
            const int32_t top = upper[left + c] * (ONE - x.weight) + upper[right + c] * x.weight;
            const int32_t bottom = lower[left + c] * (ONE - x.weight) + lower[right + c] * x.weight;
            const int32_t sum = top * (ONE - y.weight) + bottom * y.weight;
            const int32_t half = sum > 0 ? ONE * ONE / 2 : -(ONE * ONE / 2);
            *out++ = (int8_t)((sum + half) / (ONE * ONE));
        }
    }
}

sf_status_t sf_resize_bilinear(const sf_resize_t *layer, const int8_t *in, int8_t *out) {
    const uint32_t out_row = (uint32_t)layer->out.w * layer->out.c;
    for (int32_t y = 0; y < layer->out.h; y++) {
        const place_t place = find(y, layer->scale_h, layer->offset_h, layer->in.h);
        row(layer, in, place, out + (uint32_t)y * out_row);
    }
    return SF_OK;
}
