/* Constants of the wire format. Written by protocol/generate.py from protocol/wire.toml. */
/* clang-format off */
#ifndef SEMFLASH_WIRE_H
#define SEMFLASH_WIRE_H

#define SF_PROTOCOL_VERSION 3u
#define SF_FRAME_PAYLOAD_MAX 4096u
#define SF_FRAME_HEADER 16u /* bytes */
#define SF_FRAME_TRAILER 4u

/* Offsets of the header's fields. */
enum {
    SF_AT_VERSION = 0,
    SF_AT_TYPE = 1,
    SF_AT_SEQUENCE = 2,
    SF_AT_BUNDLE = 4,
    SF_AT_REQUEST = 8,
    SF_AT_LENGTH = 12,
    SF_AT_HEADER_CRC = 14,
};

typedef enum sf_frame_type {
    SF_FRAME_HELLO_REQUEST = 0x01,
    SF_FRAME_ROWS = 0x02,
    SF_FRAME_STATS_REQUEST = 0x03,
    SF_FRAME_CONTROL = 0x04,
    SF_FRAME_CAPTURE = 0x05,
    SF_FRAME_HELLO = 0x81,
    SF_FRAME_CODES = 0x82,
    SF_FRAME_IMAGE_STATS = 0x83,
    SF_FRAME_CREDIT = 0x84,
    SF_FRAME_REFUSED = 0x85,
    SF_FRAME_LINK_STATS = 0x86,
    SF_FRAME_FAULT = 0x87,
    SF_FRAME_CODES_PART = 0x88,
    SF_FRAME_SOURCE_ROWS = 0x89,
} sf_frame_type_t;

/* Types have no gaps: SF_FRAME_FIRST to _LAST from the host, SF_FRAME_DEVICE_* from the device. */
#define SF_FRAME_FIRST SF_FRAME_HELLO_REQUEST
#define SF_FRAME_LAST SF_FRAME_CAPTURE
#define SF_FRAME_DEVICE_FIRST SF_FRAME_HELLO
#define SF_FRAME_DEVICE_LAST SF_FRAME_SOURCE_ROWS

/* Reasons of REFUSED. */
typedef enum sf_refusal {
    SF_REFUSED_DAMAGED = 1, /* damaged payload */
    SF_REFUSED_ORDER = 2, /* row out of order */
    SF_REFUSED_RANGE = 3, /* rows outside the image */
    SF_REFUSED_BUNDLE = 4, /* foreign bundle */
    SF_REFUSED_ENCODER = 5, /* encoder error */
    SF_REFUSED_CONTROL_RANGE = 6, /* control out of its range */
    SF_REFUSED_CONTROL_UNKNOWN = 7, /* no such control, or a CONTROL frame that makes no sense */
    SF_REFUSED_SOURCE = 8, /* the board's own source gave no picture */
} sf_refusal_t;

typedef enum sf_counter_kind {
    SF_COUNTER_NONE = 0, /* none */
    SF_COUNTER_INSTRUCTIONS = 1, /* instructions (emulator, scaled) */
    SF_COUNTER_CYCLES = 2, /* cycles (CPU cycles (DWT)) */
} sf_counter_kind_t;

typedef enum sf_reset_cause {
    SF_RESET_UNKNOWN = 0, /* unknown */
    SF_RESET_POWER_ON = 1, /* power-on */
    SF_RESET_PIN = 2, /* pin */
    SF_RESET_SOFTWARE = 3, /* software */
    SF_RESET_WATCHDOG = 4, /* watchdog */
    SF_RESET_FAULT = 5, /* fault (a crash, FAULT follows) */
} sf_reset_cause_t;

/* Capabilities in HELLO. */
#define SF_CAN_PILOTS 0x00000001u /* CODES and CODES_PART carry pilots */
#define SF_CAN_TIME 0x00000002u /* HELLO and IMAGE_STATS carry the time since reset */
#define SF_CAN_FAULTS 0x00000004u /* a crash before the last reset is told in a FAULT frame */
#define SF_CAN_STREAM 0x00000008u /* the control 0 of the link lets codes leave while rows come in */
#define SF_CAN_CAPTURE 0x00000010u /* the board has a source of its own and answers CAPTURE */

