/* The device tail: from the int8 latent of the encoder's last convolution to codes.
 *
 * SF_TAIL_GDN (SemanticNN): GDN, PReLU and nearest centre as integer threshold tests, no root, no division.
 * With q = latent - zero_point, for output channel c:
 *
 *     den  = beta[c] + sum_i gamma[i * channels + c] * q_i^2            (Q16, int64)
 *     code = number of thresholds t with  sign(q_c) q_c^2 2^40 > threshold[c * (levels-1) + t] * den   (Q24 * Q16)
 *
 * thresholds: squared midpoints between sorted centres, signed, pulled back through PReLU (alpha > 0), ascending.
 * The host proves on export and on load that no product leaves int64.
 *
 * SF_TAIL_TABLE (codecs without coupling between channels): code = table[c * 256 + (latent + 128)].
 *
 * The independent reference is host/semflash/program/reference/tails.py; both agree on every code.
 */
#ifndef SEMFLASH_TAIL_H
#define SEMFLASH_TAIL_H

#include <stdint.h>

#include "semflash/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sf_tail_kind { SF_TAIL_GDN = 1, SF_TAIL_TABLE = 2 } sf_tail_kind_t;

typedef struct sf_tail {
    sf_tail_kind_t kind;
    uint16_t channels;
    uint16_t levels; /* number of centres, 2..16 (GDN) or 2..256 (table) */
    int8_t zero_point;
    const int64_t *beta;      /* [channels], Q16 in units of q^2, > 0 */
    const int32_t *gamma;     /* [channels * channels], Q16, input channel major, >= 0 */
    const int32_t *threshold; /* [channels * (levels - 1)], Q24, ascending per channel */
    const uint8_t *table;     /* [channels * 256] */
} sf_tail_t;

/* Code of one channel of one latent vector latent[channels]; channel < channels, kind is one of the two. */
uint8_t sf_tail_code(const sf_tail_t *tail, const int8_t *latent, uint16_t channel);

/* codes[channels] of one latent vector latent[channels]. */
SF_MUST_CHECK sf_status_t sf_tail_codes(const sf_tail_t *tail, const int8_t *latent, uint8_t *codes);

#ifdef __cplusplus
}
#endif

#endif
