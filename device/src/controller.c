#include "semflash/controller.h"

#include <stddef.h>

#define ROWS_MAX    64u
#define MU_MAX      255u
#define WORTH_SHIFT 17u

static int table_fits(const sf_worth_t *table) {
    if (table == NULL || table->rho == NULL || table->worth == NULL || table->settings < 1u ||
        table->settings > SF_SETTINGS_MAX || table->rows < 1u || table->rows > ROWS_MAX ||
        table->snr_step < 1) {
        return 0;
    }
    for (uint32_t i = 0; i < table->settings; i++) {
        if (table->rho[i] > SF_RHO_ONE) {
            return 0;
        }
    }
    for (uint32_t i = 0; i < (uint32_t)table->rows * table->settings; i++) {
        if (table->worth[i] > SF_LAMBDA_ONE) {
            return 0;
        }
    }
    return 1;
}

/* v times the largest gain of worth per rho over the setting of least rho, rounded up. */
static uint64_t steepest(const sf_worth_t *table, uint32_t v) {
    uint32_t least = 0;
    for (uint32_t g = 1; g < table->settings; g++) {
        least = table->rho[g] < table->rho[least] ? g : least;
    }
    uint64_t found = 0;
    for (uint32_t r = 0; r < table->rows; r++) {
        const uint16_t *row = table->worth + r * table->settings;
        for (uint32_t g = 0; g < table->settings; g++) {
            const uint32_t more = table->rho[g] - table->rho[least];
            if (more > 0u && row[g] > row[least]) {
                const uint64_t gain = (uint64_t)v * (uint32_t)(row[g] - row[least]) << WORTH_SHIFT;
                const uint64_t each = (gain + more - 1u) / more;
                found = each > found ? each : found;
            }
        }
    }
    return found;
}

sf_status_t sf_controller_init(sf_controller_t *controller, const sf_worth_t *table, uint32_t threshold,
                               uint32_t v, uint32_t mu, int at_bound) {
    if (controller == NULL || !table_fits(table) || threshold > SF_RHO_ONE || v < 1u || v > SF_V_MAX ||
        mu < 1u || mu > MU_MAX) {
        return SF_ERR_ARGUMENT;
    }
    uint32_t most = 0;
    for (uint32_t g = 0; g < table->settings; g++) {
        most = table->rho[g] > most ? table->rho[g] : most;
    }
    const uint64_t bound = steepest(table, v) + (most > threshold ? (uint64_t)mu * (most - threshold) : 0u);
    if (bound > UINT32_MAX / 2u) {
        return SF_ERR_ARGUMENT;
    }
    controller->table = table;
    controller->threshold = threshold;
    controller->v = v;
    controller->mu = mu;
    controller->bound = (uint32_t)bound;
    controller->queue = at_bound ? controller->bound : 0u;
    return SF_OK;
}

/* The row nearest to an SNR, halves up. */
static uint32_t row_of(const sf_worth_t *table, int32_t snr) {
    const int64_t from = 2 * ((int64_t)snr - table->snr_low) + table->snr_step;
    if (from < 0) {
        return 0;
    }
    const int64_t row = from / (2 * (int64_t)table->snr_step);
    return row < table->rows ? (uint32_t)row : table->rows - 1u;
}

uint32_t sf_controller_choose(const sf_controller_t *controller, int32_t snr) {
    const sf_worth_t *table = controller->table;
    const uint16_t *row = table->worth + row_of(table, snr) * table->settings;
    uint32_t best = 0;
    int64_t least = INT64_MAX;
    for (uint32_t g = 0; g < table->settings; g++) {
        /* below 2^49 */
        const int64_t cost = (int64_t)((uint64_t)controller->queue * table->rho[g]) -
                             (int64_t)((uint64_t)controller->v * row[g] << WORTH_SHIFT);
        if (cost < least || (cost == least && table->rho[g] < table->rho[best])) {
            least = cost;
            best = g;
        }
    }
    return best;
}

void sf_controller_spent(sf_controller_t *controller, uint32_t rho) {
    const uint32_t cost = rho < SF_RHO_ONE ? rho : SF_RHO_ONE;
    const int64_t queue =
        (int64_t)controller->queue + (int64_t)controller->mu * ((int64_t)cost - controller->threshold);
    controller->queue = queue < 0 ? 0u : queue > (int64_t)UINT32_MAX ? UINT32_MAX : (uint32_t)queue;
}

int sf_controller_infeasible(const sf_controller_t *controller) {
    return controller->queue / 2u > controller->bound ||
           (controller->queue / 2u == controller->bound && controller->queue % 2u > 0u);
}
