/* Thin doors into the device runtime for tests: the cffi library and the sanitised driver use the same ones. */
#ifndef SEMFLASH_TEST_HARNESS_H
#define SEMFLASH_TEST_HARNESS_H

#include <stddef.h>
#include <stdint.h>

#define HARNESS_EXPORT __attribute__((visibility("default")))

typedef struct harness_event {
    int32_t status; /* sf_status_t; the fields below are set when it is SF_OK */
    uint32_t bundle;
    uint32_t request;
    uint16_t sequence;
    uint16_t length;
    uint8_t type;
    uint8_t damaged;
    uint8_t payload[4096];
} harness_event_t;

/* The payload's head: a map, also_items codes of 4 bits, and whether a control can protect it. */
typedef struct harness_head {
    const uint16_t *level_bits; /* [levels] */
    uint16_t fixed_bits;
    uint8_t places;
    uint8_t levels;
    uint8_t also_items;
    uint8_t protectable;
} harness_head_t;

/* An image of rows x columns patches of side x side pixels. */
typedef struct harness_grid {
    uint16_t rows;
    uint16_t columns;
    uint8_t side;
    uint8_t channels;
} harness_grid_t;

HARNESS_EXPORT uint16_t harness_crc16(const uint8_t *bytes, size_t n);
HARNESS_EXPORT uint32_t harness_crc32(const uint8_t *bytes, size_t n);

/* COBS and delimiter of bytes; returns the length or a negative status. The writer fails after `room` bytes. */
HARNESS_EXPORT long harness_cobs_encode(const uint8_t *bytes, size_t n, uint8_t *out, size_t room);

/* Decode until the first delimiter. Returns a status; *length as sf_cobs_decoder_t counts it. */
HARNESS_EXPORT int harness_cobs_decode(const uint8_t *bytes, size_t n, uint8_t *out, size_t capacity,
                                       size_t *length);

/* Feed a stream to a frame decoder that accepts payload_max bytes; returns the number of events, at most room. */
HARNESS_EXPORT size_t harness_decode_frames(const uint8_t *bytes, size_t n, size_t payload_max,
                                            harness_event_t *events, size_t room);

HARNESS_EXPORT long harness_write_frame(const harness_event_t *frame, uint8_t *out, size_t room);

/* GDN tail over n latent vectors. */
HARNESS_EXPORT int harness_gdn(uint16_t channels, uint16_t levels, int8_t zero_point, const int64_t *beta,
                               const int32_t *gamma, const int32_t *threshold, const int8_t *latents,
                               size_t n, uint8_t *codes);

/* Table tail over n latent vectors. */
HARNESS_EXPORT int harness_table(uint16_t channels, const uint8_t *table, const int8_t *latents, size_t n,
                                 uint8_t *codes);

/* Sort codes [positions][channels]; returns the number of scores, of which places has room. */
HARNESS_EXPORT int harness_order(uint16_t positions, uint16_t channels, uint16_t levels, uint16_t step,
                                 const uint8_t *saliency, const uint8_t *codes, uint16_t *places,
                                 uint8_t *sorted);

/* Modulation of n positions by one set of integers. */
HARNESS_EXPORT int harness_modulate(uint16_t channels, uint8_t shift, const int16_t *multiplier,
                                    const int32_t *offset, const int8_t *values, size_t n, int8_t *out);

/* Projection of n positions by one set of integers. */
HARNESS_EXPORT int harness_project(uint16_t channels, uint16_t outputs, int8_t zero_point,
                                   const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                                   const int8_t *shift, const int8_t *values, size_t n, int8_t *out);

/* Power normalisation of n images of `items` values each. */
HARNESS_EXPORT int harness_normalise(uint32_t gain, uint16_t items, int8_t zero_point, const int8_t *values,
                                     size_t n, int8_t *out);

/* Pack codes [positions][channels] with a whole encoder whose graph passes rows through. poll_bytes > 0: fetch
 * with sf_encoder_poll in pieces after each row. Returns the payload length or a negative status. */
HARNESS_EXPORT long harness_pack(uint16_t positions, uint16_t channels, uint8_t bits, const uint8_t *codes,
                                 size_t poll_bytes, uint8_t *out, size_t room);

