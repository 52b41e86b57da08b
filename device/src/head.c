/* The payload's head: a map of levels as nested subsets, small tensors and a check (semflash/program/head.py). */
#include <string.h>

#include "semflash/controls.h"
#include "semflash/crc.h"
#include "semflash/encoder.h"

#define CHECK_BITS  16u
#define FLAG_COPIES 5u
#define GOLAY_DATA  12u
#define GOLAY_WORD  24u
/* Counts, ranks and small tensors of the largest head, and its check: at most 49 + 199 + 128 + 16 bits, filled to
 * whole Golay words. */
#define HEAD_BYTES 56u

/* Bits of the rank of k of n places, k <= n / 2; the run of n begins at (n + 1)^2 / 4. */
static const uint8_t rank_bits[1089] = {
    0,  0,  0,  1,  0,  2,  0,  2,  3,  0,  3,  4,  0,  3,  4,  5,  0,  3,  5,  6,  0,  3,  5,  6,  7,  0,
    4,  6,  7,  7,  0,  4,  6,  7,  8,  8,  0,  4,  6,  8,  9,  9,  0,  4,  7,  8,  9,  10, 10, 0,  4,  7,
    9,  10, 11, 11, 0,  4,  7,  9,  10, 11, 12, 12, 0,  4,  7,  9,  11, 12, 13, 13, 0,  4,  7,  10, 11, 13,
    13, 14, 14, 0,  5,  8,  10, 12, 13, 14, 15, 15, 0,  5,  8,  10, 12, 14, 15, 15, 16, 16, 0,  5,  8,  10,
    12, 14, 15, 16, 17, 17, 0,  5,  8,  11, 13, 14, 16, 17, 17, 18, 18, 0,  5,  8,  11, 13, 15, 16, 17, 18,
    19, 19, 0,  5,  8,  11, 13, 15, 17, 18, 19, 19, 20, 20, 0,  5,  8,  11, 14, 16, 17, 18, 19, 20, 21, 21,
    0,  5,  9,  11, 14, 16, 18, 19, 20, 21, 21, 22, 22, 0,  5,  9,  12, 14, 16, 18, 19, 21, 21, 22, 23, 23,
    0,  5,  9,  12, 14, 17, 18, 20, 21, 22, 23, 23, 24, 24, 0,  5,  9,  12, 15, 17, 19, 20, 22, 23, 24, 24,
    25, 25, 0,  5,  9,  12, 15, 17, 19, 21, 22, 23, 24, 25, 25, 26, 26, 0,  5,  9,  12, 15, 17, 19, 21, 23,
    24, 25, 26, 26, 27, 27, 0,  5,  9,  12, 15, 18, 20, 21, 23, 24, 25, 26, 27, 27, 28, 28, 0,  5,  9,  13,
    15, 18, 20, 22, 23, 25, 26, 27, 28, 28, 28, 29, 0,  5,  9,  13, 16, 18, 20, 22, 24, 25, 26, 27, 28, 29,
    29, 30, 30, 0,  6,  10, 13, 16, 18, 21, 23, 24, 26, 27, 28, 29, 30, 30, 30, 31, 0,  6,  10, 13, 16, 19,
    21, 23, 25, 26, 27, 29, 30, 30, 31, 31, 32, 32, 0,  6,  10, 13, 16, 19, 21, 23, 25, 27, 28, 29, 30, 31,
    32, 32, 32, 33, 0,  6,  10, 13, 16, 19, 21, 23, 25, 27, 28, 30, 31, 32, 32, 33, 33, 34, 34, 0,  6,  10,
    13, 17, 19, 22, 24, 26, 27, 29, 30, 31, 32, 33, 34, 34, 34, 35, 0,  6,  10, 14, 17, 19, 22, 24, 26, 28,
    29, 31, 32, 33, 34, 34, 35, 35, 35, 36, 0,  6,  10, 14, 17, 20, 22, 24, 26, 28, 30, 31, 32, 33, 34, 35,
    36, 36, 36, 37, 0,  6,  10, 14, 17, 20, 22, 25, 27, 29, 30, 32, 33, 34, 35, 36, 36, 37, 37, 37, 38, 0,
    6,  10, 14, 17, 20, 23, 25, 27, 29, 31, 32, 33, 35, 36, 36, 37, 38, 38, 38, 38, 0,  6,  10, 14, 17, 20,
    23, 25, 27, 29, 31, 32, 34, 35, 36, 37, 38, 38, 39, 39, 39, 39, 0,  6,  10, 14, 17, 20, 23, 25, 28, 30,
    31, 33, 34, 36, 37, 38, 38, 39, 40, 40, 40, 40, 0,  6,  10, 14, 18, 21, 23, 26, 28, 30, 32, 33, 35, 36,
    37, 38, 39, 40, 40, 41, 41, 41, 41, 0,  6,  10, 14, 18, 21, 23, 26, 28, 30, 32, 34, 35, 37, 38, 39, 40,
    41, 41, 42, 42, 42, 42, 0,  6,  11, 14, 18, 21, 24, 26, 28, 31, 32, 34, 36, 37, 38, 39, 40, 41, 42, 42,
    43, 43, 43, 43, 0,  6,  11, 14, 18, 21, 24, 26, 29, 31, 33, 35, 36, 38, 39, 40, 41, 42, 43, 43, 44, 44,
    44, 44, 0,  6,  11, 15, 18, 21, 24, 27, 29, 31, 33, 35, 37, 38, 39, 40, 42, 42, 43, 44, 44, 45, 45, 45,
    45, 0,  6,  11, 15, 18, 21, 24, 27, 29, 31, 33, 35, 37, 38, 40, 41, 42, 43, 44, 45, 45, 46, 46, 46, 46,
    0,  6,  11, 15, 18, 22, 24, 27, 30, 32, 34, 36, 37, 39, 40, 42, 43, 44, 45, 45, 46, 46, 47, 47, 47, 47,
    0,  6,  11, 15, 18, 22, 25, 27, 30, 32, 34, 36, 38, 39, 41, 42, 43, 44, 45, 46, 47, 47, 48, 48, 48, 48,
    0,  6,  11, 15, 19, 22, 25, 27, 30, 32, 34, 36, 38, 40, 41, 43, 44, 45, 46, 47, 47, 48, 48, 49, 49, 49,
    49, 0,  6,  11, 15, 19, 22, 25, 28, 30, 33, 35, 37, 38, 40, 42, 43, 44, 45, 46, 47, 48, 49, 49, 50, 50,
    50, 50, 0,  6,  11, 15, 19, 22, 25, 28, 30, 33, 35, 37, 39, 41, 42, 43, 45, 46, 47, 48, 49, 49, 50, 50,
    51, 51, 51, 51, 0,  6,  11, 15, 19, 22, 25, 28, 31, 33, 35, 37, 39, 41, 42, 44, 45, 46, 48, 48, 49, 50,
    51, 51, 52, 52, 52, 52, 0,  6,  11, 15, 19, 22, 25, 28, 31, 33, 36, 38, 40, 41, 43, 44, 46, 47, 48, 49,
    50, 51, 51, 52, 52, 53, 53, 53, 53, 0,  6,  11, 15, 19, 22, 26, 28, 31, 34, 36, 38, 40, 42, 43, 45, 46,
    47, 49, 50, 51, 51, 52, 53, 53, 54, 54, 54, 54, 0,  6,  11, 15, 19, 23, 26, 29, 31, 34, 36, 38, 40, 42,
    44, 45, 47, 48, 49, 50, 51, 52, 53, 53, 54, 54, 55, 55, 55, 55, 0,  6,  11, 15, 19, 23, 26, 29, 32, 34,
    36, 39, 41, 42, 44, 46, 47, 48, 50, 51, 52, 53, 53, 54, 55, 55, 56, 56, 56, 56, 0,  6,  11, 16, 19, 23,
    26, 29, 32, 34, 37, 39, 41, 43, 44, 46, 48, 49, 50, 51, 52, 53, 54, 55, 56, 56, 56, 57, 57, 57, 57, 0,
    6,  11, 16, 19, 23, 26, 29, 32, 35, 37, 39, 41, 43, 45, 47, 48, 49, 51, 52, 53, 54, 55, 56, 56, 57, 57,
    58, 58, 58, 58, 0,  6,  11, 16, 20, 23, 26, 29, 32, 35, 37, 39, 41, 43, 45, 47, 48, 50, 51, 52, 54, 55,
    55, 56, 57, 58, 58, 58, 59, 59, 59, 59, 0,  6,  11, 16, 20, 23, 27, 30, 32, 35, 37, 40, 42, 44, 46, 47,
    49, 50, 52, 53, 54, 55, 56, 57, 58, 58, 59, 59, 60, 60, 60, 60, 0,  6,  11, 16, 20, 23, 27, 30, 33, 35,
    38, 40, 42, 44, 46, 48, 49, 51, 52, 53, 55, 56, 57, 58, 58, 59, 60, 60, 60, 61, 61, 61, 61,
};

