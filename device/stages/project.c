#include "../kernels/requantise.h"
#include "semflash/stages.h"

/* Two channels at a time: this loop is most of the stage's work. */
static int32_t sum(const int8_t *weights, const int8_t *values, uint32_t channels, int32_t bias) {
    const int8_t *end = values + (channels & ~1u);
    int32_t total = bias;
    while (values < end) {
        total += weights[0] * values[0] + weights[1] * values[1];
        weights += 2;
        values += 2;
    }
    return (channels & 1u) != 0u ? total + *weights * *values : total;
}

void sf_project_position(const sf_project_t *project, const int8_t *values, int8_t *out) {
    const uint32_t channels = project->channels;
    const int8_t *weights = project->weights;
    for (uint32_t j = 0; j < project->outputs; j++) {
        const int32_t real = sf_requantise(sum(weights, values, channels, project->bias[j]),
                                           project->multiplier[j], project->shift[j]);
        out[j] = sf_clamp_int8(real + project->zero_point, INT8_MIN, INT8_MAX);
        weights += channels;
    }
}