/* A layout and its tensors, written into `room` bytes; the form of the message is that of layout_message() in
 * test_layout.py. Returns the payload's length in bytes or a negative status. */
HARNESS_EXPORT long harness_layout(const uint8_t *message, size_t n, uint8_t *out, size_t room,
                                   uint32_t *bits);

/* Levels of n images by weights [n][places]. */
HARNESS_EXPORT int harness_select(const harness_head_t *given, const uint16_t *gains, const uint32_t *weights,
                                  const uint32_t *room_bits, const uint8_t *protect, size_t n,
                                  uint8_t *levels);

/* Weights of the patches of n images by scores [n][places] and pixels, and their backgrounds. */
HARNESS_EXPORT int harness_weights(const harness_grid_t *grid, uint8_t contrast, const uint16_t *table,
                                   const int8_t *scores, const int8_t *images, size_t n, uint32_t *weights,
                                   uint8_t *background);

/* The head of one payload; returns its length in bytes or a negative status. */
HARNESS_EXPORT long harness_head(const harness_head_t *given, int protect, const uint8_t *map,
                                 const uint8_t *items, uint8_t *out, size_t room, uint32_t *bits);

/* Codes of all patches of one image by one coder, whose weights are in the device's order. pairs: memory of a
 * halfword for each value of a patch, filled to four. */
HARNESS_EXPORT int harness_patch_codes(const harness_grid_t *grid, uint16_t coefficients, uint8_t bytes,
                                       const uint8_t *bits, const int8_t *weights, const int32_t *thresholds,
                                       const int8_t *image, uint32_t *pairs, uint8_t *codes);

/* The same less the background, by codes of the mean of each channel; channels: sums of the coefficients' weights. */
HARNESS_EXPORT int harness_centred_codes(const harness_grid_t *grid, uint16_t coefficients, uint8_t bytes,
                                         const uint8_t *bits, const int8_t *weights,
                                         const int32_t *thresholds, const int32_t *channels,
                                         const int8_t *image, const uint8_t *background, uint32_t *pairs,
                                         uint8_t *codes);

/* What raising each patch of one image to each level is worth: slopes[places][levels - 1]. Bits, weights, thresholds
 * and channels of all coders lie one behind the other, coefficients[levels - 1] says how many each has. */
HARNESS_EXPORT int harness_slopes(const harness_grid_t *grid, uint8_t levels, const uint16_t *level_bits,
                                  const uint16_t *coefficients, const uint8_t *bits, const int8_t *weights,
                                  const int32_t *thresholds, const int32_t *channels, const uint8_t *picks,
                                  const int16_t *centres, const uint16_t *scales, const int8_t *image,
                                  const uint8_t *background, uint32_t *pairs, uint32_t *slopes);

/* Levels of n images by slopes[n][places][levels - 1]. */
HARNESS_EXPORT int harness_by_slopes(const harness_head_t *head, const uint32_t *weights,
                                     const uint32_t *slopes, const uint32_t *room_bits,
                                     const uint8_t *protect, size_t n, uint8_t *levels);

/* Number of violations of the bit writer's contract that are not answered by the documented status. */
HARNESS_EXPORT int harness_bits_misuse(void);

/* Number of contract violations of the encoder that are not answered by the documented status; 0 is good. */
HARNESS_EXPORT int harness_encoder_misuse(void);

/* Capture from a source that fails at row fail_at (none when >= rows); returns the status, frames sent go to
 * out, *n bytes. broken_at < room: the line breaks after so many bytes, and a second capture, request 77, has a good
 * one. */
HARNESS_EXPORT int harness_capture(uint16_t fail_at, size_t broken_at, uint8_t *out, size_t room, size_t *n);

/* A device that shows a source which fails at row fail_at (none when >= rows); bytes are received, frames sent go to out,
 * *sent bytes. Returns the status. */
HARNESS_EXPORT int harness_show(uint16_t fail_at, const uint8_t *bytes, size_t n, uint8_t *out, size_t room,
                                size_t *sent);

#endif