/* Parity of each data bit of a Golay word, the first bit first. */
static const uint16_t golay_rows[GOLAY_DATA] = {
    0xC75, 0x63B, 0xF68, 0x7B4, 0x3DA, 0xD99, 0x6CD, 0x367, 0xDC6, 0xA97, 0x93E, 0x8EB,
};

static uint32_t bits_of_rank(uint32_t n, uint32_t k) {
    return rank_bits[(n + 1u) * (n + 1u) / 4u + (2u * k > n ? n - k : k)];
}

static uint32_t bits_of_count(const sf_head_t *head) {
    uint32_t bits = 0;
    while (head->places >> bits != 0u) {
        bits++;
    }
    return bits;
}

/* Bits of the head before its protection. */
static uint32_t plain_bits(const sf_head_t *head, const uint8_t *counts) {
    uint32_t bits = (head->levels - 1u) * bits_of_count(head) + CHECK_BITS;
    uint32_t before = head->places;
    for (uint32_t j = 0; j + 1u < head->levels; j++) {
        bits += bits_of_rank(before, counts[j]);
        before = counts[j];
    }
    for (uint32_t i = 0; i < head->n_also; i++) {
        bits += (uint32_t)head->also[i].items * head->also[i].bits;
    }
    return bits;
}

uint32_t sf_head_payload_bits(const sf_head_t *head, const uint8_t *counts, int protect) {
    const uint32_t plain = plain_bits(head, counts);
    uint32_t bits = protect ? (plain + GOLAY_DATA - 1u) / GOLAY_DATA * GOLAY_WORD : plain;
    bits += head->fixed_bits + (head->protect == SF_NONE ? 0u : FLAG_COPIES);
    for (uint32_t j = 0; j + 1u < head->levels; j++) {
        bits += ((uint32_t)head->level_bits[j + 1u] - head->level_bits[j]) * counts[j];
    }
    return bits;
}

