/* Requantisation as TFLite-Micro does it: gemmlowp's double rounding (private to the kernels). */
#ifndef SEMFLASH_REQUANTISE_H
#define SEMFLASH_REQUANTISE_H

#include <stdint.h>

/* value * multiplier / 2^31 * 2^shift, rounded twice: to nearest (ties up) after the Q31 product, then to nearest
 * (ties away from zero) after the right shift. multiplier >= 0, -31 <= shift <= 30. */
static inline int32_t sf_requantise(int32_t value, int32_t multiplier, int32_t shift) {
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    const int64_t product = (int64_t)value * ((int64_t)1 << left) * multiplier;
    const int32_t high = (int32_t)((product + ((int64_t)1 << 30)) >> 31);
    const int32_t mask = (int32_t)(((int64_t)1 << right) - 1);
    const int32_t remainder = high & mask;
    const int32_t threshold = (mask >> 1) + (high < 0 ? 1 : 0);
    return (high >> right) + (remainder > threshold ? 1 : 0);
}

static inline int8_t sf_clamp_int8(int32_t value, int32_t low, int32_t high) {
    if (value < low) {
        value = low;
    }
    if (value > high) {
        value = high;
    }
    return (int8_t)value;
}

#endif
