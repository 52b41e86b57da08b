/* What a device does to int8 values and codes besides running graphs: one struct and one source file in
 * device/stages/ for each kind. Everything is constant data; the Python twins are in semflash/program/reference/,
 * and both agree on every code.
 */
#ifndef SEMFLASH_STAGES_H
#define SEMFLASH_STAGES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* GDN, PReLU and nearest centre (SemanticNN) as integer threshold tests, no root, no division.
 * With q = latent - zero_point, for output channel c:
 *
 *     den  = beta[c] + sum_i gamma[i * channels + c] * q_i^2            (Q16, int64)
 *     code = number of thresholds t with  sign(q_c) q_c^2 2^40 > threshold[c * (levels-1) + t] * den   (Q24 * Q16)
 *
 * thresholds: squared midpoints between sorted centres, signed, pulled back through PReLU (alpha > 0), ascending.
 * The host proves on export and on load that no product leaves int64. */
typedef struct sf_gdn {
    uint16_t channels;
    uint16_t levels; /* number of centres, 2..16 */
    int8_t zero_point;
    const int64_t *beta;      /* [channels], Q16 in units of q^2, > 0 */
    const int32_t *gamma;     /* [channels * channels], Q16, input channel major, >= 0 */
    const int32_t *threshold; /* [channels * (levels - 1)], Q24, ascending per channel */
} sf_gdn_t;

/* A table for each channel: code = table[c * 256 + (latent + 128)]. */
typedef struct sf_table {
    uint16_t channels;
    uint16_t levels;      /* 2..256 */
    const uint8_t *table; /* [channels * 256] */
} sf_table_t;

/* Codes by falling score 16 * saliency - step * channel, those of equal score in raster order. */
typedef struct sf_order {
    uint16_t positions;
    uint16_t channels;
    uint16_t levels; /* of the saliency */
    uint16_t step;
} sf_order_t;

/* Codes of the channels first .. first + n - 1 of one latent vector latent[channels]. */
void sf_gdn_codes(const sf_gdn_t *gdn, const int8_t *latent, uint16_t first, uint16_t n, uint8_t *codes);
void sf_table_codes(const sf_table_t *table, const int8_t *latent, uint16_t first, uint16_t n,
                    uint8_t *codes);

/* Different scores that an order can have: entries of its scratch memory. */
uint32_t sf_order_scores(const sf_order_t *order);

/* sorted[positions * channels] of saliency[positions] and codes[positions * channels]; places: scratch of
 * sf_order_scores() entries. */
void sf_order_codes(const sf_order_t *order, const uint8_t *saliency, const uint8_t *codes, uint16_t *places,
                    uint8_t *sorted);

#ifdef __cplusplus
}
#endif

#endif
