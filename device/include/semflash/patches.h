/* Patches of an image at several levels of detail: which patch gets which level, its codes, and the payload's head
 * that tells the levels. Everything is constant data; the Python twins are semflash/program/reference/select.py and
 * patches.py, semflash/program/head.py and map_sizes.py, and both agree on every bit.
 */
#ifndef SEMFLASH_PATCHES_H
#define SEMFLASH_PATCHES_H

#include <stddef.h>
#include <stdint.h>

#include "semflash/layout.h"
#include "semflash/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SF_PLACES_MAX            64u /* of a map, so that the rank of a subset has 64 bits */
#define SF_MAP_LEVELS_MAX        8u
#define SF_ALSO_MAX              4u  /* small tensors in a head */
#define SF_ALSO_ITEMS_MAX        16u /* all their items */
#define SF_PATCH_SIDE_MAX        16u
#define SF_FALL_COEFFICIENTS_MAX 64u /* of a patch whose levels are chosen by what they leave */

struct sf_encoder;
struct sf_program;
struct sf_head;

/* What the head brings along, so that firmware without it does not hold its functions. */
typedef struct sf_head_ops {
    /* Whether the head and the regions behind it fit together. */
    int (*fits)(const struct sf_program *program);
    /* Write it when all stages have run. */
    sf_status_t (*write)(struct sf_encoder *encoder, const struct sf_head *head);
} sf_head_ops_t;

extern const sf_head_ops_t sf_head_of_map;

/* A small tensor of codes in the head. */
typedef struct sf_also {
    uint8_t tensor;
    uint8_t items;
    uint8_t bits; /* of an item, 1..8 */
} sf_also_t;

/* What comes before all regions: how many places have at least level 1, 2, ...; the rank of each of these subsets
 * of the one before; small tensors; a CRC-16 over all this. Immutable, lives in flash. */
typedef struct sf_head {
    uint8_t map;         /* number of its tensor */
    uint8_t places;      /* of the map, 1..64 */
    uint8_t levels;      /* 2..8 */
    uint8_t protect;     /* number of the control that says whether it is sent as Golay words, or SF_NONE */
    uint8_t n_also;      /* small tensors, at most 4 */
    uint16_t fixed_bits; /* of the regions that are sent whole */
    const uint16_t *level_bits; /* [levels], of a place; 0 for level 0 */
    const sf_also_t *also;      /* [n_also] */
    const sf_head_ops_t *ops;
} sf_head_t;

/* Bits of a payload whose map has the counts[levels - 1] of places with at least level 1, 2, ... */
uint32_t sf_head_payload_bits(const sf_head_t *head, const uint8_t *counts, int protect);

/* Write the head of a map of `places` levels and of the small tensors also[n_also]. protect: as Golay words. */
SF_MUST_CHECK sf_status_t sf_head_write(const sf_head_t *head, const uint8_t *map, const uint8_t *const *also,
                                        int protect, sf_bit_writer_t *writer);

struct sf_coder;

/* What each level takes off a patch's squared error, by coding it at all of them. One row follows the other: that of
 * level 1 first. */
typedef struct sf_falls {
    const struct sf_coder *coders; /* [levels - 1], those that encode the patches */
    const uint8_t *picks;          /* of each coefficient of each level its number in the last level */
    const int16_t *centres;        /* 2^bits of each coefficient of each level, quarters of a pixel value */
    const uint16_t *scales;        /* of each coefficient of the last level: sum * scale / 2^22 */
} sf_falls_t;

/* Gives each patch a level, so that the payload never exceeds a rate. */
typedef struct sf_select {
    uint16_t rows; /* of patches */
    uint16_t columns;
    uint8_t side;          /* of a patch, 1..16 */
    uint8_t channels;      /* of the image */
    uint8_t contrast;      /* whether the variance of a patch's luminance counts */
    uint8_t background;    /* number of the tensor with sixteenths of the mean of each channel */
    const uint16_t *table; /* [256], weights by distance from the largest score, 1..4096 */
    const uint16_t
        *gains;       /* [levels - 1], not rising: what raising a patch of weight 1 is worth for each bit */
    uint8_t absolute; /* whether the distance is from the largest score there is */
    const sf_falls_t *falls; /* instead of gains; NULL: gains */
} sf_select_t;

