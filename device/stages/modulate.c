#include "../kernels/requantise.h"
#include "semflash/stages.h"

void sf_modulate_position(const sf_modulate_t *modulate, const int8_t *values, int8_t *out) {
    for (uint32_t c = 0; c < modulate->channels; c++) {
        const int32_t sum = modulate->multiplier[c] * values[c] + modulate->offset[c];
        out[c] = sf_clamp_int8(sum >> modulate->shift, INT8_MIN, INT8_MAX);
    }
}
