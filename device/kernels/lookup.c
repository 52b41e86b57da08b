/* Functions of one value as a table (RSQRT and its like). */
#include "semflash/kernels.h"

sf_status_t sf_lookup(const sf_lookup_t *layer, const int8_t *in, int8_t *out) {
    for (uint32_t i = 0; i < layer->size; i++) {
        if (in[i] < layer->lowest) {
            return SF_ERR_KERNEL;
        }
        out[i] = layer->table[in[i] - INT8_MIN];
    }
    return SF_OK;
}
