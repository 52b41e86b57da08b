/* The streaming encoder: rows of int8 pixels in, payload out, as a device program says.
 *
 * No heap, no mutable file-scope state: the caller owns sf_encoder_t, the program's state and the payload
 * buffer, and their sizes are constants in the generated header sf_model.h:
 *
 *     static sf_encoder_t encoder;
 *     static uint8_t state[SF_MODEL_STATE_BYTES] SF_ALIGN8;
 *     static uint8_t payload[SF_MODEL_PAYLOAD_BYTES];
 *     sf_encoder_init(&encoder, &sf_model, state, sizeof state, payload, sizeof payload);
 *     sf_encoder_control(&encoder, id, value);                                // where the program has controls
 *     sf_encoder_begin(&encoder);
 *     for each row: sf_encoder_push_row(&encoder, row, SF_MODEL_ROW_BYTES);   // SF_MORE ... SF_OK at the last row
 *     sf_encoder_poll(&encoder, out, capacity, &n);                           // any time: whole bytes ready so far
 *
 * A firmware may hold several programs, each with an encoder of its own; the generator gives each a prefix.
 */
#ifndef SEMFLASH_ENCODER_H
#define SEMFLASH_ENCODER_H

#include <stddef.h>
#include <stdint.h>

#include "semflash/program.h"
#include "semflash/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SF_ALIGN8 __attribute__((aligned(8)))

typedef struct sf_encoder {
    const sf_program_t *program;
    uint8_t *state;
    uint8_t *payload;
    sf_bit_writer_t bits;   /* bits.ready: whole bytes of the payload so far */
    uint32_t payload_bits;  /* of the complete image */
    uint32_t payload_taken; /* bytes handed out by poll */
    uint16_t next_row;
    uint16_t positions[SF_GRAPHS_MAX]; /* that each graph has given */
    uint8_t graph;                     /* number of the stage that is being run */
    uint8_t running;                   /* between begin and the last row */
} sf_encoder_t;

/* Bind a program to the caller's memory. state must be 8-byte aligned. */
SF_MUST_CHECK sf_status_t sf_encoder_init(sf_encoder_t *encoder, const sf_program_t *program, void *state,
                                          size_t state_bytes, uint8_t *payload, size_t payload_bytes);

/* Set the control with this id, from the next image on; a value outside its range is brought into it.
 * SF_ERR_ARGUMENT: the program has no such control. */
SF_MUST_CHECK sf_status_t sf_encoder_control(sf_encoder_t *encoder, uint8_t id, uint16_t value);

/* The values used for the image that was begun last, n_controls of them in the program's order. */
const uint16_t *sf_encoder_controls(const sf_encoder_t *encoder);

/* Start a new image; an unfinished one is forgotten. */
SF_MUST_CHECK sf_status_t sf_encoder_begin(sf_encoder_t *encoder);

/* Push one row of row_bytes int8 values. SF_MORE until the last row, then SF_OK: the payload is complete. */
SF_MUST_CHECK sf_status_t sf_encoder_push_row(sf_encoder_t *encoder, const int8_t *row, size_t row_bytes);

/* For stages with operations of their own: a kept tensor; a tail for the values of one position, whose codes go into
 * their tensor or straight into the payload. */
static inline uint8_t *sf_encoder_kept(const sf_encoder_t *encoder, uint32_t tensor) {
    return encoder->state + encoder->program->tensors[tensor].offset;
}
SF_MUST_CHECK sf_status_t sf_encoder_tail(sf_encoder_t *encoder, const sf_stage_t *tail, const int8_t *values,
                                          uint16_t channels, uint32_t position);

/* Copy payload bytes that are ready and were not polled before. *count <= capacity. */
SF_MUST_CHECK sf_status_t sf_encoder_poll(sf_encoder_t *encoder, uint8_t *out, size_t capacity,
                                          size_t *count);

#ifdef __cplusplus
}
#endif

#endif
