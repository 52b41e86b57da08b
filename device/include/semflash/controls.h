/* A program's controls on the device: values that wait for a later image, for the next one, and of this one.
 *
 * They lie in the program's state behind control_offset, SF_CONTROLS_BYTES(n_controls) bytes: u32 request from which
 * the waiting values hold (0: none wait), then a u16 for each control three times, waiting, next, used, then a u8 for
 * each, whether its value waits. A program without controls has none of it, and all functions here do nothing.
 */
#ifndef SEMFLASH_CONTROLS_H
#define SEMFLASH_CONTROLS_H

#include <stddef.h>
#include <stdint.h>

#include "semflash/encoder.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All controls at their defaults, nothing waits. */
void sf_controls_reset(const sf_encoder_t *encoder);

/* Number of the control with this id in the program, or n_controls. */
uint32_t sf_controls_number(const sf_program_t *program, uint32_t id);

/* The value of control `number` < n_controls, within its range, for image `request` and later ones (0: from the next
 * image on). What waited for another request waits for this one. */
void sf_controls_set(const sf_encoder_t *encoder, uint32_t request, uint32_t number, uint16_t value);

/* Image `request` begins: values that wait for it become those of the next image. */
void sf_controls_begin(const sf_encoder_t *encoder, uint32_t request);

/* The values of the next image become those that are used; what holds for one image is as before again. */
void sf_controls_use(const sf_encoder_t *encoder);

#ifdef __cplusplus
}
#endif

#endif