/* Entries of HELLO: u8 tag, u8 length, value. _BYTES: the most bytes of a value. */
enum {
    SF_HELLO_PROTOCOL = 1,
    SF_HELLO_COUNTER = 2,
    SF_HELLO_WINDOW = 3,
    SF_HELLO_ROWS_PAYLOAD = 4,
    SF_HELLO_IMAGE = 5,
    SF_HELLO_PAYLOAD = 6,
    SF_HELLO_BUNDLE = 7,
    SF_HELLO_BUILD = 8,
    SF_HELLO_CLOCK = 9,
    SF_HELLO_RESET = 10,
    SF_HELLO_BOARD = 11,
    SF_HELLO_ENGINE = 12,
    SF_HELLO_CAPABILITIES = 13,
    SF_HELLO_LIBRARY = 14,
    SF_HELLO_UPTIME = 15,
    SF_HELLO_SENT = 16,
    SF_HELLO_PILOTS = 17,
    SF_HELLO_FRAGMENT = 18,
    SF_HELLO_PREFIX = 19,
    SF_HELLO_CONTROLS = 20,
    SF_HELLO_DEVICE = 21,
};
#define SF_HELLO_PROTOCOL_BYTES 1u
#define SF_HELLO_COUNTER_BYTES 5u
#define SF_HELLO_WINDOW_BYTES 2u
#define SF_HELLO_ROWS_PAYLOAD_BYTES 2u
#define SF_HELLO_IMAGE_BYTES 4u
#define SF_HELLO_PAYLOAD_BYTES 4u
#define SF_HELLO_BUNDLE_BYTES 4u
#define SF_HELLO_BUILD_BYTES 4u
#define SF_HELLO_CLOCK_BYTES 4u
#define SF_HELLO_RESET_BYTES 1u
#define SF_HELLO_BOARD_BYTES 24u
#define SF_HELLO_ENGINE_BYTES 16u
#define SF_HELLO_CAPABILITIES_BYTES 4u
#define SF_HELLO_LIBRARY_BYTES 3u
#define SF_HELLO_UPTIME_BYTES 8u
#define SF_HELLO_SENT_BYTES 4u
#define SF_HELLO_PILOTS_BYTES 2u
#define SF_HELLO_FRAGMENT_BYTES 2u
#define SF_HELLO_PREFIX_BYTES 1u
#define SF_HELLO_CONTROLS_BYTES 255u
#define SF_HELLO_DEVICE_BYTES 16u
#define SF_HELLO_ENTRIES_BYTES 151u /* all but CONTROLS */

/* Bytes of payloads of fixed size; ROWS begins with so many. */
#define SF_ROWS_BYTES 4u
#define SF_IMAGE_STATS_BYTES 12u
#define SF_CREDIT_BYTES 6u

/* Places of LINK_STATS' u32. */
enum {
    SF_LINK_STATS_OK = 0,
    SF_LINK_STATS_BROKEN_COBS = 1,
    SF_LINK_STATS_BAD_HEADER_CRC = 2,
    SF_LINK_STATS_UNKNOWN_VERSION_OR_TYPE = 3,
    SF_LINK_STATS_BAD_LENGTH = 4,
    SF_LINK_STATS_BAD_PAYLOAD_CRC = 5,
    SF_LINK_STATS_FOREIGN_BUNDLE = 6,
    SF_LINK_STATS_OVERRUNS = 7,
    SF_LINK_STATS_SENT = 8,
    SF_LINK_STATS_LOST = 9,
    SF_LINK_STATS_DUPLICATES = 10,
    SF_LINK_STATS_REORDERED = 11,
};
#define SF_LINK_STATS_COUNT 12u

/* CONTROL: u8 id, u8 size, value; the id of the link's own control. */
#define SF_CONTROL_STREAM 0u
#define SF_SETTING_HEADER 2u

/* The prefix of CODES_PART: these fields, then a u16 for each control, then a CRC-16. */
#define SF_PREFIX_FORMAT 1u
#define SF_PREFIX_LAST 0x01u
#define SF_PREFIX_STREAMED 0x02u
enum {
    SF_PREFIX_AT_FLAGS = 0,
    SF_PREFIX_AT_COUNT = 1,
    SF_PREFIX_AT_OFFSET = 2,
    SF_PREFIX_AT_BITS = 4,
    SF_PREFIX_AT_VALUES = 8,
};
#define SF_PREFIX_BYTES(controls) (8u + 2u * (controls) + 2u)

#endif
