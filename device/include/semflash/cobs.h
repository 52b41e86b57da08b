/* Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999), streaming both ways.
 *
 * The encoded form holds no 0x00; the delimiter 0x00 ends a frame. Memory: one block of 255 bytes to encode,
 * the caller's frame buffer to decode.
 */
#ifndef SEMFLASH_COBS_H
#define SEMFLASH_COBS_H

#include <stddef.h>
#include <stdint.h>

#include "semflash/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SF_COBS_BLOCK 254u

/* Most bytes that n bytes become, delimiter included. */
#define SF_COBS_MAX(n) ((n) + ((n) / SF_COBS_BLOCK) + 2u)

/* Where encoded bytes go. Anything but SF_OK ends the encoding with that status. */
typedef sf_status_t (*sf_write_fn)(void *context, const uint8_t *bytes, size_t n);

typedef struct sf_cobs_encoder {
    sf_write_fn write;
    void *context;
    uint8_t block[SF_COBS_BLOCK + 1u]; /* [0] is the code byte */
    uint16_t fill;                     /* data bytes in block, 0..254 */
} sf_cobs_encoder_t;

void sf_cobs_encode_begin(sf_cobs_encoder_t *encoder, sf_write_fn write, void *context);
SF_MUST_CHECK sf_status_t sf_cobs_encode_push(sf_cobs_encoder_t *encoder, const uint8_t *bytes, size_t n);
/* Write the last block and the delimiter. */
SF_MUST_CHECK sf_status_t sf_cobs_encode_end(sf_cobs_encoder_t *encoder);

typedef struct sf_cobs_decoder {
    uint8_t *bytes; /* the caller's buffer */
    size_t capacity;
    size_t length; /* decoded so far; capacity + 1 when more came than fits (the rest is not stored) */
    uint8_t left;  /* data bytes missing in the current block */
    uint8_t code;  /* code byte of the current block, 0 before the first */
} sf_cobs_decoder_t;

void sf_cobs_decode_begin(sf_cobs_decoder_t *decoder, uint8_t *bytes, size_t capacity);

/* Feed one byte. SF_MORE inside a frame and for an empty one; at the delimiter SF_OK, or SF_ERR_COBS when a
 * block is cut short. Too long a frame is no COBS error: look at length. After either, call
 * sf_cobs_decode_begin before the next byte. */
SF_MUST_CHECK sf_status_t sf_cobs_decode_push(sf_cobs_decoder_t *decoder, uint8_t byte);

#ifdef __cplusplus
}
#endif

#endif
