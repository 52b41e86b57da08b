/* PAD and PADV2 in plain C. */
#include <string.h>

#include "semflash/kernels.h"

sf_status_t sf_pad(const sf_pad_t *layer, const int8_t *in, int8_t *out) {
    const uint32_t in_row = (uint32_t)layer->in.w * layer->in.c;
    const uint32_t out_row = (uint32_t)layer->out.w * layer->out.c;
    if (layer->top + layer->in.h > layer->out.h || layer->left + layer->in.w > layer->out.w ||
        layer->front + layer->in.c > layer->out.c) {
        return SF_ERR_KERNEL;
    }
    memset(out, layer->value, (size_t)out_row * layer->out.h);
    for (uint32_t y = 0; y < layer->in.h; y++) {
        int8_t *target =
            out + (y + layer->top) * out_row + (uint32_t)layer->left * layer->out.c + layer->front;
        const int8_t *source = in + y * in_row;
        for (uint32_t x = 0; x < layer->in.w; x++, target += layer->out.c, source += layer->in.c) {
            memcpy(target, source, layer->in.c);
        }
    }
    return SF_OK;
}
