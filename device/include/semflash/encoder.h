/* The streaming encoder: rows of int8 pixels in, packed codes out.
 *
 *   image rows -> device graph (generated) -> latent vectors -> device tail -> codes -> bits
 *
 * No heap, no mutable file-scope state: the caller owns sf_encoder_t, the graph's state and the payload
 * buffer, and their sizes are constants in the generated header sf_model.h:
 *
 *     static sf_encoder_t encoder;
 *     static uint8_t state[SF_MODEL_STATE_BYTES] SF_ALIGN8;
 *     static uint8_t payload[SF_MODEL_PAYLOAD_BYTES];
 *     sf_encoder_init(&encoder, &sf_model, state, sizeof state, payload, sizeof payload);
 *     sf_encoder_begin(&encoder);
 *     for each row: sf_encoder_push_row(&encoder, row, SF_MODEL_ROW_BYTES);   // SF_MORE ... SF_OK at the last row
 *     sf_encoder_poll(&encoder, out, capacity, &n);                           // any time: whole bytes ready so far
 */
#ifndef SEMFLASH_ENCODER_H
#define SEMFLASH_ENCODER_H

#include <stddef.h>
#include <stdint.h>

#include "semflash/status.h"
#include "semflash/tail.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SF_ALIGN8 __attribute__((aligned(8)))

/* Called by a graph for every latent vector (all channels of one position), in raster order. */
typedef sf_status_t (*sf_latent_fn)(void *context, const int8_t *values);

/* One int8 device graph, written by the code generator. Immutable, lives in flash. */
typedef struct sf_graph {
    uint16_t rows;             /* image rows */
    uint16_t row_bytes;        /* width x channels, int8 */
    uint16_t latent_positions; /* latent height x width */
    uint16_t latent_channels;
    uint32_t state_bytes; /* RAM the caller lends, 8-byte aligned */
    sf_status_t (*reset)(void *state);
    /* Take row number `row` (0, 1, ...). May call emit any number of times. */
    sf_status_t (*push_row)(void *state, uint16_t row, const int8_t *values, sf_latent_fn emit,
                            void *context);
} sf_graph_t;

/* A whole device model: graph, tail and payload layout. Immutable, lives in flash. */
typedef struct sf_model {
    uint32_t runtime_api; /* SF_RUNTIME_API of the generator */
    uint32_t bundle_hash; /* first 32 bits of the bundle's SHA-256 */
    const sf_graph_t *graph;
    const sf_tail_t *tail;
    uint16_t payload_bytes;  /* ceil(latent_positions * latent_channels * bits_per_symbol / 8) */
    uint8_t bits_per_symbol; /* 1..8 */
    char engine[16];         /* for instance "aot/cmsis-nn", zero-padded */
} sf_model_t;

typedef struct sf_encoder {
    const sf_model_t *model;
    void *state;
    uint8_t *payload;
    uint32_t accumulator; /* bits not yet a whole byte, right-aligned */
    uint16_t accumulated_bits;
    uint16_t payload_ready; /* whole bytes packed */
    uint16_t payload_taken; /* bytes handed out by poll */
    uint16_t next_row;
    uint16_t positions_done;
    uint8_t running; /* between begin and the last row */
} sf_encoder_t;

/* Bind a model to the caller's memory. state must be 8-byte aligned. */
SF_MUST_CHECK sf_status_t sf_encoder_init(sf_encoder_t *encoder, const sf_model_t *model, void *state,
                                          size_t state_bytes, uint8_t *payload, size_t payload_bytes);

/* Start a new image; an unfinished one is forgotten. */
SF_MUST_CHECK sf_status_t sf_encoder_begin(sf_encoder_t *encoder);

/* Push one row of row_bytes int8 values. SF_MORE until the last row, then SF_OK: the payload is complete. */
SF_MUST_CHECK sf_status_t sf_encoder_push_row(sf_encoder_t *encoder, const int8_t *row, size_t row_bytes);

/* Copy payload bytes that are ready and were not polled before. *count <= capacity. */
SF_MUST_CHECK sf_status_t sf_encoder_poll(sf_encoder_t *encoder, uint8_t *out, size_t capacity,
                                          size_t *count);

#ifdef __cplusplus
}
#endif

#endif
