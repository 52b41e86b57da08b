#include "harness.h"

#include <stdlib.h>
#include <string.h>

#include "semflash/frame.h"
#include "semflash/layout.h"

#define REGIONS_MAX  32u
#define TENSORS_MAX  40u
#define CONTROLS_MAX 16u
#define REGION_BYTES 10u

typedef struct reader {
    const uint8_t *bytes;
    size_t n;
    size_t at;
    int short_of;
} reader_t;

static const uint8_t *take(reader_t *reader, size_t n) {
    static const uint8_t nothing[REGION_BYTES] = {0};
    if (n > reader->n - reader->at) {
        reader->short_of = 1;
        return nothing;
    }
    reader->at += n;
    return reader->bytes + reader->at - n;
}

static size_t take_count(reader_t *reader, size_t most) {
    const size_t count = take(reader, 1)[0];
    reader->short_of |= count > most;
    return count > most ? most : count;
}

/* Tables are the generator's promise that tensors are as large as they say. */
static int promised(const sf_region_t *region, const size_t *sizes, size_t n_tensors) {
    if (region->source < n_tensors && sizes[region->source] < (size_t)region->rows * region->each) {
        return 0;
    }
    const size_t told = region->items == SF_ITEMS_ONES ? region->rows : region->items == SF_ITEMS_COUNT;
    return told == 0u || region->told_by >= n_tensors || sizes[region->told_by] >= told;
}

long harness_layout(const uint8_t *message, size_t n, uint8_t *out, size_t room, uint32_t *bits) {
    reader_t reader = {message, n, 0, 0};
    sf_region_t regions[REGIONS_MAX];
    const size_t n_regions = take_count(&reader, REGIONS_MAX);
    for (size_t i = 0; i < n_regions; i++) {
        const uint8_t *fields = take(&reader, REGION_BYTES);
        regions[i] = (sf_region_t){sf_load_u16(fields), sf_load_u16(fields + 2),
                                   fields[4],           fields[5],
                                   fields[6],           fields[7],
                                   fields[8],           fields[9]};
    }
    /* Copies of their own, so that reading past a tensor is seen. */
    uint8_t *tensors[TENSORS_MAX] = {NULL};
    size_t sizes[TENSORS_MAX] = {0};
    const size_t n_tensors = take_count(&reader, TENSORS_MAX);
    for (size_t i = 0; i < n_tensors; i++) {
        sizes[i] = sf_load_u16(take(&reader, 2));
        const uint8_t *data = take(&reader, sizes[i]);
        tensors[i] = (uint8_t *)malloc(sizes[i] > 0u ? sizes[i] : 1u);
        if (tensors[i] != NULL && !reader.short_of) {
            memcpy(tensors[i], data, sizes[i]);
        }
    }
    uint16_t controls[CONTROLS_MAX];
    const size_t n_controls = take_count(&reader, CONTROLS_MAX);
    for (size_t i = 0; i < n_controls; i++) {
        controls[i] = sf_load_u16(take(&reader, 2));
    }
    for (size_t i = 0; i < n_regions; i++) {
        reader.short_of |= !promised(&regions[i], sizes, n_tensors);
    }
    sf_status_t status = SF_ERR_ARGUMENT;
    if (!reader.short_of) {
        status = sf_layout_write(regions, n_regions, (const uint8_t *const *)tensors, n_tensors, controls,
                                 n_controls, out, room, bits);
    }
    for (size_t i = 0; i < n_tensors; i++) {
        free(tensors[i]);
    }
    return status == SF_OK ? (long)((*bits + 7u) / 8u) : (long)status;
}

int harness_bits_misuse(void) {
    static const uint8_t items[4] = {1, 2, 3, 4};
    uint8_t bytes[3];
    uint32_t bits = 0;
    sf_bit_writer_t writer;
    int wrong = 0;
    wrong += sf_bits_begin(NULL, bytes, sizeof bytes) != SF_ERR_ARGUMENT;
    wrong += sf_bits_begin(&writer, NULL, sizeof bytes) != SF_ERR_ARGUMENT;
    wrong += sf_bits_begin(&writer, bytes, sizeof bytes) != SF_OK;
    wrong += sf_bits_put(&writer, items, 1) != SF_ERR_STATE; /* no region yet */
    wrong += sf_bits_region(&writer, 1, 0, SF_PLAIN) != SF_ERR_ARGUMENT;
    wrong += sf_bits_region(&writer, 1, 9, SF_PLAIN) != SF_ERR_ARGUMENT;
    wrong += sf_bits_region(&writer, 1, 1, (sf_protection_t)3) != SF_ERR_ARGUMENT;
    wrong += sf_bits_region(&writer, 25, 1, SF_PLAIN) != SF_ERR_MEMORY;
    wrong += sf_bits_region(&writer, 9, 1, SF_REPEAT_3) != SF_ERR_MEMORY;
    wrong += sf_bits_region(&writer, 13, 1, SF_HAMMING_7_4) != SF_ERR_MEMORY;
    wrong += sf_bits_region(&writer, UINT32_MAX, 8, SF_REPEAT_3) != SF_ERR_MEMORY;
    wrong += sf_bits_region(&writer, 3, 3, SF_PLAIN) != SF_OK;
    wrong += sf_bits_put(&writer, NULL, 1) != SF_ERR_ARGUMENT;
    wrong += sf_bits_put(&writer, items, 4) != SF_ERR_STATE; /* one too many: nothing is written */
    wrong += sf_bits_put(&writer, items, 2) != SF_OK;
    wrong += sf_bits_region(&writer, 1, 1, SF_PLAIN) != SF_ERR_STATE; /* an item is missing */
    wrong += sf_bits_end(&writer, &bits) != SF_ERR_STATE;
    wrong += sf_bits_put(&writer, items, 1) != SF_OK;
    wrong += sf_bits_put(&writer, items, 1) != SF_ERR_STATE;
    wrong += sf_bits_region(&writer, 0, 8, SF_HAMMING_7_4) != SF_OK; /* an empty one is complete */
    wrong += sf_bits_end(&writer, &bits) != SF_OK || bits != 9u;
    wrong += sf_bits_begin(&writer, bytes, sizeof bytes) != SF_OK;
    wrong += sf_bits_region(&writer, 2, 3, SF_REPEAT_3) != SF_OK;
    wrong += sf_bits_put(&writer, items, 2) != SF_OK;
    wrong += sf_bits_put(&writer, NULL, 0) != SF_OK; /* nothing more: the copies are not made again */
    wrong += sf_bits_end(&writer, &bits) != SF_OK || bits != 18u;
    wrong += bytes[0] != 0x28u || bytes[1] != 0xA2u || bytes[2] != 0x80u;
    wrong += sf_layout_write(NULL, 1, NULL, 0, NULL, 0, bytes, sizeof bytes, &bits) != SF_ERR_ARGUMENT;
    return wrong;
}
