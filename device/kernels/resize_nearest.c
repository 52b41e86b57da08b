/* RESIZE_NEAREST_NEIGHBOR: the generator computes which row and column every output position takes. */
#include <string.h>

#include "semflash/kernels.h"

sf_status_t sf_resize_nearest(const sf_resize_nearest_t *layer, const int8_t *in, int8_t *out) {
    const uint32_t depth = layer->in.c;
    const uint32_t row_bytes = (uint32_t)layer->out.w * depth;
    for (uint32_t y = 0; y < layer->out.h; y++, out += row_bytes) {
        if (y > 0 && layer->rows[y] == layer->rows[y - 1]) {
            memcpy(out, out - row_bytes, row_bytes);
            continue;
        }
        const int8_t *source = in + (uint32_t)layer->rows[y] * layer->in.w * depth;
        for (uint32_t x = 0; x < layer->out.w; x++) {
            memcpy(out + x * depth, source + layer->columns[x] * depth, depth);
        }
    }
    return SF_OK;
}