/* What each of the rows x columns patches counts, and sixteenths of the mean of each channel, at most 16. image:
 * whole, int8. */
void sf_select_weights(const sf_select_t *select, const int8_t *scores, const int8_t *image,
                       uint32_t *weights, uint8_t *background);

/* The level of each patch, so that the payload has at most room_bits; the smallest payload must fit. */
void sf_select_levels(const sf_select_t *select, const sf_head_t *head, const uint32_t *weights,
                      uint32_t room_bits, int protect, uint8_t *levels);

/* The same where raising each patch to each level has a worth of its own for each bit: slopes[places][levels - 1], not
 * rising with the level. */
void sf_select_by_slopes(const sf_head_t *head, const uint32_t *weights, const uint32_t *slopes,
                         uint32_t room_bits, int protect, uint8_t *levels);

/* The encoder of one level. Weights of four coefficients lie together, four values of each in turn; those of the
 * coefficients that are left lie one behind the other. Values are filled with zeros to a multiple of four. */
typedef struct sf_coder {
    uint16_t coefficients;
    uint8_t bytes;             /* of a patch's codes, all bits together */
    uint8_t output;            /* number of the tensor of codes, rows x columns x bytes */
    const uint8_t *bits;       /* [coefficients], 1..6 */
    const int8_t *weights;     /* [coefficients * values] */
    const int32_t *thresholds; /* 2^bits - 1 of each coefficient, ascending */
    const int32_t *channels;   /* sums of each coefficient's weights of each channel, where the background is
                                * taken off the values; NULL: it is not */
} sf_coder_t;

/* Encodes each patch as its level says. */
typedef struct sf_patches {
    uint16_t rows; /* of patches */
    uint16_t columns;
    uint8_t side;   /* of a patch, 1..16 */
    uint8_t levels; /* 2..8 */
    uint8_t channels;
    const sf_coder_t *coders; /* [levels - 1] */
    uint8_t background;       /* number of its tensor, where coders take it off */
} sf_patches_t;

/* Words of int8 values of a patch, filled with zeros. */
static inline uint32_t sf_patch_words(const sf_patches_t *patches) {
    return ((uint32_t)patches->side * patches->side * patches->channels + 3u) / 4u;
}

/* Codes of patch number `patch` of an image. background: codes of the mean of each channel, or NULL where the coder
 * takes nothing off. pairs: memory of 2 sf_patch_words(). */
void sf_patch_codes(const sf_patches_t *patches, const sf_coder_t *coder, const int8_t *image, uint32_t patch,
                    const uint8_t *background, uint32_t *pairs, uint8_t *codes);

/* The coefficients of the patch before their thresholds, one after the other. */
void sf_patch_sums(const sf_patches_t *patches, const sf_coder_t *coder, const int8_t *image, uint32_t patch,
                   const uint8_t *background, uint32_t *pairs, int32_t *sums);

/* Number of n ascending thresholds that are not above the sum. */
uint32_t sf_count_up_to(const int32_t *thresholds, uint32_t n, int32_t sum);

/* What raising the patch to each level is worth for a bit, slopes[levels - 1]: the least concave line above what the
 * levels take off its squared error. The last coder has at most SF_FALL_COEFFICIENTS_MAX coefficients. */
void sf_patch_slopes(const sf_falls_t *falls, const sf_patches_t *patches, const uint16_t *level_bits,
                     const int8_t *image, uint32_t patch, const uint8_t *background, uint32_t *pairs,
                     uint32_t *slopes);

#ifdef __cplusplus
}
#endif

#endif
