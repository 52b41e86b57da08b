/* How many symbols an image may have so that the mean over all images stays below a bound: a Lyapunov controller.
 *
 * A setting costs rho and is worth Lambda at the SNR of the moment; the one of least Z rho - V Lambda is chosen, and
 * Z <- max(0, Z + mu (rho - threshold)). The twin, with the bound of Z and what follows from it, is
 * semflash.channels.controller.py; both run the cases of tests/vectors/controller.json.
 */
#ifndef SEMFLASH_CONTROLLER_H
#define SEMFLASH_CONTROLLER_H

#include <stdint.h>

#include "semflash/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SF_SETTINGS_MAX 64u
#define SF_RHO_ONE      65536u
#define SF_LAMBDA_ONE   32768u
#define SF_V_MAX        16384u

/* What settings cost and are worth. Immutable, may lie in flash. */
typedef struct sf_worth {
    uint8_t settings;      /* 1..64 */
    uint8_t rows;          /* 1..64, one for each SNR */
    int32_t snr_low;       /* of the first row, hundredths of a dB */
    int32_t snr_step;      /* from row to row, above 0 */
    const uint32_t *rho;   /* [settings], 0..65536 */
    const uint16_t *worth; /* [rows * settings], 0..32768 */
} sf_worth_t;

typedef struct sf_controller {
    const sf_worth_t *table;
    uint32_t threshold; /* of the mean rho, 0..65536 */
    uint32_t v;         /* 1..16384 */
    uint32_t mu;        /* 1..255 */
    uint32_t bound;     /* of the queue, where it begins at its bound */
    uint32_t queue;     /* Z, 16 bits behind the point */
} sf_controller_t;

/* Bind a table; the queue begins at its bound, or at 0. SF_ERR_ARGUMENT: a number is out of its range, or the bound
 * beyond 2^31. */
SF_MUST_CHECK sf_status_t sf_controller_init(sf_controller_t *controller, const sf_worth_t *table,
                                             uint32_t threshold, uint32_t v, uint32_t mu, int at_bound);

/* The setting for an SNR in hundredths of a dB. */
uint32_t sf_controller_choose(const sf_controller_t *controller, int32_t snr);

/* What a slot really cost, at most 65536. */
void sf_controller_spent(sf_controller_t *controller, uint32_t rho);

/* Whether no choice keeps the threshold: the queue is beyond twice its bound. */
int sf_controller_infeasible(const sf_controller_t *controller);

#ifdef __cplusplus
}
#endif

#endif
