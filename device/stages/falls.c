#include "semflash/patches.h"

#define SCALE_BITS 22
#define SIZE_MAX_Q 16383 /* of a coefficient, quarters of a pixel value */
#define FALL_MAX   INT32_MAX

/* A coefficient in quarters of a pixel value. */
static int32_t size_of(int32_t sum, uint16_t scale) {
    const int64_t size = ((int64_t)sum * scale + ((int64_t)1 << (SCALE_BITS - 1))) >> SCALE_BITS;
    const int64_t most = size > SIZE_MAX_Q ? SIZE_MAX_Q : size;
    return (int32_t)(most < -SIZE_MAX_Q ? -SIZE_MAX_Q : most);
}

static int32_t limited(int64_t fall) {
    const int64_t most = fall > FALL_MAX ? FALL_MAX : fall;
    return (int32_t)(most < -FALL_MAX ? -FALL_MAX : most);
}

/* Slopes of the least concave line above points[steps + 1], rounded down, not negative. */
static void concave(const int32_t *points, uint32_t steps, const uint16_t *level_bits, uint32_t *slopes) {
    for (uint32_t j = 0; j < steps; j++) {
        slopes[j] = FALL_MAX;
    }
    for (uint32_t start = 0; start < steps; start++) {
        uint32_t steepest = 0;
        for (uint32_t end = steps; end > start; end--) {
            if (points[end] > points[start]) {
                const uint32_t rise = (uint32_t)points[end] - (uint32_t)points[start];
                const uint32_t slope = rise / ((uint32_t)level_bits[end] - level_bits[start]);
                steepest = slope > steepest ? slope : steepest;
            }
            if (steepest < slopes[end - 1u]) {
                slopes[end - 1u] = steepest;
            }
        }
    }
}

void sf_patch_slopes(const sf_falls_t *falls, const sf_patches_t *patches, const uint16_t *level_bits,
                     const int8_t *image, uint32_t patch, const uint8_t *background, uint32_t *pairs,
                     uint32_t *slopes) {
    const uint32_t steps = patches->levels - 1u;
    const sf_coder_t *last = &falls->coders[steps - 1u];
    int32_t sums[SF_FALL_COEFFICIENTS_MAX];
    int16_t sizes[SF_FALL_COEFFICIENTS_MAX];
    int32_t points[SF_MAP_LEVELS_MAX] = {0};
    sf_patch_sums(patches, last, image, patch, background, pairs, sums);
    for (uint32_t k = 0; k < last->coefficients; k++) {
        sizes[k] = (int16_t)size_of(sums[k], falls->scales[k]);
    }
    const uint8_t *picks = falls->picks;
    const int16_t *centres = falls->centres;
    for (uint32_t level = 1; level <= steps; level++) {
        const sf_coder_t *coder = &falls->coders[level - 1u];
        const int32_t *thresholds = coder->thresholds;
        int64_t fall = 0;
        for (uint32_t i = 0; i < coder->coefficients; i++) {
            const uint32_t count = 1u << coder->bits[i];
            const int32_t centre = centres[sf_count_up_to(thresholds, count - 1u, sums[picks[i]])];
            fall += centre * (2 * sizes[picks[i]] - centre);
            thresholds += count - 1u;
            centres += count;
        }
        picks += coder->coefficients;
        points[level] = limited(fall);
    }
    concave(points, steps, level_bits, slopes);
}

/* What is chosen so far: levels, how many patches have at least each, and what raising each patch is worth. */
typedef struct chosen {
    uint8_t counts[SF_MAP_LEVELS_MAX - 1u];
    uint64_t worth[SF_PLACES_MAX];
} chosen_t;

static void price(chosen_t *chosen, uint32_t upgrades, const uint32_t *weights, const uint32_t *slopes,
                  const uint8_t *levels, uint32_t p) {
    if (levels[p] < upgrades) {
        chosen->worth[p] = (uint64_t)weights[p] * slopes[p * upgrades + levels[p]];
    }
}

/* The worthiest patch to raise by a level; of equal ones that of the lower level, then the first. fits: NULL, or which
 * levels may be gone up from; none: places. */
static uint32_t worthiest_patch(const chosen_t *chosen, uint32_t places, uint32_t upgrades,
                                const uint8_t *levels, const uint8_t *fits) {
    uint32_t best = places;
    for (uint32_t p = 0; p < places; p++) {
        const uint32_t level = levels[p];
        if (level < upgrades && (fits == NULL || fits[level] != 0u) &&
            (best == places || chosen->worth[p] > chosen->worth[best] ||
             (chosen->worth[p] == chosen->worth[best] && level < levels[best]))) {
            best = p;
        }
    }
    return best;
}

static void copy(const uint8_t *from, uint32_t n, uint8_t *to) {
    for (uint32_t i = 0; i < n; i++) {
        to[i] = from[i];
    }
}

void sf_select_by_slopes(const sf_head_t *head, const uint32_t *weights, const uint32_t *slopes,
                         uint32_t room_bits, int protect, uint8_t *levels) {
    const uint32_t places = head->places;
    const uint32_t upgrades = head->levels - 1u;
    chosen_t chosen = {{0}, {0}};
    uint8_t way[SF_PLACES_MAX] = {0};
    uint8_t counts[SF_MAP_LEVELS_MAX - 1u] = {0};
    uint32_t body = sf_head_payload_bits(head, counts, protect); /* with the smallest head */
    copy(way, places, levels);
    for (uint32_t p = 0; p < places; p++) {
        price(&chosen, upgrades, weights, slopes, way, p);
    }
    for (;;) { /* the last levels that fit, of those on the way of the worthiest upgrades */
        const uint32_t next = worthiest_patch(&chosen, places, upgrades, way, NULL);
        if (next == places) {
            break;
        }
        body += (uint32_t)head->level_bits[way[next] + 1u] - head->level_bits[way[next]];
        if (body > room_bits) {
            break; /* what follows is larger */
        }
        counts[way[next]]++;
        way[next]++;
        price(&chosen, upgrades, weights, slopes, way, next);
        if (sf_head_payload_bits(head, counts, protect) <= room_bits) {
            copy(way, places, levels);
            copy(counts, upgrades, chosen.counts);
        }
    }
    for (uint32_t p = 0; p < places; p++) {
        price(&chosen, upgrades, weights, slopes, levels, p);
    }
    for (;;) { /* then the worthiest upgrades that fit, until none does */
        uint8_t fits[SF_MAP_LEVELS_MAX - 1u];
        for (uint32_t j = 0; j < upgrades; j++) {
            const uint32_t before = j == 0u ? places : chosen.counts[j - 1u];
            fits[j] = 0;
            if (chosen.counts[j] < before) {
                chosen.counts[j]++;
                fits[j] = sf_head_payload_bits(head, chosen.counts, protect) <= room_bits;
                chosen.counts[j]--;
            }
        }
        const uint32_t next = worthiest_patch(&chosen, places, upgrades, levels, fits);
        if (next == places) {
            return;
        }
        chosen.counts[levels[next]]++;
        levels[next]++;
        price(&chosen, upgrades, weights, slopes, levels, next);
    }
}
