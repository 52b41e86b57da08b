#include <string.h>

#include "semflash/stages.h"

#define LEVEL 16u /* score of one level of saliency */

uint32_t sf_order_scores(const sf_order_t *order) {
    return LEVEL * (order->levels - 1u) + (uint32_t)order->step * (order->channels - 1u) + 1u;
}

/* How far below the highest score a code stands. */
static uint32_t depth(const sf_order_t *order, const uint8_t *saliency, uint32_t position, uint32_t channel) {
    const uint32_t top = order->levels - 1u;
    const uint32_t level = saliency[position] < top ? saliency[position] : top;
    return LEVEL * (top - level) + order->step * channel;
}

void sf_order_codes(const sf_order_t *order, const uint8_t *saliency, const uint8_t *codes, uint16_t *places,
                    uint8_t *sorted) {
    const uint32_t scores = sf_order_scores(order);
    memset(places, 0, scores * sizeof *places);
    for (uint32_t p = 0; p < order->positions; p++) {
        for (uint32_t c = 0; c < order->channels; c++) {
            places[depth(order, saliency, p, c)]++;
        }
    }
    uint32_t first = 0; /* counts become the place of the first code of each score */
    for (uint32_t score = 0; score < scores; score++) {
        const uint32_t count = places[score];
        places[score] = (uint16_t)first;
        first += count;
    }
    for (uint32_t p = 0; p < order->positions; p++) {
        for (uint32_t c = 0; c < order->channels; c++) {
            sorted[places[depth(order, saliency, p, c)]++] = codes[p * order->channels + c];
        }
    }
}
