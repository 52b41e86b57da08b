/* Pilots: known bytes among the codes of a CODES frame, by which the receiver estimates the bit error rate.
 *
 * Pilot j of n in a payload of `total` bytes (codes and pilots) stands at byte floor(j * total / n), so they are
 * spread over the frame and the first byte is one. Their values come from xorshift32 (Marsaglia, 2003), seeded by
 * bundle, frame number and request, so that they differ from frame to frame and tell whether codes and header belong
 * together. docs/wire-format.md has the definition;
 * the host's twin is host/semflash/link/codes/pilots.py.
 */
#ifndef SEMFLASH_PILOT_H
#define SEMFLASH_PILOT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sf_pilot {
    uint32_t state; /* never 0 */
} sf_pilot_t;

void sf_pilot_begin(sf_pilot_t *pilot, uint32_t bundle, uint16_t sequence, uint32_t request);
uint8_t sf_pilot_next(sf_pilot_t *pilot);

/* Byte where pilot j stands; j <= n, n >= 1, n <= total, total <= 65,535. For j == n: total. */
uint16_t sf_pilot_position(uint16_t j, uint16_t n, uint16_t total);

#ifdef __cplusplus
}
#endif

#endif
