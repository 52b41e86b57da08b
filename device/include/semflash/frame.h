/* Frames of the link, protocol version 3. The specification is docs/wire-format.md, with the constants of wire.h; its host twin is
 * host/semflash/link/frame.py, and tests/vectors/frames.json holds cases for both.
 *
 * COBS( version type sequence bundle request length header-CRC16 | payload | CRC32 ) 0x00
 *
 * The CRC-32 covers header and payload, so a payload is whole only behind its own header.
 * Decoding costs bounded time per byte, stores nothing outside the caller's buffer and trusts no length.
 */
#ifndef SEMFLASH_FRAME_H
#define SEMFLASH_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "semflash/cobs.h"
#include "semflash/status.h"
#include "semflash/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Buffer for the largest decoded frame with n payload bytes, and its longest form on the wire. */
#define SF_FRAME_BYTES(n) (SF_FRAME_HEADER + (n) + SF_FRAME_TRAILER)
#define SF_WIRE_BYTES(n)  SF_COBS_MAX(SF_FRAME_BYTES(n))

typedef struct sf_frame {
    uint8_t type;    /* sf_frame_type_t */
    uint8_t damaged; /* 1: the CRC-32 of header and payload is wrong (only codes are of use then) */
    uint16_t sequence;
    uint32_t bundle; /* first 32 bits of the bundle hash */
    uint32_t request;
    uint16_t length;        /* payload bytes, 0..4096 */
    const uint8_t *payload; /* length bytes */
} sf_frame_t;

typedef struct sf_frame_decoder {
    sf_cobs_decoder_t cobs;
    uint8_t complete; /* the buffer holds a finished frame: start over with the next byte */
} sf_frame_decoder_t;

/* buffer: SF_FRAME_BYTES(largest payload to accept) bytes, at least SF_FRAME_BYTES(0). */
SF_MUST_CHECK sf_status_t sf_frame_decoder_init(sf_frame_decoder_t *decoder, uint8_t *buffer,
                                                size_t capacity);

/* Feed one byte. SF_MORE: no frame yet. SF_OK: *frame is whole, its payload lies in the buffer until the next
 * call. SF_ERR_COBS, _HEADER, _VERSION, _LENGTH: a frame was dropped; checked in this order:
 * COBS form, 20 bytes at least (else LENGTH), header CRC, version and type, length. The decoder goes on with
 * the next frame. */
SF_MUST_CHECK sf_status_t sf_frame_decoder_push(sf_frame_decoder_t *decoder, uint8_t byte, sf_frame_t *frame);

/* A frame that is being written piece by piece, so that its payload need not lie in one place. */
typedef struct sf_frame_writer {
    sf_cobs_encoder_t *cobs;
    uint32_t crc;  /* of the header and the payload so far */
    uint16_t left; /* payload bytes still to come */
    uint16_t header_crc;
} sf_frame_writer_t;

/* Write the header of frame (payload and damaged are ignored), then its `length` payload bytes in any pieces, then
 * the end. Leaves the line in pieces of at most 255 bytes. SF_ERR_ARGUMENT: payload too long, or another number
 * of bytes than length. scratch is working memory until the end. */
SF_MUST_CHECK sf_status_t sf_frame_begin(sf_frame_writer_t *writer, const sf_frame_t *frame,
                                         sf_cobs_encoder_t *scratch, sf_write_fn write, void *context);
SF_MUST_CHECK sf_status_t sf_frame_push(sf_frame_writer_t *writer, const uint8_t *bytes, size_t n);
SF_MUST_CHECK sf_status_t sf_frame_end(sf_frame_writer_t *writer);

/* The three in one call, for a payload that lies in one place. */
SF_MUST_CHECK sf_status_t sf_frame_write(const sf_frame_t *frame, sf_cobs_encoder_t *scratch,
                                         sf_write_fn write, void *context);

/* Little-endian integers at any address. */
uint16_t sf_load_u16(const uint8_t *bytes);
uint32_t sf_load_u32(const uint8_t *bytes);
void sf_store_u16(uint8_t *bytes, uint16_t value);
void sf_store_u32(uint8_t *bytes, uint32_t value);

#ifdef __cplusplus
}
#endif

#endif
