#include "batch.h"

#include <string.h>

typedef struct sink {
    int8_t *latent;
    uint32_t channels;
    int count;
} sink_t;

static sf_status_t collect(void *context, const int8_t *values) {
    sink_t *sink = (sink_t *)context;
    memcpy(sink->latent + sink->count, values, sink->channels);
    sink->count += (int)sink->channels;
    return SF_OK;
}

int batch_run(int index, void *state, const int8_t *image, int8_t *latent) {
    const test_model_t *model = test_models[index];
    sink_t sink = {latent, model->channels, 0};
    sf_status_t status = model->reset(state);
    for (uint32_t row = 0; row < model->rows && status >= SF_OK; row++) {
        status = model->push_row(state, (uint16_t)row, image + row * model->row_bytes, collect, &sink);
    }
    return status < SF_OK ? (int)status : sink.count;
}
