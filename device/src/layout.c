#include "semflash/layout.h"

#include <string.h>

/* Words of Hamming(7,4) by their data bits d1 d2 d3 d4, d1 the most significant. */
static const uint8_t hamming_word[16] = {
    0x00, 0x69, 0x2A, 0x43, 0x4C, 0x25, 0x66, 0x0F, 0x70, 0x19, 0x5A, 0x33, 0x3C, 0x55, 0x16, 0x7F,
};

uint64_t sf_region_bits(uint32_t items, uint8_t bits, sf_protection_t protection) {
    const uint64_t plain = (uint64_t)items * bits;
    if (protection == SF_REPEAT_3) {
        return 3u * plain;
    }
    return protection == SF_HAMMING_7_4 ? 7u * ((plain + 3u) / 4u) : plain;
}

static uint32_t position(const sf_bit_writer_t *writer) {
    return 8u * writer->ready + writer->held;
}

/* Append the low n bits (at most 8) of value; the region's size was checked against the capacity. */
static inline void append(sf_bit_writer_t *writer, uint32_t value, uint32_t n) {
    writer->accumulator = (writer->accumulator << n) | (value & ((1u << n) - 1u));
    writer->held += n;
    if (writer->held >= 8u) {
        writer->held -= 8u;
        writer->bytes[writer->ready] = (uint8_t)(writer->accumulator >> writer->held);
        writer->ready++;
        writer->accumulator &= 0xFFu;
    }
}

sf_status_t sf_bits_begin(sf_bit_writer_t *writer, uint8_t *bytes, size_t capacity) {
    if (writer == NULL || bytes == NULL || capacity > UINT32_MAX / 8u) {
        return SF_ERR_ARGUMENT;
    }
    memset(writer, 0, sizeof *writer);
    writer->bytes = bytes;
    writer->capacity = (uint32_t)capacity;
    return SF_OK;
}

sf_status_t sf_bits_region(sf_bit_writer_t *writer, uint32_t items, uint8_t bits,
                           sf_protection_t protection) {
    if (writer == NULL || writer->bytes == NULL || bits < 1u || bits > 8u || protection > SF_HAMMING_7_4) {
        return SF_ERR_ARGUMENT;
    }
    if (writer->left > 0u) {
        return SF_ERR_STATE;
    }
    if (position(writer) + sf_region_bits(items, bits, protection) > 8u * (uint64_t)writer->capacity) {
        return SF_ERR_MEMORY;
    }
    writer->left = items;
    writer->start = position(writer);
    writer->bits = bits;
    writer->protection = (uint8_t)protection;
    writer->word = 0;
    writer->word_bits = 0;
    return SF_OK;
}

/* A bit that was written before. */
static uint32_t bit_at(const sf_bit_writer_t *writer, uint32_t at) {
    if (at >= 8u * writer->ready) {
        return writer->accumulator >> (writer->held - 1u - (at - 8u * writer->ready)) & 1u;
    }
    return (uint32_t)writer->bytes[at / 8u] >> (7u - at % 8u) & 1u;
}

/* What a region's protection adds behind its last item. */
static void complete(sf_bit_writer_t *writer) {
    if (writer->protection == SF_REPEAT_3) {
        const uint32_t end = position(writer);
        for (uint32_t copy = 0; copy < 2u; copy++) {
            for (uint32_t at = writer->start; at < end; at++) {
                append(writer, bit_at(writer, at), 1);
            }
        }
    } else if (writer->word_bits > 0u) {
        append(writer, hamming_word[(writer->word << (4u - writer->word_bits)) & 15u], 7);
        writer->word_bits = 0;
    }
}

static void append_hamming(sf_bit_writer_t *writer, uint8_t item) {
    for (uint32_t i = writer->bits; i > 0u; i--) {
        writer->word = (uint8_t)((writer->word << 1 | (item >> (i - 1u) & 1u)) & 15u);
        writer->word_bits++;
        if (writer->word_bits == 4u) {
            append(writer, hamming_word[writer->word], 7);
            writer->word_bits = 0;
        }
    }
}

sf_status_t sf_bits_put(sf_bit_writer_t *writer, const uint8_t *items, size_t n) {
    if (writer == NULL || (items == NULL && n > 0u)) {
        return SF_ERR_ARGUMENT;
    }
    if (n > writer->left) {
        return SF_ERR_STATE;
    }
    if (n == 0u) {
        return SF_OK;
    }
    for (size_t i = 0; i < n; i++) {
        if (writer->protection == SF_HAMMING_7_4) {
            append_hamming(writer, items[i]);
        } else {
            append(writer, items[i], writer->bits);
        }
    }
    writer->left -= (uint32_t)n;
    if (writer->left == 0u) {
        complete(writer);
    }
    return SF_OK;
}

