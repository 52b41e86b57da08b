/* What the files of the device's side of the link share: frames out. Not part of the interface. */
#ifndef SEMFLASH_SENDING_H
#define SEMFLASH_SENDING_H

#include "semflash/device.h"

/* Answers keep their payloads out of the stack frames under which the encoder runs. */
#if defined(__GNUC__)
#define SF_NOT_INLINED __attribute__((noinline))
#else
#define SF_NOT_INLINED
#endif

/* Microseconds since reset; 0 where the board has no clock. */
uint64_t sf_device_uptime_us(const sf_device_t *device);

/* A frame of `length` payload bytes for writer, after a delimiter where half a frame may stand on the line; then
 * its payload by sf_frame_push; then its end. */
SF_MUST_CHECK sf_status_t sf_device_begin(sf_device_t *device, sf_frame_writer_t *writer,
                                          sf_frame_type_t type, uint32_t request, uint16_t length);
SF_MUST_CHECK sf_status_t sf_device_end(sf_device_t *device, sf_frame_writer_t *writer);

/* The three in one, for a payload that lies in one place. */
SF_MUST_CHECK sf_status_t sf_device_send(sf_device_t *device, sf_frame_type_t type, uint32_t request,
                                         const uint8_t *payload, uint16_t length);

/* Answer to HELLO_REQUEST of a host's session. */
SF_MUST_CHECK sf_status_t sf_device_send_hello(sf_device_t *device, uint32_t session);

/* Obey the payload of a CONTROL frame about image `request` (0: the next one). *stream: the link's own control.
 * Returns 0, or an sf_refusal_t where nothing was changed. */
uint32_t sf_device_take_control(const sf_encoder_t *encoder, uint16_t *stream, uint32_t request,
                                const uint8_t *payload, size_t n);

/* The codes that are ready and were not sent yet. complete: they are the last; without it nothing happens unless
 * codes leave early, and enough are ready. */
SF_MUST_CHECK sf_status_t sf_device_send_codes(sf_device_t *device, int complete);

/* Whether codes carry a prefix: controls, a length that varies, or more codes than one frame holds. */
int sf_device_has_prefix(const sf_device_t *device);

/* The most codes in one frame that a CODES_PART frame has room for; 0: none. */
uint16_t sf_device_room(const sf_program_t *program, uint16_t pilot_bytes);

#endif
