#include "semflash/stages.h"

#define LARGEST 127u
/* Bits behind the point of gain * root where the exponent is the least one, -3: 8 + 15 + 3 - 3. */
#define FRACTION 23u

/* sqrt(64 / (m + 1/2)) in Q15 for the mantissas m = 64 .. 255. */
static const uint16_t roots[192] = {
    32641, 32391, 32146, 31907, 31673, 31445, 31221, 31002, 30787, 30577, 30371, 30169, 29972, 29778, 29587,
    29401, 29217, 29038, 28861, 28688, 28518, 28350, 28186, 28024, 27866, 27709, 27556, 27405, 27256, 27110,
    26966, 26825, 26686, 26548, 26413, 26280, 26149, 26020, 25893, 25767, 25644, 25522, 25402, 25283, 25167,
    25051, 24938, 24826, 24715, 24606, 24498, 24392, 24287, 24184, 24081, 23980, 23881, 23782, 23685, 23589,
    23494, 23400, 23307, 23216, 23125, 23036, 22947, 22860, 22774, 22688, 22604, 22520, 22437, 22356, 22275,
    22195, 22116, 22037, 21960, 21883, 21808, 21732, 21658, 21585, 21512, 21440, 21368, 21298, 21228, 21159,
    21090, 21022, 20955, 20888, 20822, 20757, 20692, 20628, 20564, 20501, 20439, 20377, 20316, 20255, 20195,
    20135, 20076, 20017, 19959, 19902, 19845, 19788, 19732, 19676, 19621, 19566, 19512, 19458, 19405, 19352,
    19299, 19247, 19196, 19144, 19093, 19043, 18993, 18943, 18894, 18845, 18797, 18749, 18701, 18653, 18606,
    18560, 18513, 18467, 18422, 18376, 18331, 18287, 18242, 18198, 18155, 18111, 18068, 18025, 17983, 17941,
    17899, 17857, 17816, 17775, 17734, 17694, 17654, 17614, 17574, 17535, 17496, 17457, 17418, 17380, 17342,
    17304, 17267, 17229, 17192, 17155, 17119, 17082, 17046, 17010, 16974, 16939, 16904, 16869, 16834, 16799,
    16765, 16731, 16697, 16663, 16629, 16596, 16563, 16530, 16497, 16465, 16432, 16400,
};

/* gain / sqrt(sum), to be shifted right by *shift; sum > 0. The mantissa has its highest bit in place 6 or 7, and
 * what was cut or added below it is an even number of bits. */
static uint64_t factor(uint32_t gain, uint32_t sum, uint32_t *shift) {
    uint32_t pairs = 0; /* of bits below the highest one's */
    while (sum >> (2u * pairs) > 3u) {
        pairs++;
    }
    const uint32_t mantissa = pairs < 3u ? sum << (2u * (3u - pairs)) : sum >> (2u * (pairs - 3u));
    *shift = FRACTION + pairs;
    return (uint64_t)gain * roots[mantissa - 64u];
}

void sf_normalise_values(const sf_normalise_t *normalise, const int8_t *values, int8_t *out) {
    uint32_t sum = 0; /* below 2^32: at most 65,535 squares of up to 255 */
    for (uint32_t i = 0; i < normalise->n; i++) {
        const int32_t q = values[i] - normalise->zero_point;
        sum += (uint32_t)(q * q);
    }
    uint32_t shift = 1;
    const uint64_t scale = sum == 0u ? 0u : factor(normalise->gain, sum, &shift);
    const uint64_t half = (uint64_t)1 << (shift - 1u);
    for (uint32_t i = 0; i < normalise->n; i++) {
        const int32_t q = values[i] - normalise->zero_point;
        const uint64_t real = ((uint32_t)(q < 0 ? -q : q) * scale + half) >> shift;
        const int32_t magnitude = (int32_t)(real < LARGEST ? real : LARGEST);
        out[i] = (int8_t)(q < 0 ? -magnitude : magnitude);
    }
}
