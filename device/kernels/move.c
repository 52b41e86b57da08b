/* Values that move without arithmetic: STRIDED_SLICE, SLICE, SPLIT, TRANSPOSE, TILE, DEPTH_TO_SPACE, SPACE_TO_DEPTH. */
#include <string.h>

#include "semflash/kernels.h"

#define OUTER (SF_MOVE_RANK - 1)

/* One innermost run. */
static void copy_run(const int8_t *in, int32_t stride, int8_t *out, uint32_t count) {
    if (stride == 1) {
        memcpy(out, in, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        out[i] = in[(int32_t)i * stride];
    }
}

/* The next index of the outer dimensions, and how far the input moves with it; false behind the last one. */
static bool advance(const sf_move_t *layer, uint32_t index[OUTER], int32_t *position) {
    for (uint32_t d = OUTER; d-- > 0;) {
        *position += layer->strides[d];
        index[d]++;
        if (index[d] < layer->counts[d]) {
            return true;
        }
        *position -= (int32_t)layer->counts[d] * layer->strides[d];
        index[d] = 0;
    }
    return false;
}

sf_status_t sf_move(const sf_move_t *layer, const int8_t *in, int8_t *out) {
    const uint32_t run = layer->counts[OUTER];
    uint32_t index[OUTER] = {0};
    int32_t position = layer->first;
    do {
        copy_run(in + position, layer->strides[OUTER], out, run);
        out += run;
    } while (advance(layer, index, &position));
    return SF_OK;
}
