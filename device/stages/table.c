#include "semflash/stages.h"

void sf_table_codes(const sf_table_t *table, const int8_t *latent, uint16_t first, uint16_t n,
                    uint8_t *codes) {
    const uint8_t *row = table->table + first * 256u;
    for (uint32_t i = 0; i < n; i++) {
        codes[i] = row[(int32_t)latent[first + i] + 128];
        row += 256;
    }
}
