#include "semflash/fused_math.h"
#include "semflash/patches.h"

#define STEPS_OF_MEAN 16u
/* Luminance in 256ths: of red and blue as a pair, of green. */
#define RED_AND_BLUE (77u | 29u << 16)
#define GREEN        150
#define ROUNDING     128

/* What is summed over a patch: its luminance, and its channels over the whole image. */
typedef struct sums {
    int32_t bright;
    uint32_t squares; /* of at most 256 pixels of 128, times 256: below 2^31 */
    int32_t channel[SF_ALSO_ITEMS_MAX];
} sums_t;

static inline int32_t low(uint32_t pair) {
    return (int16_t)(uint16_t)pair;
}

static inline int32_t high(uint32_t pair) {
    return (int16_t)(uint16_t)(pair >> 16);
}

static inline void add_bright(sums_t *sums, uint32_t red_and_blue, int32_t green) {
    const int32_t bright = sf_multiply_add(red_and_blue, RED_AND_BLUE, GREEN * green + ROUNDING) >> 8;
    sums->bright += bright;
    sums->squares += (uint32_t)(bright * bright);
}

/* Four pixels of three channels a turn: R G B R, G B R G, B R G B. This loop is most of the stage's work. */
static void add_colours(sums_t *sums, const uint8_t *row, uint32_t side, uint32_t stride) {
    uint32_t red_blue = 0; /* halfwords: at most 2 x 64 values of 128 each */
    uint32_t green_red = 0;
    uint32_t blue_green = 0;
    for (uint32_t y = 0; y < side; y++, row += stride) {
        for (const uint8_t *at = row; at < row + 3u * side; at += 12) {
            const uint32_t first = sf_word(at);
            const uint32_t second = sf_word(at + 4);
            const uint32_t third = sf_word(at + 8);
            const uint32_t r0b0 = sf_signed_even(first);
            const uint32_t g0r1 = sf_signed_odd(first);
            const uint32_t g1r2 = sf_signed_even(second);
            const uint32_t b1g2 = sf_signed_odd(second);
            const uint32_t b2g3 = sf_signed_even(third);
            const uint32_t r3b3 = sf_signed_odd(third);
            red_blue = sf_add_pairs(sf_add_pairs(red_blue, r0b0), r3b3);
            green_red = sf_add_pairs(sf_add_pairs(green_red, g0r1), g1r2);
            blue_green = sf_add_pairs(sf_add_pairs(blue_green, b1g2), b2g3);
            add_bright(sums, r0b0, low(g0r1));
            add_bright(sums, sf_pair_low(g0r1 >> 16, b1g2), low(g1r2));
            add_bright(sums, sf_pair_low(g1r2 >> 16, b2g3), high(b1g2));
            add_bright(sums, r3b3, high(b2g3));
        }
    }
    sums->channel[0] += low(red_blue) + high(green_red);
    sums->channel[1] += low(green_red) + high(blue_green);
    sums->channel[2] += high(red_blue) + low(blue_green);
}

/* Any number of channels; only one and three have a luminance. */
static void add_pixels(sums_t *sums, const int8_t *row, uint32_t side, uint32_t stride, uint32_t channels) {
    for (uint32_t y = 0; y < side; y++, row += stride) {
        const int8_t *pixel = row;
        for (uint32_t x = 0; x < side; x++, pixel += channels) {
            for (uint32_t c = 0; c < channels; c++) {
                sums->channel[c] += pixel[c];
            }
            if (channels == 3u) {
                add_bright(sums, sf_pair_low((uint32_t)pixel[0], (uint32_t)pixel[2]), pixel[1]);
            } else {
                sums->bright += pixel[0];
                sums->squares += (uint32_t)(pixel[0] * pixel[0]);
            }
        }
    }
}

void sf_select_weights(const sf_select_t *select, const int8_t *scores, const int8_t *image,
                       uint32_t *weights, uint8_t *background) {
    const uint32_t places = (uint32_t)select->rows * select->columns;
    const uint32_t pixels = (uint32_t)select->side * select->side;
    const uint32_t across = (uint32_t)select->side * select->channels;
    const uint32_t stride = across * select->columns;
    int32_t largest = select->absolute != 0u ? INT8_MAX : INT8_MIN;
    for (uint32_t p = 0; p < places; p++) {
        largest = scores[p] > largest ? scores[p] : largest;
    }
    sums_t sums = {0};
    for (uint32_t p = 0; p < places; p++) {
        const int8_t *patch =
            image + p / select->columns * stride * select->side + p % select->columns * across;
        sums.bright = 0;
        sums.squares = 0;
        if (select->channels == 3u && select->side % 4u == 0u) {
            add_colours(&sums, (const uint8_t *)patch, select->side, stride);
        } else {
            add_pixels(&sums, patch, select->side, stride, select->channels);
        }
        weights[p] = select->table[largest - scores[p]];
        if (select->contrast != 0u) {
            const uint32_t spread = pixels * sums.squares - (uint32_t)(sums.bright * sums.bright);
            weights[p] *= spread / (pixels * pixels) + 1u;
        }
    }
    for (uint32_t c = 0; c < select->channels; c++) {
        const uint32_t total = (uint32_t)sums.channel[c] + 128u * pixels * places;
        background[c] = (uint8_t)(total / (STEPS_OF_MEAN * pixels * places));
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
static uint32_t worthiest(const sf_select_t *select, uint32_t places, uint32_t upgrades,
                          const uint32_t *ranked, const uint8_t *counts, const uint8_t *fits) {
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
