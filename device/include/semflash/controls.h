/* A program's controls on the device: values that wait for a later image, for the next one, and of this one.
 *
 * They lie in the program's state behind control_offset, SF_CONTROLS_BYTES(n_controls) bytes: u32 request from which
 * the waiting values hold (0: none wait), then a u16 for each control three times, waiting, next, used. A program
 * without controls has none of it, and all functions here do nothing.
 */
#ifndef SEMFLASH_CONTROLS_H
#define SEMFLASH_CONTROLS_H

#include <stddef.h>
#include <stdint.h>

#include "semflash/encoder.h"
#include "semflash/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All controls at their defaults, nothing waits. */
void sf_controls_reset(const sf_encoder_t *encoder);

/* Obey the payload of a CONTROL frame about image `request` (0: the next one) as a whole, or not at all. *stream: the
 * link's own control. Returns 0, or an sf_refusal_t. */
uint32_t sf_controls_take(const sf_encoder_t *encoder, uint16_t *stream, uint32_t request, const uint8_t *payload,
                          size_t n);

/* Image `request` begins: values that wait for it become those of the next image. */
void sf_controls_begin(const sf_encoder_t *encoder, uint32_t request);

/* The values of the next image become those that are used; what holds for one image is as before again. */
void sf_controls_use(const sf_encoder_t *encoder);

#ifdef __cplusplus
}
#endif

#endif
