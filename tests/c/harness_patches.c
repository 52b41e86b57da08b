#include "harness.h"

#include <string.h>

#include "semflash/patches.h"

/* A head of a map, a small tensor of 4-bit codes and, if protectable, a control that protects it. */
static sf_head_t head_of(const harness_head_t *given, const sf_also_t *also) {
    const sf_head_t head = {.places = given->places,
                            .levels = given->levels,
                            .protect = given->protectable ? 0u : 0xFFu,
                            .n_also = also->items > 0u ? 1u : 0u,
                            .fixed_bits = given->fixed_bits,
                            .level_bits = given->level_bits,
                            .also = also};
    return head;
}

int harness_select(const harness_head_t *given, const uint16_t *gains, const uint32_t *weights,
                   const uint32_t *room_bits, const uint8_t *protect, size_t n, uint8_t *levels) {
    const sf_also_t also = {0, given->also_items, 4};
    const sf_head_t head = head_of(given, &also);
    const sf_select_t select = {.rows = 1, .columns = given->places, .gains = gains};
    for (size_t i = 0; i < n; i++) {
        sf_select_levels(&select, &head, weights + i * given->places, room_bits[i], protect[i],
                         levels + i * given->places);
    }
    return SF_OK;
}

int harness_weights(const harness_grid_t *grid, uint8_t contrast, const uint16_t *table, const int8_t *scores,
                    const int8_t *images, size_t n, uint32_t *weights, uint8_t *background) {
    const sf_select_t select = {
        grid->rows, grid->columns, grid->side, grid->channels, contrast, 0, table, NULL, 0, NULL};
    const size_t places = (size_t)grid->rows * grid->columns;
    const size_t size = places * grid->side * grid->side * grid->channels;
    for (size_t i = 0; i < n; i++) {
        sf_select_weights(&select, scores + i * places, images + i * size, weights + i * places,
                          background + i * grid->channels);
    }
    return SF_OK;
}

long harness_head(const harness_head_t *given, int protect, const uint8_t *map, const uint8_t *items,
                  uint8_t *out, size_t room, uint32_t *bits) {
    const sf_also_t also = {0, given->also_items, 4};
    const sf_head_t head = head_of(given, &also);
    sf_bit_writer_t writer;
    sf_status_t status = sf_bits_begin(&writer, out, room);
    if (status == SF_OK) {
        status = sf_head_write(&head, map, &items, protect, &writer);
    }
    if (status == SF_OK) {
        status = sf_bits_end(&writer, bits);
    }
    return status == SF_OK ? (long)((*bits + 7u) / 8u) : (long)status;
}

int harness_patch_codes(const harness_grid_t *grid, uint16_t coefficients, uint8_t bytes, const uint8_t *bits,
                        const int8_t *weights, const int32_t *thresholds, const int8_t *image,
                        uint32_t *pairs, uint8_t *codes) {
    const sf_patches_t patches = {grid->rows, grid->columns, grid->side, 2, grid->channels, NULL, 0};
    const sf_coder_t coder = {coefficients, bytes, 0, bits, weights, thresholds, NULL};
    for (uint32_t patch = 0; patch < (uint32_t)grid->rows * grid->columns; patch++) {
        sf_patch_codes(&patches, &coder, image, patch, NULL, pairs, codes + (size_t)patch * bytes);
    }
    return SF_OK;
}

int harness_centred_codes(const harness_grid_t *grid, uint16_t coefficients, uint8_t bytes,
                          const uint8_t *bits, const int8_t *weights, const int32_t *thresholds,
                          const int32_t *channels, const int8_t *image, const uint8_t *background,
                          uint32_t *pairs, uint8_t *codes) {
    const sf_patches_t patches = {grid->rows, grid->columns, grid->side, 2, grid->channels, NULL, 0};
    const sf_coder_t coder = {coefficients, bytes, 0, bits, weights, thresholds, channels};
    for (uint32_t patch = 0; patch < (uint32_t)grid->rows * grid->columns; patch++) {
        sf_patch_codes(&patches, &coder, image, patch, background, pairs, codes + (size_t)patch * bytes);
    }
    return SF_OK;
}

int harness_slopes(const harness_grid_t *grid, uint8_t levels, const uint16_t *level_bits,
                   const uint16_t *coefficients, const uint8_t *bits, const int8_t *weights,
                   const int32_t *thresholds, const int32_t *channels, const uint8_t *picks,
                   const int16_t *centres, const uint16_t *scales, const int8_t *image,
                   const uint8_t *background, uint32_t *pairs, uint32_t *slopes) {
    sf_coder_t coders[SF_MAP_LEVELS_MAX];
    memset(coders, 0, sizeof coders);
    const sf_patches_t patches = {grid->rows, grid->columns, grid->side, levels, grid->channels, coders, 0};
    for (uint32_t level = 1; level < levels; level++) {
        const uint16_t count = coefficients[level - 1u];
        coders[level - 1u] = (sf_coder_t){count, 0, 0, bits, weights, thresholds, channels};
        for (uint32_t i = 0; i < count; i++) {
            thresholds += (1u << bits[i]) - 1u;
        }
        bits += count;
        weights += (size_t)count * 4u * sf_patch_words(&patches);
        channels += (size_t)count * grid->channels;
    }
    const sf_falls_t falls = {coders, picks, centres, scales};
    for (uint32_t patch = 0; patch < (uint32_t)grid->rows * grid->columns; patch++) {
        sf_patch_slopes(&falls, &patches, level_bits, image, patch, background, pairs,
                        slopes + (size_t)patch * (levels - 1u));
    }
    return SF_OK;
}

int harness_by_slopes(const harness_head_t *given, const uint32_t *weights, const uint32_t *slopes,
                      const uint32_t *room_bits, const uint8_t *protect, size_t n, uint8_t *levels) {
    const sf_also_t also = {0, given->also_items, 4};
    const sf_head_t head = head_of(given, &also);
    const size_t upgrades = (size_t)given->places * (given->levels - 1u);
    for (size_t i = 0; i < n; i++) {
        sf_select_by_slopes(&head, weights + i * given->places, slopes + i * upgrades, room_bits[i],
                            protect[i], levels + i * given->places);
    }
    return SF_OK;
}