/* How many places have at least level 1, 2, ... */
static void count(const sf_head_t *head, const uint8_t *map, uint8_t *counts) {
    for (uint32_t j = 0; j + 1u < head->levels; j++) {
        counts[j] = 0;
        for (uint32_t place = 0; place < head->places; place++) {
            counts[j] = (uint8_t)(counts[j] + (map[place] > j));
        }
    }
}

/* The rank of each subset within the one before: the sum of (number of the place over number of the member). Row
 * `number` of Pascal's triangle serves the place of that number of every subset. */
static void rank(const sf_head_t *head, const uint8_t *map, uint64_t *ranks) {
    uint64_t row[SF_PLACES_MAX + 1u] = {1};
    uint8_t next[SF_MAP_LEVELS_MAX - 1u] = {0};    /* place of the map from which the subset before goes on */
    uint8_t members[SF_MAP_LEVELS_MAX - 1u] = {0}; /* so far */
    memset(ranks, 0, (head->levels - 1u) * sizeof *ranks);
    for (uint32_t number = 0; number < head->places; number++) {
        for (uint32_t j = 0; j + 1u < head->levels; j++) {
            while (next[j] < head->places && map[next[j]] < j) {
                next[j]++;
            }
            if (next[j] < head->places) {
                if (map[next[j]] > j) {
                    members[j]++;
                    ranks[j] += row[members[j]];
                }
                next[j]++;
            }
        }
        for (uint32_t k = number + 1u; k > 0u; k--) {
            row[k] += row[k - 1u];
        }
    }
}

