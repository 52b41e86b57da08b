/* Tokens of an image of which only those that matter are sent: an integer transformer whose blocks each begin with a
 * gate, and the symbols of the tokens that are left. Everything is constant data; the Python twin is
 * semflash/program/reference/tokens.py, docs/tokens.md works the arithmetic through, and both agree on every bit.
 */
#ifndef SEMFLASH_TOKENS_H
#define SEMFLASH_TOKENS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SF_TOKENS_MAX       64u /* of an image, as places of a map */
#define SF_TOKEN_WIDTH_MAX  128u
#define SF_TOKEN_HIDDEN_MAX 512u
#define SF_TOKEN_EACH_MAX   32u /* values of a head */
#define SF_TOKEN_SHARE_MAX  255u

/* A linear map of values of 16 bits, two tokens at a time. Weights of two outputs lie together, four values of each
 * in turn, the second and the third of the four changed places; inputs is a multiple of 4, outputs of 2.
 *
 *     out[j] = (multiplier[j] * (bias[j] + sum_i weights[j, i] in[i]) + 2^(shift - 1)) >> shift
 *
 * The host proves on export and on load that no sum leaves int32. */
typedef struct sf_product {
    uint16_t inputs;
    uint16_t outputs;
    uint8_t shift;             /* 33..62 */
    const int8_t *weights;     /* [outputs * inputs] */
    const int32_t *bias;       /* [outputs] */
    const int32_t *multiplier; /* [outputs], >= 0; NULL: the sums are used as they are */
} sf_product_t;

/* A token stays where its weighted sum is above the budget token's. */
typedef struct sf_token_gate {
    const int16_t *gate;      /* [width] */
    const int16_t *threshold; /* [width] */
    int32_t gate_bias;
    int32_t threshold_bias;
} sf_token_gate_t;

typedef struct sf_token_block {
    sf_token_gate_t gate;
    sf_product_t qkv;    /* width to 3 width */
    sf_product_t out;    /* width to width */
    sf_product_t wide;   /* width to hidden */
    sf_product_t narrow; /* hidden to width */
    int32_t score_multiplier;
    uint8_t score_shift; /* 33..62 */
} sf_token_block_t;

typedef struct sf_tokens {
    uint8_t tokens; /* 1..64 */
    uint8_t heads;
    uint8_t slack;   /* tokens beyond alpha of all */
    uint8_t choices; /* of symbols, 1..7 */
    uint8_t choice;  /* number of the control that chooses */
    uint8_t n_blocks;
    uint8_t shift;     /* of the features' multiplier, 1..20 */
    uint16_t width;    /* of a token, a multiple of 4 */
    uint16_t hidden;   /* the largest of all blocks */
    int8_t zero_point; /* of the features */
    int32_t multiplier;
    const uint8_t *outputs;         /* [choices], numbers of the tensors of symbols */
    const uint8_t *values;          /* [choices], values of a token, rising */
    const int16_t *places;          /* [tokens * width] */
    const int16_t *every;           /* [width], the budget token of alpha 1 */
    const int16_t *none;            /* [width], that of alpha 0 */
    const uint16_t *exponentials;   /* [256], from 4095 down to 0 */
    const sf_token_block_t *blocks; /* [n_blocks] */
    sf_product_t encoder;           /* width to the values of the most symbols */
} sf_tokens_t;

/* Bytes of the memory that sf_tokens_send works in, which begins at a multiple of 4. */
uint32_t sf_tokens_memory(const sf_tokens_t *tokens);

/* Keep the tokens that matter, and encode them.
 *
 * features: int8 [tokens * width]. share: alpha in 1/255, from 1 on. choice: of symbols, from 0 on. levels[tokens]:
 * choice + 1 where a token is sent, else 0. symbols[tokens * values[choice]]: the rows of the tokens that are sent. */
void sf_tokens_send(const sf_tokens_t *tokens, const int8_t *features, uint32_t share, uint32_t choice,
                    void *memory, uint8_t *levels, int8_t *symbols);

#ifdef __cplusplus
}
#endif

#endif
