/* Whole-number arithmetic of the tokens' stage. */
#ifndef SEMFLASH_TOKEN_MATH_H
#define SEMFLASH_TOKEN_MATH_H

#include <stdint.h>
#include <string.h>

#define SF_NORM_BITS    11u
#define SF_ATTENDED_MAX 4095
#define SF_VALUE_BITS   15
#define SF_GAIN_BITS    11u
#define SF_VALUE_GAIN   57926 /* 40 / sqrt(2) in Q11 */

/* Two values of 16 bits, the first in the low half. */
static inline uint32_t sf_halfwords(const int16_t *values) {
    uint32_t word;
    memcpy(&word, values, sizeof word);
    return word;
}

static inline int32_t sf_within(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : value;
}

/* sum * multiplier / 2^shift, halves up; shift is 33 or more, so the low word decides nothing. */
static inline int32_t sf_rescale(int32_t sum, int32_t multiplier, uint32_t shift) {
    const int32_t high = (int32_t)(((int64_t)sum * multiplier) >> 32);
    return (high + ((int32_t)1 << (shift - 33u))) >> (shift - 32u);
}

static inline int32_t sf_floor_divide(int32_t value, int32_t by) {
    const int32_t quotient = value / by;
    return value % by < 0 ? quotient - 1 : quotient;
}

static inline uint32_t sf_bit_length(uint32_t value) {
    return value == 0u ? 0u : 32u - (uint32_t)__builtin_clz(value);
}

/* 2^32 over a number of 2 or more, rounded down. */
static inline uint32_t sf_inverse(uint32_t value) {
    const uint32_t quotient = UINT32_MAX / value;
    return UINT32_MAX % value + 1u == value ? quotient + 1u : quotient;
}

/* The whole root of a number from 2^30 on, digit by digit. */
static inline uint32_t sf_root(uint32_t value) {
    uint32_t root = 0;
    for (uint32_t bit = (uint32_t)1 << 30; bit > 0u; bit >>= 2) {
        if (value >= root + bit) {
            value -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return root;
}

/* R and the exponent e, so that 1 / sqrt(variance) is about R 2^e / 2^32; a variance of 0 counts as 1. */
static inline int32_t sf_inverse_deviation(uint32_t variance, uint32_t *exponent) {
    const uint32_t sound = variance == 0u ? 1u : variance;
    const uint32_t e = (32u - sf_bit_length(sound)) / 2u;
    *exponent = e;
    return (int32_t)(UINT32_MAX / sf_root(sound << (2u * e)));
}

#endif
