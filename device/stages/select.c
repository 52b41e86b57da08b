#include "semflash/patches.h"

#define LUMINANCE_BITS 8u
#define STEPS_OF_MEAN  16u

static int32_t luminance(const int8_t *pixel, uint32_t channels) {
    if (channels == 1u) {
        return pixel[0];
    }
    return (77 * pixel[0] + 150 * pixel[1] + 29 * pixel[2] + (1 << (LUMINANCE_BITS - 1u))) >> LUMINANCE_BITS;
}

/* Variance of a patch's luminance, rounded down. Sums of at most 256 squares of 128 times 256 are below 2^31. */
static uint32_t contrast(const sf_select_t *select, const int8_t *patch) {
    const uint32_t side = select->side;
    const uint32_t channels = select->channels;
    const uint32_t stride = select->columns * side * channels;
    int32_t sum = 0;
    uint32_t squares = 0;
    for (uint32_t y = 0; y < side; y++, patch += stride) {
        const int8_t *pixel = patch;
        for (uint32_t x = 0; x < side; x++, pixel += channels) {
            const int32_t bright = luminance(pixel, channels);
            sum += bright;
            squares += (uint32_t)(bright * bright);
        }
    }
    const uint32_t pixels = side * side;
    return (pixels * squares - (uint32_t)(sum * sum)) / (pixels * pixels);
}

void sf_select_weights(const sf_select_t *select, const int8_t *scores, const int8_t *image,
                       uint32_t *weights) {
    const uint32_t places = (uint32_t)select->rows * select->columns;
    int32_t largest = INT8_MIN;
    for (uint32_t p = 0; p < places; p++) {
        largest = scores[p] > largest ? scores[p] : largest;
    }
    const uint32_t across = (uint32_t)select->side * select->channels;
    const uint32_t down = across * select->side * select->columns;
    for (uint32_t p = 0; p < places; p++) {
        weights[p] = select->table[largest - scores[p]];
        if (select->contrast != 0u) {
            const int8_t *patch = image + p / select->columns * down + p % select->columns * across;
            weights[p] *= contrast(select, patch) + 1u;
        }
    }
}

void sf_select_background(const sf_select_t *select, const int8_t *image, uint8_t *background) {
    const uint32_t channels = select->channels;
    const uint32_t pixels = (uint32_t)select->rows * select->columns * select->side * select->side;
    for (uint32_t c = 0; c < channels; c++) {
        const int8_t *value = image + c;
        int32_t sum = 0;
        for (uint32_t i = 0; i < pixels; i++, value += channels) {
            sum += *value;
        }
        background[c] = (uint8_t)(((uint32_t)sum + 128u * pixels) / (STEPS_OF_MEAN * pixels));
    }
}

/* Patches by falling weight, and their weights; of equal ones the first comes first. */
static void sort(const uint32_t *weights, uint32_t places, uint8_t *order, uint32_t *ranked) {
    for (uint32_t p = 0; p < places; p++) {
        uint32_t at = p;
        while (at > 0u && ranked[at - 1u] < weights[p]) {
            ranked[at] = ranked[at - 1u];
            order[at] = order[at - 1u];
            at--;
        }
        ranked[at] = weights[p];
        order[at] = (uint8_t)p;
    }
}

/* The worthiest upgrade: its level less 1. fits: NULL, or which upgrades may be made; none: levels - 1. */
static uint32_t worthiest(const sf_select_t *select, uint32_t places, uint32_t upgrades, const uint32_t *ranked,
                          const uint8_t *counts, const uint8_t *fits) {
    uint32_t best = upgrades;
    uint64_t worth = 0;
    uint32_t before = places;
    for (uint32_t j = 0; j < upgrades; j++) {
        if (counts[j] < before && (fits == NULL || fits[j] != 0u)) {
            const uint64_t own = (uint64_t)ranked[counts[j]] * select->gains[j];
            if (best == upgrades || own > worth) {
                best = j;
                worth = own;
            }
        }
        before = counts[j];
    }
    return best;
}

static void copy(const uint8_t *from, uint32_t n, uint8_t *to) {
    for (uint32_t i = 0; i < n; i++) {
        to[i] = from[i];
    }
}

/* The last counts that fit, of those on the way of the worthiest upgrades. */
static void furthest(const sf_select_t *select, const sf_head_t *head, const uint32_t *ranked,
                     uint32_t room_bits, int protect, uint8_t *best) {
    const uint32_t upgrades = head->levels - 1u;
    uint8_t counts[SF_MAP_LEVELS_MAX - 1u] = {0};
    uint32_t body = sf_head_payload_bits(head, counts, protect); /* with the smallest head */
    copy(counts, upgrades, best);
    for (;;) {
        const uint32_t next = worthiest(select, head->places, upgrades, ranked, counts, NULL);
        if (next == upgrades) {
            return;
        }
        counts[next]++;
        body += (uint32_t)head->level_bits[next + 1u] - head->level_bits[next];
        if (body > room_bits) {
            return; /* what follows is larger */
        }
        if (sf_head_payload_bits(head, counts, protect) <= room_bits) {
            copy(counts, upgrades, best);
        }
    }
}

/* The worthiest upgrades that fit, until none does. */
static void fill(const sf_select_t *select, const sf_head_t *head, const uint32_t *ranked, uint32_t room_bits,
                 int protect, uint8_t *counts) {
    const uint32_t upgrades = head->levels - 1u;
    for (;;) {
        uint8_t fits[SF_MAP_LEVELS_MAX - 1u];
        for (uint32_t j = 0; j < upgrades; j++) {
            const uint32_t before = j == 0u ? head->places : counts[j - 1u];
            fits[j] = 0;
            if (counts[j] < before) {
                counts[j]++;
                fits[j] = sf_head_payload_bits(head, counts, protect) <= room_bits;
                counts[j]--;
            }
        }
        const uint32_t next = worthiest(select, head->places, upgrades, ranked, counts, fits);
        if (next == upgrades) {
            return;
        }
        counts[next]++;
    }
}

void sf_select_levels(const sf_select_t *select, const sf_head_t *head, const uint32_t *weights,
                      uint32_t room_bits, int protect, uint8_t *levels) {
    uint32_t ranked[SF_PLACES_MAX];
    uint8_t order[SF_PLACES_MAX];
    uint8_t counts[SF_MAP_LEVELS_MAX - 1u];
    sort(weights, head->places, order, ranked);
    furthest(select, head, ranked, room_bits, protect, counts);
    fill(select, head, ranked, room_bits, protect, counts);
    for (uint32_t r = 0; r < head->places; r++) {
        uint8_t level = 0;
        while (level < head->levels - 1u && r < counts[level]) {
            level++;
        }
        levels[order[r]] = level;
    }
}
