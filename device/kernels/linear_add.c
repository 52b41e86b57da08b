/* ADD by one linear form of the inputs (semflash_codegen's operators/linear_add.py searches and checks it). */
#include "semflash/fused_math.h"
#include "semflash/kernels.h"

static inline uint32_t sum(const sf_linear_add_t *layer, uint32_t a, uint32_t b) {
    return (uint32_t)sf_byte((layer->a * (int32_t)a + layer->b * (int32_t)b + layer->c) >> layer->shift);
}

static inline uint32_t limited(const sf_linear_add_t *layer, uint32_t value) {
    return value < layer->low ? layer->low : value > layer->high ? layer->high : value;
}

sf_status_t sf_linear_add(const sf_linear_add_t *layer, const int8_t *a, const int8_t *b, int8_t *out) {
    const uint8_t *in_a = (const uint8_t *)a;
    const uint8_t *in_b = (const uint8_t *)b;
    uint8_t *to = (uint8_t *)out;
    const sf_linear_add_t form = *layer; /* the compiler need not fear that `out` lies over it */
    const int bounded = form.low != 0u || form.high != 255u;
    uint32_t n = form.size;
    for (; n >= 4u; n -= 4u, in_a += 4, in_b += 4, to += 4) {
        const uint32_t x = sf_word(in_a) ^ 0x80808080u;
        const uint32_t y = sf_word(in_b) ^ 0x80808080u;
        uint32_t first = sum(&form, x & 0xFFu, y & 0xFFu);
        uint32_t second = sum(&form, (x >> 8) & 0xFFu, (y >> 8) & 0xFFu);
        uint32_t third = sum(&form, (x >> 16) & 0xFFu, (y >> 16) & 0xFFu);
        uint32_t fourth = sum(&form, x >> 24, y >> 24);
        if (bounded) {
            first = limited(&form, first);
            second = limited(&form, second);
            third = limited(&form, third);
            fourth = limited(&form, fourth);
        }
        sf_put_word(to, (first | (second << 8) | (third << 16) | (fourth << 24)) ^ 0x80808080u);
    }
    for (; n > 0u; n--) {
        *to++ = (uint8_t)(limited(&form, sum(&form, *in_a++ ^ 0x80u, *in_b++ ^ 0x80u)) ^ 0x80u);
    }
    return SF_OK;
}
