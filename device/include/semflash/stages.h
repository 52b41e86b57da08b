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

/* A linear map of the channels of one position, with requantisation by gemmlowp's double rounding:
 *
 *     out[j] = clamp(zero_point + requantise(bias[j] + sum_c weights[j * channels + c] values[c], multiplier[j],
 *                                            shift[j]), -128, 127)
 *
 * The source's zero point is taken off the biases. The host proves on export and on load that no sum, and no
 * shifted one, leaves int32. */
typedef struct sf_project {
    uint16_t channels;         /* 1..256 */
    uint16_t outputs;          /* 1..256 */
    int8_t zero_point;         /* of the output */
    const int8_t *weights;     /* [outputs * channels] */
    const int32_t *bias;       /* [outputs] */
    const int32_t *multiplier; /* [outputs], Q31, >= 0 */
    const int8_t *shift;       /* [outputs], -31..30, > 0: to the left */
} sf_project_t;

/* Power normalisation, no root, no division. With q = value - zero_point, S the sum of all q^2 and r(S) the table
 * of 1 / sqrt(S), within 0.4 %:
 *
 *     out = clamp(q * gain / 2^8 * r(S), -127, 127), rounded half away from zero; 0 where S is 0 */
typedef struct sf_normalise {
    uint32_t gain;     /* Q8, below 2^24 */
    uint16_t n;        /* values of an image */
    int8_t zero_point; /* of the source */
} sf_normalise_t;

/* out[outputs] of one position values[channels]. */
void sf_project_position(const sf_project_t *project, const int8_t *values, int8_t *out);

/* out[n] of values[n]; both may be the same memory. */
void sf_normalise_values(const sf_normalise_t *normalise, const int8_t *values, int8_t *out);

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
