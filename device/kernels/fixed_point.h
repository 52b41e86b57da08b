/* 32-bit fixed-point arithmetic with gemmlowp's rounding (private to the kernels).
 *
 * A Q<m> number has m integer bits and 31 - m fraction bits: real = raw / 2^(31 - m). The product of a Q<a> and a
 * Q<b> number is a Q<a + b> number. Source of the rounding: gemmlowp, fixedpoint/fixedpoint.h.
 */
#ifndef SEMFLASH_FIXED_POINT_H
#define SEMFLASH_FIXED_POINT_H

#include <stdint.h>

/* a * b / 2^31 to nearest, halves up. The one product that leaves int32 (-1 * -1) saturates. */
static inline int32_t sf_multiply_high(int32_t a, int32_t b) {
    if (a == INT32_MIN && b == INT32_MIN) {
        return INT32_MAX;
    }
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/* value / 2^shift to nearest, halves away from zero; 0 <= shift <= 31. */
static inline int32_t sf_shift_right(int32_t value, int32_t shift) {
    const int32_t mask = (int32_t)((INT64_C(1) << shift) - 1);
    const int32_t remainder = value & mask;
    const int32_t threshold = (mask >> 1) + (value < 0 ? 1 : 0);
    return (value >> shift) + (remainder > threshold ? 1 : 0);
}

/* value * 2^shift, saturated; 0 <= shift <= 30. */
static inline int32_t sf_shift_left(int32_t value, int32_t shift) {
    const int32_t limit = (int32_t)((INT64_C(1) << (31 - shift)) - 1);
    if (value > limit) {
        return INT32_MAX;
    }
    return value < -limit ? INT32_MIN : (int32_t)((int64_t)value * (INT64_C(1) << shift));
}

#endif