sf_status_t sf_bits_end(sf_bit_writer_t *writer, uint32_t *bits) {
    if (writer == NULL || writer->bytes == NULL || bits == NULL) {
        return SF_ERR_ARGUMENT;
    }
    if (writer->left > 0u) {
        return SF_ERR_STATE;
    }
    *bits = position(writer);
    if (writer->held > 0u) {
        append(writer, 0, 8u - writer->held);
    }
    return SF_OK;
}

static sf_status_t check_region(const sf_region_t *region, const uint8_t *const *tensors, size_t n_tensors,
                                size_t n_controls) {
    if (region->rows == 0u || region->each == 0u || region->source >= n_tensors ||
        tensors[region->source] == NULL) {
        return SF_ERR_ARGUMENT;
    }
    switch (region->items) {
    case SF_ITEMS_EVERY:
        return SF_OK;
    case SF_ITEMS_COUNT:
    case SF_ITEMS_ONES:
    case SF_ITEMS_EXACTLY:
        return region->told_by < n_tensors && tensors[region->told_by] != NULL ? SF_OK : SF_ERR_ARGUMENT;
    case SF_ITEMS_REST:
        return region->told_by < n_controls && region->protection == SF_PLAIN && region->bits > 0u
                   ? SF_OK
                   : SF_ERR_ARGUMENT;
    default:
        return SF_ERR_ARGUMENT;
    }
}

/* Whether a mask or a map says that a row is sent. */
static int is_sent(const sf_region_t *region, uint8_t told) {
    return region->items == SF_ITEMS_EXACTLY ? told == region->at_least : told >= region->at_least;
}

/* Items of a region, at most rows x each; told: the count or the mask. */
static uint32_t items_of(const sf_region_t *region, const uint8_t *told, uint32_t limit_bytes,
                         uint32_t written) {
    const uint32_t all = (uint32_t)region->rows * region->each;
    uint32_t rows = region->rows;
    if (region->items == SF_ITEMS_COUNT) {
        rows = told[0] < rows ? told[0] : rows;
    } else if (region->items == SF_ITEMS_ONES || region->items == SF_ITEMS_EXACTLY) {
        rows = 0;
        for (uint32_t row = 0; row < region->rows; row++) {
            rows += (uint32_t)is_sent(region, told[row]);
        }
    } else if (region->items == SF_ITEMS_REST) {
        const uint32_t room = 8u * limit_bytes > written ? 8u * limit_bytes - written : 0u;
        return room / region->bits < all ? room / region->bits : all;
    }
    return rows * region->each;
}

sf_status_t sf_region_write(sf_bit_writer_t *writer, const sf_region_t *region, const uint8_t *source,
                            const uint8_t *told, uint16_t limit_bytes) {
    const uint32_t items = items_of(region, told, limit_bytes, position(writer));
    sf_status_t status = sf_bits_region(writer, items, region->bits, (sf_protection_t)region->protection);
    if (region->items != SF_ITEMS_ONES && region->items != SF_ITEMS_EXACTLY) {
        return status == SF_OK ? sf_bits_put(writer, source, items) : status;
    }
    for (uint32_t row = 0; row < region->rows && status == SF_OK; row++) {
        if (is_sent(region, told[row])) {
            status = sf_bits_put(writer, source + (size_t)row * region->each, region->each);
        }
    }
    return status;
}

sf_status_t sf_layout_write(const sf_region_t *regions, size_t n_regions, const uint8_t *const *tensors,
                            size_t n_tensors, const uint16_t *controls, size_t n_controls, uint8_t *bytes,
                            size_t capacity, uint32_t *bits) {
    if (regions == NULL || tensors == NULL || (controls == NULL && n_controls > 0u) || bits == NULL) {
        return SF_ERR_ARGUMENT;
    }
    sf_bit_writer_t writer;
    sf_status_t status = sf_bits_begin(&writer, bytes, capacity);
    for (size_t i = 0; i < n_regions && status == SF_OK; i++) {
        const sf_region_t *region = &regions[i];
        status = check_region(region, tensors, n_tensors, n_controls);
        if (status == SF_OK) {
            const uint8_t *told = sf_items_are_told(region->items) ? tensors[region->told_by] : NULL;
            const uint16_t limit = region->items == SF_ITEMS_REST ? controls[region->told_by] : 0u;
            status = sf_region_write(&writer, region, tensors[region->source], told, limit);
        }
    }
    return status == SF_OK ? sf_bits_end(&writer, bits) : status;
}