/* Append the low bits of a number, most significant first. */
static sf_status_t put_number(sf_bit_writer_t *writer, uint64_t number, uint32_t bits) {
    sf_status_t status = SF_OK;
    while (bits > 0u && status == SF_OK) {
        const uint32_t n = bits % 8u == 0u ? 8u : bits % 8u;
        bits -= n;
        const uint8_t part = (uint8_t)(number >> bits & ((1u << n) - 1u));
        status = sf_bits_region(writer, 1, (uint8_t)n, SF_PLAIN);
        if (status == SF_OK) {
            status = sf_bits_put(writer, &part, 1);
        }
    }
    return status;
}

/* Everything before the check. */
static sf_status_t put_parts(sf_bit_writer_t *writer, const sf_head_t *head, const uint8_t *map,
                             const uint8_t *const *also) {
    uint8_t counts[SF_MAP_LEVELS_MAX - 1u];
    uint64_t ranks[SF_MAP_LEVELS_MAX - 1u];
    count(head, map, counts);
    rank(head, map, ranks);
    sf_status_t status = sf_bits_region(writer, head->levels - 1u, (uint8_t)bits_of_count(head), SF_PLAIN);
    if (status == SF_OK) {
        status = sf_bits_put(writer, counts, head->levels - 1u);
    }
    uint32_t before = head->places;
    for (uint32_t j = 0; j + 1u < head->levels && status == SF_OK; j++) {
        status = put_number(writer, ranks[j], bits_of_rank(before, counts[j]));
        before = counts[j];
    }
    for (uint32_t i = 0; i < head->n_also && status == SF_OK; i++) {
        status = sf_bits_region(writer, head->also[i].items, head->also[i].bits, SF_PLAIN);
        if (status == SF_OK) {
            status = sf_bits_put(writer, also[i], head->also[i].items);
        }
    }
    return status;
}

/* The whole head before its protection; bytes are filled with zeros. */
static sf_status_t assemble(const sf_head_t *head, const uint8_t *map, const uint8_t *const *also,
                            uint8_t *bytes, uint32_t *bits) {
    sf_bit_writer_t writer;
    memset(bytes, 0, HEAD_BYTES);
    sf_status_t status = sf_bits_begin(&writer, bytes, HEAD_BYTES);
    if (status == SF_OK) {
        status = put_parts(&writer, head, map, also);
    }
    sf_bit_writer_t filled = writer; /* the check is over whole bytes, and follows the bits */
    if (status == SF_OK) {
        status = sf_bits_end(&filled, bits);
    }
    if (status == SF_OK) {
        status = put_number(&writer, sf_crc16(bytes, filled.ready), CHECK_BITS);
    }
    return status == SF_OK ? sf_bits_end(&writer, bits) : status;
}

static sf_status_t put_golay(sf_bit_writer_t *writer, const uint8_t *bytes, uint32_t bits) {
    sf_status_t status = SF_OK;
    for (uint32_t at = 0; at < bits && status == SF_OK; at += GOLAY_DATA) {
        const uint32_t two = (uint32_t)bytes[at / 8u] << 8 | bytes[at / 8u + 1u];
        const uint32_t data = at % 8u == 0u ? two >> 4 : two & 0xFFFu;
        uint32_t parity = 0;
        for (uint32_t i = 0; i < GOLAY_DATA; i++) {
            parity ^= (data >> (GOLAY_DATA - 1u - i) & 1u) != 0u ? golay_rows[i] : 0u;
        }
        status = put_number(writer, data << GOLAY_DATA | parity, GOLAY_WORD);
    }
    return status;
}

