/* A streaming chain in the middle of a graph: rows come from a tensor in memory and go to another one. */
#include <string.h>

#include "semflash/fused.h"
#include "semflash/kernels.h"

typedef struct target {
    int8_t *next;
    uint32_t channels;
} target_t;

static sf_status_t store(void *context, const int8_t *values) {
    target_t *to = (target_t *)context;
    memcpy(to->next, values, to->channels);
    to->next += to->channels;
    return SF_OK;
}

uint32_t sf_fused_segment_scratch(const struct sf_fused_graph *graph) {
    return graph->state_bytes;
}

sf_status_t sf_fused_segment(const struct sf_fused_graph *graph, const int8_t *in, int8_t *out, void *scratch,
                             uint32_t scratch_bytes) {
    if (scratch_bytes < graph->state_bytes) {
        return SF_ERR_MEMORY;
    }
    target_t to = {out, graph->latent_channels};
    sf_status_t status = sf_fused_reset(graph, scratch);
    for (uint16_t row = 0; row < graph->stages[0].in_rows && status >= SF_OK; row++) {
        status = sf_fused_push_row(graph, scratch, row, in, store, &to);
        in += graph->row_bytes;
    }
    return status < SF_OK ? status : SF_OK;
}
