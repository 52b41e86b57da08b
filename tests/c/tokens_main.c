/* The stage `stage` of tokens.h, generated: as a function for cffi, and as a program that reads images from stdin. */
#include <stdlib.h>
#include <string.h>

#include "generated_tokens.h"
#include "semflash/tokens.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT uint32_t memory_needed(void);
EXPORT int sent_of(const int8_t *features, uint32_t images, uint32_t share, uint32_t choice, uint8_t *levels,
                   int8_t *symbols);

uint32_t memory_needed(void) {
    return sf_tokens_memory(&stage);
}

/* The number of bytes behind the stage's memory that were written. */
int sent_of(const int8_t *features, uint32_t images, uint32_t share, uint32_t choice, uint8_t *levels,
            int8_t *symbols) {
    const uint32_t size = sf_tokens_memory(&stage);
    const uint32_t values = (uint32_t)stage.tokens * stage.values[choice];
    uint8_t *memory = (uint8_t *)malloc(size + 4u);
    if (memory == NULL) {
        return 1;
    }
    memset(memory, 0xA5, size + 4u);
    for (uint32_t i = 0; i < images; i++) {
        sf_tokens_send(&stage, features + i * stage.tokens * stage.width, share, choice, memory,
                       levels + i * stage.tokens, symbols + i * values);
    }
    int wrong = 0;
    for (uint32_t i = size; i < size + 4u; i++) {
        wrong += memory[i] != 0xA5u;
    }
    free(memory);
    return wrong;
}

#ifdef TOKENS_MAIN
#include <stdio.h>

/* stdin: features of one image, again and again; stdout: levels and symbols of each at every third alpha. */
int main(void) {
    const size_t size = (size_t)stage.tokens * stage.width;
    const uint32_t choice = stage.choices - 1u;
    const size_t values = (size_t)stage.tokens * stage.values[choice];
    int8_t *features = (int8_t *)malloc(size);
    int8_t *symbols = (int8_t *)calloc(values, 1);
    uint8_t *levels = (uint8_t *)malloc(stage.tokens);
    int status = features == NULL || symbols == NULL || levels == NULL;
    for (uint32_t share = 1; status == 0 && share <= SF_TOKEN_SHARE_MAX; share += 3u) {
        if (fread(features, 1, size, stdin) != size) {
            break;
        }
        memset(symbols, 0, values);
        status = sent_of(features, 1, share, choice, levels, symbols);
        fwrite(levels, 1, stage.tokens, stdout);
        fwrite(symbols, 1, values, stdout);
    }
    free(features);
    free(symbols);
    free(levels);
    return status;
}
#endif
