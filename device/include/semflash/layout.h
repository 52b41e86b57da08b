/* The payload: items of one to eight bits, in regions one behind the other, most significant bit first.
 *
 * A region says which items of its tensor are sent and how their bits are protected:
 *
 *     every     all items
 *     count     the first rows, as many as another tensor (of one code) says
 *     ones      the rows whose code in a mask is at least `at_least`
 *     rest      the first items, as many as fit while the payload holds no more bytes than a limit
 *     exactly   the rows whose code in a map is `at_least`
 *
 *     plain     the bits as they are
 *     repeat 3  the region's bits three times, one copy behind the other
 *     Hamming   each four bits d1 d2 d3 d4 as p1 p2 d1 p3 d2 d3 d4; the last four are filled with zeros
 *
 * The last byte of the payload is filled with zeros. The host's coder is semflash/program/payload.py; both run
 * the cases of tests/vectors/layout.json.
 *
 * The writer is used directly where codes come one by one; sf_layout_write writes whole tensors by a table.
 */
#ifndef SEMFLASH_LAYOUT_H
#define SEMFLASH_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "semflash/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sf_protection { SF_PLAIN = 0, SF_REPEAT_3 = 1, SF_HAMMING_7_4 = 2 } sf_protection_t;

typedef enum sf_items {
    SF_ITEMS_EVERY = 0,
    SF_ITEMS_COUNT = 1,
    SF_ITEMS_ONES = 2,
    SF_ITEMS_REST = 3,
    SF_ITEMS_EXACTLY = 4
} sf_items_t;

/* One region of the payload. Immutable, lives in flash. */
typedef struct sf_region {
    uint16_t rows;  /* of the tensor, at least 1 */
    uint16_t each;  /* items in a row, at least 1 */
    uint8_t source; /* number of the tensor */
    uint8_t bits;   /* of an item, 1..8 */
    uint8_t items;  /* sf_items_t */
    uint8_t
        told_by; /* number of the tensor with the count, the mask or the map; of the control with the limit */
    uint8_t at_least; /* SF_ITEMS_ONES: the least code of the mask that counts; SF_ITEMS_EXACTLY: the code */
    uint8_t protection; /* sf_protection_t; of SF_ITEMS_REST always SF_PLAIN */
} sf_region_t;

/* Writes bits into the caller's bytes; never beyond them. */
typedef struct sf_bit_writer {
    uint8_t *bytes;
    uint32_t capacity;    /* bytes */
    uint32_t ready;       /* whole bytes written */
    uint32_t accumulator; /* bits that are no whole byte yet, right-aligned */
    uint32_t held;        /* how many, below 8 */
    uint32_t left;        /* items of the region that are still to come */
    uint32_t start;       /* first bit of the region */
    uint8_t bits;         /* of an item */
    uint8_t protection;
    uint8_t word;      /* Hamming: data bits that are no whole word yet, right-aligned */
    uint8_t word_bits; /* how many, below 4 */
} sf_bit_writer_t;

/* Whether another tensor says which rows are sent. */
static inline int sf_items_are_told(uint8_t items) {
    return items == SF_ITEMS_COUNT || items == SF_ITEMS_ONES || items == SF_ITEMS_EXACTLY;
}

/* Bits that a region of `items` items of `bits` bits takes in the payload. */
uint64_t sf_region_bits(uint32_t items, uint8_t bits, sf_protection_t protection);

/* Start a payload. */
SF_MUST_CHECK sf_status_t sf_bits_begin(sf_bit_writer_t *writer, uint8_t *bytes, size_t capacity);

/* Start a region of exactly `items` items. SF_ERR_STATE: the one before is not complete; SF_ERR_MEMORY: it
 * does not fit into the payload. */
SF_MUST_CHECK sf_status_t sf_bits_region(sf_bit_writer_t *writer, uint32_t items, uint8_t bits,
                                         sf_protection_t protection);

/* Add n items, the low bits of each. SF_ERR_STATE: more than the region has. After its last item the region is
 * complete. */
SF_MUST_CHECK sf_status_t sf_bits_put(sf_bit_writer_t *writer, const uint8_t *items, size_t n);

/* Fill the last byte. *bits: of the payload, without what fills the last byte. */
SF_MUST_CHECK sf_status_t sf_bits_end(sf_bit_writer_t *writer, uint32_t *bits);

/* Write a region of the codes or int8 values source[rows x each]. told: the count or the mask; limit_bytes: of
 * SF_ITEMS_REST. */
SF_MUST_CHECK sf_status_t sf_region_write(sf_bit_writer_t *writer, const sf_region_t *region,
                                          const uint8_t *source, const uint8_t *told, uint16_t limit_bytes);

/* Write all regions. tensors[n_tensors]: codes or int8 values in raster order, as many as rows x each says;
 * controls[n_controls]: limits in bytes. */
SF_MUST_CHECK sf_status_t sf_layout_write(const sf_region_t *regions, size_t n_regions,
                                          const uint8_t *const *tensors, size_t n_tensors,
                                          const uint16_t *controls, size_t n_controls, uint8_t *bytes,
                                          size_t capacity, uint32_t *bits);

#ifdef __cplusplus
}
#endif

#endif
