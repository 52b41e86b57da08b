/* The device side of the link, independent of any board: bytes in, frames out, images encoded in between.
 *
 * The caller owns all memory and gives a port of four functions; sf_device_receive() may be called with any
 * split of the byte stream. Protocol: docs/wire-format.md.
 *
 *     sf_device_init(&device, &config);
 *     for (;;) { n = bytes received so far; sf_device_receive(&device, bytes, n); }
 *
 * Memory and time are bounded by the sizes in sf_device_config_t whatever the bytes are.
 */
#ifndef SEMFLASH_DEVICE_H
#define SEMFLASH_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "semflash/encoder.h"
#include "semflash/frame.h"
#include "semflash/pilot.h"
#include "semflash/source.h"
#include "semflash/status.h"
#include "semflash/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SF_FAULT_BYTES      68u
#define SF_BOARD_NAME_BYTES SF_HELLO_BOARD_BYTES

/* What a board gives. All functions are called from sf_device_receive/_capture only. */
typedef struct sf_port {
    void *context;
    sf_write_fn write;                      /* take all n bytes (may block) */
    uint32_t (*ticks)(void *context);       /* free-running counter, modulo 2^32 */
    uint32_t (*stack_bytes)(void *context); /* deepest stack use so far, 0: unknown */
    uint32_t (*overruns)(void *context);    /* bytes lost by the receiver since reset */
    uint64_t (*uptime_us)(void *context);   /* microseconds since reset; NULL: the board has no clock */
    /* Write the FAULT payload (docs/wire-format.md) of the last crash and return 1; 0: there was none since power-on.
     * NULL: the board cannot tell. */
    uint8_t (*fault)(void *context, uint8_t report[SF_FAULT_BYTES]);
} sf_port_t;

/* What HELLO says about the board. */
typedef struct sf_board_info {
    sf_counter_kind_t counter_kind;
    uint32_t counter_scale; /* instructions (cycles) = ticks x scale / 65,536 */
    uint32_t clock_hz;
    uint32_t build_id;
    sf_reset_cause_t reset_cause;
    uint8_t id_bytes;      /* of the device's identity, at most SF_HELLO_DEVICE_BYTES; 0: it has none */
    uint32_t capabilities; /* SF_CAN_* that the port adds (SF_CAN_FAULTS); the others are found */
    const uint8_t *id;     /* stays where it is, for instance the chip's unique id */
    char name[SF_BOARD_NAME_BYTES]; /* zero-padded */
} sf_board_info_t;

/* Counts of LINK_STATS but for overruns and sent, which are counted elsewhere. Every frame received
 * adds to exactly one of the first seven; the last three are found from the host's frame numbers. */
typedef struct sf_link_stats {
    uint32_t ok;
    uint32_t broken_cobs;
    uint32_t bad_header_crc;
    uint32_t unknown_version_or_type;
    uint32_t bad_length;
    uint32_t bad_payload_crc;
    uint32_t foreign_bundle;
    uint32_t lost;       /* numbers that never came in an undamaged frame */
    uint32_t duplicates; /* frames whose number had come before */
    uint32_t reordered;  /* frames that came after a later one */
} sf_link_stats_t;

/* Which of the host's frame numbers have come. */
typedef struct sf_sequence {
    uint32_t session; /* of the last HELLO_REQUEST; another one starts counting anew */
    uint32_t window;  /* bit i: number next - 1 - i has come */
    uint16_t next;
    uint8_t known; /* a first frame has come */
} sf_sequence_t;

/* State of the image whose rows come in. */
typedef enum sf_image_state {
    SF_IMAGE_NONE = 0, /* nothing begun */
    SF_IMAGE_ROWS = 1, /* rows come in */
    SF_IMAGE_LOST = 2  /* refused: further rows of this request are dropped until row 0 */
} sf_image_state_t;

struct sf_device;

/* A source that the host may ask for pictures (CAPTURE), filled by sf_device_show. What shows is reached through a
 * pointer, so that firmware without a source does not hold it. */
typedef struct sf_shown {
    sf_status_t (*show)(struct sf_device *device, uint32_t request);
    const sf_source_t *source;
    int8_t *row;
} sf_shown_t;

typedef struct sf_device {
    sf_port_t port;
    sf_board_info_t board;
    sf_encoder_t *encoder;
    sf_frame_decoder_t decoder;
    sf_cobs_encoder_t cobs;
    sf_link_stats_t stats;
    const sf_shown_t *shown; /* answers CAPTURE; NULL: nothing does */
    uint32_t request;        /* image being received */
    uint32_t ticks;          /* spent on it */
    uint32_t credit;         /* ROWS and CONTROL frames consumed since HELLO */
    uint32_t sent;           /* frames since reset; its low half numbers the next one */
    sf_sequence_t heard;
    uint16_t next_row;
    uint16_t window;
    uint16_t pilot_bytes;
    uint16_t fragment_bytes; /* most codes in one frame */
    uint16_t
        stream; /* control SF_CONTROL_STREAM: codes leave early, so many bytes at least; 0: with the rest */
    uint8_t image; /* sf_image_state_t */
    uint8_t torn;  /* the line may hold half a frame: send a delimiter first */
} sf_device_t;

typedef struct sf_device_config {
    sf_port_t port;
    sf_board_info_t board;
    sf_encoder_t *encoder;   /* initialised */
    uint8_t *receive_buffer; /* SF_FRAME_BYTES(rows_payload) bytes; 4-byte aligned so that rows are */
    size_t receive_bytes;
    uint16_t rows_payload;   /* 4 + k x row bytes, k >= 1, at most 4,096 */
    uint16_t window;         /* ROWS and CONTROL frames the port's receive queue holds, at least 1 */
    uint16_t pilot_bytes;    /* known bytes in each frame of codes, 0: none */
    uint16_t fragment_bytes; /* most codes in one frame; 0: as many as fit */
} sf_device_config_t;

SF_MUST_CHECK sf_status_t sf_device_init(sf_device_t *device, const sf_device_config_t *config);

/* Feed received bytes. Only SF_ERR_IO (the port's write failed) and SF_ERR_ARGUMENT are errors; broken frames
 * are counted and refused as the protocol says. */
SF_MUST_CHECK sf_status_t sf_device_receive(sf_device_t *device, const uint8_t *bytes, size_t n);

/* Encode one image from the board's own source and send it as CODES and IMAGE_STATS of `request`; a half
 * received image is forgotten. row: buffer for one row. An error of the source or the encoder is returned and
 * sent as REFUSED with the encoder's reason. */
SF_MUST_CHECK sf_status_t sf_device_capture(sf_device_t *device, const sf_source_t *source, uint32_t request,
                                            int8_t *row, size_t row_bytes);

/* From now on answer the host's CAPTURE with a picture of `source`: its rows as they are, SOURCE_ROWS, one frame for
 * each, and no codes; an image that comes in meanwhile goes on. shown, source and row (a buffer for one row) stay where
 * they are. Call it after sf_device_init; HELLO then announces it. An error of the source is REFUSED. */
SF_MUST_CHECK sf_status_t sf_device_show(sf_device_t *device, sf_shown_t *shown, const sf_source_t *source,
                                         int8_t *row, size_t row_bytes);

#ifdef __cplusplus
}
#endif

#endif
