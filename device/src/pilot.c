#include "semflash/pilot.h"

#define GOLDEN 0x9E3779B1u /* 2^32 / golden ratio, odd: spreads neighbouring frame numbers */
#define MIX    0x85EBCA6Bu /* of MurmurHash3's finaliser: one changed bit of the seed changes pilots by half */

void sf_pilot_begin(sf_pilot_t *pilot, uint32_t bundle, uint16_t sequence, uint32_t request) {
    uint32_t seed = (bundle ^ request) + ((uint32_t)sequence + 1u) * GOLDEN;
    seed ^= seed >> 16;
    seed *= MIX;
    seed ^= seed >> 13;
    pilot->state = seed != 0u ? seed : GOLDEN;
}

uint8_t sf_pilot_next(sf_pilot_t *pilot) {
    uint32_t x = pilot->state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    pilot->state = x;
    return (uint8_t)(x >> 24);
}

uint16_t sf_pilot_position(uint16_t j, uint16_t n, uint16_t total) {
    return (uint16_t)((uint32_t)j * total / n);
}
