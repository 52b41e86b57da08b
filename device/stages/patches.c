#include "semflash/patches.h"
#include "semflash/fused_math.h"

/* The value of a pixel that a code of the background stands for. */
#define SHADE_FIRST (-121)
#define SHADE_STEP  16

/* Values of a patch as halfwords: of each word of four those at even places, then those at odd ones. */
static void spread(const sf_patches_t *patches, const int8_t *image, uint32_t patch, uint32_t *pairs) {
    const uint32_t across = (uint32_t)patches->side * patches->channels;
    const uint32_t stride = across * patches->columns;
    const int8_t *row =
        image + patch / patches->columns * stride * patches->side + patch % patches->columns * across;
    if (across % 4u == 0u) {
        for (uint32_t y = 0; y < patches->side; y++, row += stride) {
            for (uint32_t x = 0; x < across; x += 4u, pairs += 2) {
                const uint32_t four = sf_word((const uint8_t *)row + x);
                pairs[0] = sf_signed_even(four);
                pairs[1] = sf_signed_odd(four);
            }
        }
        return;
    }
    uint32_t held = 0; /* values in the word that is being filled */
    uint32_t word = 0;
    for (uint32_t y = 0; y < patches->side; y++, row += stride) {
        for (uint32_t x = 0; x < across; x++) {
            word |= (uint32_t)(uint8_t)row[x] << (8u * held);
            held++;
            if (held == 4u) {
                pairs[0] = sf_signed_even(word);
                pairs[1] = sf_signed_odd(word);
                pairs += 2;
                held = 0;
                word = 0;
            }
        }
    }
    if (held > 0u) {
        pairs[0] = sf_signed_even(word);
        pairs[1] = sf_signed_odd(word);
    }
}

static inline int32_t add_word(uint32_t even, uint32_t odd, const int8_t *weights, int32_t sum) {
    const uint32_t word = sf_word((const uint8_t *)weights);
    return sf_multiply_add(odd, sf_signed_odd(word), sf_multiply_add(even, sf_signed_even(word), sum));
}

/* This loop is most of the stage's work. */
static const int8_t *four_sums(const uint32_t *pairs, uint32_t words, const int8_t *weights, int32_t *sums) {
    int32_t a = 0;
    int32_t b = 0;
    int32_t c = 0;
    int32_t d = 0;
    for (const uint32_t *end = pairs + 2u * words; pairs < end; pairs += 2, weights += 16) {
        const uint32_t even = pairs[0];
        const uint32_t odd = pairs[1];
        a = add_word(even, odd, weights, a);
        b = add_word(even, odd, weights + 4, b);
        c = add_word(even, odd, weights + 8, c);
        d = add_word(even, odd, weights + 12, d);
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
    return weights;
}

static const int8_t *one_sum(const uint32_t *pairs, uint32_t words, const int8_t *weights, int32_t *sum) {
    int32_t total = 0;
    for (; words > 0u; words--, pairs += 2, weights += 4) {
        total = add_word(pairs[0], pairs[1], weights, total);
    }
    *sum = total;
    return weights;
}

/* From the values of a patch: the sum of coefficient i, and where i is a multiple of four of as many as lie together. */
static const int8_t *sums_from(const sf_coder_t *coder, uint32_t i, const uint32_t *pairs, uint32_t words,
                               const int8_t *weights, int32_t *sums) {
    if (i % 4u == 0u && i + 4u <= coder->coefficients) {
        return four_sums(pairs, words, weights, sums);
    }
    return i >= (coder->coefficients & ~3u) ? one_sum(pairs, words, weights, &sums[i % 4u]) : weights;
}

/* What the background adds to coefficient i. */
static int32_t of_background(const sf_coder_t *coder, uint32_t i, uint32_t channels,
                             const uint8_t *background) {
    int32_t sum = 0;
    for (uint32_t c = 0; background != NULL && c < channels; c++) {
        sum += coder->channels[i * channels + c] * (SHADE_STEP * background[c] + SHADE_FIRST);
    }
    return sum;
}

uint32_t sf_count_up_to(const int32_t *thresholds, uint32_t n, int32_t sum) {
    uint32_t low = 0;
    uint32_t high = n;
    while (low < high) {
        const uint32_t middle = (low + high) / 2u;
        if (thresholds[middle] <= sum) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
}

void sf_patch_sums(const sf_patches_t *patches, const sf_coder_t *coder, const int8_t *image, uint32_t patch,
                   const uint8_t *background, uint32_t *pairs, int32_t *sums) {
    const uint32_t words = sf_patch_words(patches);
    const int8_t *weights = coder->weights;
    int32_t four[4] = {0, 0, 0, 0};
    spread(patches, image, patch, pairs);
    for (uint32_t i = 0; i < coder->coefficients; i++) {
        weights = sums_from(coder, i, pairs, words, weights, four);
        sums[i] = four[i % 4u] - of_background(coder, i, patches->channels, background);
    }
}

void sf_patch_codes(const sf_patches_t *patches, const sf_coder_t *coder, const int8_t *image, uint32_t patch,
                    const uint8_t *background, uint32_t *pairs, uint8_t *codes) {
    const uint32_t words = sf_patch_words(patches);
    const int8_t *weights = coder->weights;
    const int32_t *thresholds = coder->thresholds;
    const uint8_t *end = codes + coder->bytes;
    uint32_t accumulator = 0;
    uint32_t held = 0; /* bits that are no whole byte yet */
    int32_t sums[4] = {0, 0, 0, 0};
    spread(patches, image, patch, pairs);
    for (uint32_t i = 0; i < coder->coefficients; i++) {
        weights = sums_from(coder, i, pairs, words, weights, sums);
        const int32_t sum = sums[i % 4u] - of_background(coder, i, patches->channels, background);
        const uint32_t bits = coder->bits[i];
        const uint32_t steps = (1u << bits) - 1u;
        accumulator = accumulator << bits | sf_count_up_to(thresholds, steps, sum);
        thresholds += steps;
        held += bits;
        if (held >= 8u && codes < end) {
            held -= 8u;
            *codes = (uint8_t)(accumulator >> held);
            codes++;
        }
    }
}
