/* CONCATENATION in plain C. */
#include <string.h>

#include "semflash/kernels.h"

sf_status_t sf_concatenation(const sf_concatenation_t *layer, const int8_t *const *inputs, int8_t *out) {
    for (uint32_t o = 0; o < layer->outer; o++) {
        for (uint32_t i = 0; i < layer->count; i++) {
            const size_t run = (size_t)layer->runs[i];
            memcpy(out, inputs[i] + o * run, run);
            out += run;
        }
    }
    return SF_OK;
}