sf_status_t sf_head_write(const sf_head_t *head, const uint8_t *map, const uint8_t *const *also, int protect,
                          sf_bit_writer_t *writer) {
    uint8_t bytes[HEAD_BYTES];
    uint32_t bits = 0;
    sf_status_t status = assemble(head, map, also, bytes, &bits);
    if (status == SF_OK && head->protect != SF_NONE) {
        status = put_number(writer, protect ? (1u << FLAG_COPIES) - 1u : 0u, FLAG_COPIES);
    }
    if (status == SF_OK && protect) {
        return put_golay(writer, bytes, bits);
    }
    if (status == SF_OK) {
        status = sf_bits_region(writer, bits / 8u, 8, SF_PLAIN);
    }
    if (status == SF_OK) {
        status = sf_bits_put(writer, bytes, bits / 8u);
    }
    return status == SF_OK ? put_number(writer, (uint32_t)bytes[bits / 8u] >> (8u - bits % 8u), bits % 8u)
                           : status;
}

static int also_fits(const sf_program_t *program, const sf_head_t *head) {
    uint32_t items = 0;
    for (uint32_t i = 0; i < head->n_also; i++) {
        const sf_also_t *also = &head->also[i];
        if (also->bits < 1u || also->bits > 8u || !sf_program_keeps(program, also->tensor, also->items)) {
            return 0;
        }
        items += also->items;
    }
    return items <= SF_ALSO_ITEMS_MAX;
}

/* Whether the regions take the bits that the head says. */
static int regions_fit(const sf_program_t *program, const sf_head_t *head) {
    uint32_t fixed = 0;
    uint32_t levels[SF_MAP_LEVELS_MAX] = {0};
    for (uint32_t i = 0; i < program->n_regions; i++) {
        const sf_region_t *region = &program->regions[i];
        if (region->items == SF_ITEMS_EXACTLY && region->told_by == head->map &&
            region->rows == head->places && region->protection == SF_PLAIN &&
            region->at_least < head->levels) {
            levels[region->at_least] += (uint32_t)region->each * region->bits;
        } else if (region->items == SF_ITEMS_EVERY) {
            fixed += (uint32_t)sf_region_bits((uint32_t)region->rows * region->each, region->bits,
                                              (sf_protection_t)region->protection);
        } else {
            return 0;
        }
    }
    int same = fixed == head->fixed_bits;
    for (uint32_t level = 0; level < head->levels; level++) {
        same = same && levels[level] == head->level_bits[level];
    }
    return same;
}

static int head_fits(const sf_program_t *program) {
    const sf_head_t *head = program->head;
    return head->places >= 1u && head->places <= SF_PLACES_MAX && head->levels >= 2u &&
           head->levels <= SF_MAP_LEVELS_MAX && head->level_bits != NULL && head->n_also <= SF_ALSO_MAX &&
           (head->n_also == 0u || head->also != NULL) &&
           (head->protect == SF_NONE ||
            (head->protect < program->n_controls && program->controls[head->protect].high <= 1u)) &&
           sf_program_keeps(program, head->map, head->places) && also_fits(program, head) &&
           regions_fit(program, head);
}

static sf_status_t head_write(sf_encoder_t *encoder, const sf_head_t *head) {
    const uint8_t *also[SF_ALSO_MAX] = {NULL};
    for (uint32_t i = 0; i < head->n_also; i++) {
        also[i] = sf_encoder_kept(encoder, head->also[i].tensor);
    }
    const int protect = head->protect != SF_NONE && sf_encoder_controls(encoder)[head->protect] > 0u;
    return sf_head_write(head, sf_encoder_kept(encoder, head->map), also, protect, &encoder->bits);
}

const sf_head_ops_t sf_head_of_map = {head_fits, head_write};
