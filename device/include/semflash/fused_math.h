/* Arithmetic shared by the plain C kernels of the streaming engine: DSP instructions or their meaning in C. */
#ifndef SEMFLASH_FUSED_MATH_H
#define SEMFLASH_FUSED_MATH_H

#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#endif

/* A word at any address; reads up to 3 bytes more than asked for where a row is not a multiple of 4. */
static inline uint32_t sf_word(const uint8_t *bytes) {
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static inline void sf_put_word(uint8_t *bytes, uint32_t word) {
    memcpy(bytes, &word, sizeof word);
}

/* Bytes 0 and 2, bytes 1 and 3, as unsigned halfwords. */
static inline uint32_t sf_even(uint32_t word) {
    return word & 0x00FF00FFu;
}

static inline uint32_t sf_odd(uint32_t word) {
    return (word >> 8) & 0x00FF00FFu;
}

static inline uint32_t sf_pair_low(uint32_t a, uint32_t b) { /* low halves: a below, b above */
    return (a & 0xFFFFu) | (b << 16);
}

static inline uint32_t sf_pair_high(uint32_t a, uint32_t b) {
    return (a >> 16) | (b & 0xFFFF0000u);
}

#if defined(__ARM_FEATURE_DSP)
static inline uint32_t sf_signed_even(uint32_t word) {
    return (uint32_t)__sxtb16((int8x4_t)word);
}

static inline uint32_t sf_signed_odd(uint32_t word) { /* bytes 1 and 3; GCC leaves the shift a step of its own */
    uint32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}

static inline int32_t sf_multiply_add(uint32_t a, uint32_t w, int32_t sum) {
    return __smlad((int16x2_t)a, (int16x2_t)w, sum);
}

static inline uint32_t sf_add_pairs(uint32_t a, uint32_t b) { /* both halfwords, without carry */
    return (uint32_t)__sadd16((int16x2_t)a, (int16x2_t)b);
}

static inline uint32_t sf_max4(uint32_t a, uint32_t b) {
    (void)__usub8(a, b);
    return __sel(a, b);
}

static inline int32_t sf_byte(int32_t value) {
    return (int32_t)__usat(value, 8);
}
#else
static inline uint32_t sf_signed_even(uint32_t word) {
    const uint32_t low = (uint32_t)(int32_t)(int8_t)(uint8_t)word & 0xFFFFu;
    return low | ((uint32_t)(int32_t)(int8_t)(uint8_t)(word >> 16) << 16);
}

static inline uint32_t sf_signed_odd(uint32_t word) {
    return sf_signed_even(word >> 8);
}

static inline int32_t sf_multiply_add(uint32_t a, uint32_t w, int32_t sum) {
    const int32_t low = (int32_t)(int16_t)(uint16_t)a * (int32_t)(int16_t)(uint16_t)w;
    const int32_t high = (int32_t)(int16_t)(uint16_t)(a >> 16) * (int32_t)(int16_t)(uint16_t)(w >> 16);
    return (int32_t)((uint32_t)sum + (uint32_t)low + (uint32_t)high); /* wraps, as the instruction does */
}

static inline uint32_t sf_add_pairs(uint32_t a, uint32_t b) { /* both halfwords, without carry */
    return ((a + b) & 0xFFFFu) | (((a & 0xFFFF0000u) + (b & 0xFFFF0000u)) & 0xFFFF0000u);
}

static inline uint32_t sf_max4(uint32_t a, uint32_t b) {
    uint32_t out = 0;
    for (uint32_t shift = 0; shift < 32u; shift += 8u) {
        const uint32_t x = (a >> shift) & 0xFFu;
        const uint32_t y = (b >> shift) & 0xFFu;
        out |= (x > y ? x : y) << shift;
    }
    return out;
}

static inline int32_t sf_byte(int32_t value) {
    return value < 0 ? 0 : value > 255 ? 255 : value;
}
#endif

/* High word of the product, plus b (SMMLA). */
static inline int32_t sf_scale(int32_t sum, int32_t multiplier, int32_t b) {
    return (int32_t)(((int64_t)sum * multiplier) >> 32) + b;
}

/* Twice a sum, scaled as TFLite does, plus r (SMMLAR); less 1 where the sum is negative and halves go down. */
static inline int32_t sf_scale_exactly(int32_t twice, int32_t multiplier, int32_t r, int is_signed) {
    const int32_t value = (int32_t)(((int64_t)twice * multiplier + ((int64_t)1 << 31)) >> 32) + r;
    return is_signed ? value + (twice >> 31) : value;
}

/* Bytes of a word, each limited to low..high. */
static inline uint32_t sf_clamp4(uint32_t word, uint32_t low, uint32_t high) {
    uint32_t out = 0;
    for (uint32_t shift = 0; shift < 32u; shift += 8u) {
        const uint32_t value = (word >> shift) & 0xFFu;
        out |= (value < low ? low : value > high ? high : value) << shift;
    }
    return out;
}

/* TFLite's MultiplyByQuantizedMultiplier with double rounding. */
static inline int32_t sf_requantise_exact(int32_t sum, int32_t multiplier, int32_t exponent) {
    const int32_t right = exponent < 0 ? -exponent : 0;
    const int64_t scaled = exponent > 0 ? (int64_t)sum * (int64_t)(1 << exponent) : (int64_t)sum;
    const int64_t product = scaled * multiplier;
    const int64_t half = 1 << 30;
    const int64_t high = (product + half) >> 31; /* equal to gemmlowp's: its halves also go up */
    const int64_t mask = ((int64_t)1 << right) - 1;
    const int64_t threshold = (mask >> 1) + (high < 0 ? 1 : 0);
    const int64_t out = (high >> right) + ((high & mask) > threshold ? 1 : 0);
    return out > INT32_MAX ? INT32_MAX : out < INT32_MIN ? INT32_MIN : (int32_t)out;
}

#endif
