#include "semflash/tokens.h"

#include <string.h>

#include "semflash/fused_math.h"
#include "semflash/token_math.h"

/* What the stage works in: a spare row behind the stream and behind queries, keys and values, for an odd token out. */
typedef struct {
    int16_t *x;       /* [(tokens + 2) * width], the budget token last */
    int16_t *qkv;     /* [(tokens + 2) * 3 * width] */
    int16_t *pair;    /* [2 * width], two normed or attended tokens */
    int16_t *hidden;  /* [2 * hidden] */
    int32_t *numbers; /* [tokens + 2 or 2 * width], scores, gates or sums */
    int16_t *weights; /* [tokens + 2], of the softmax */
    uint8_t *places;  /* [tokens] */
} memory_t;

static uint32_t numbers_of(const sf_tokens_t *tokens) {
    const uint32_t scores = tokens->tokens + 2u;
    const uint32_t sums = 2u * tokens->encoder.outputs;
    return scores > sums ? scores : sums;
}

uint32_t sf_tokens_memory(const sf_tokens_t *tokens) {
    const uint32_t rows = tokens->tokens + 2u;
    const uint32_t halfwords = 4u * rows * tokens->width + 2u * tokens->width + 2u * tokens->hidden + rows;
    return 4u * numbers_of(tokens) + 2u * (halfwords + (halfwords & 1u)) + ((tokens->tokens + 3u) & ~3u);
}

static memory_t memory_of(const sf_tokens_t *tokens, void *memory) {
    const uint32_t rows = tokens->tokens + 2u;
    memory_t m;
    m.numbers = (int32_t *)memory;
    m.x = (int16_t *)(void *)(m.numbers + numbers_of(tokens));
    m.qkv = m.x + rows * tokens->width;
    m.pair = m.qkv + rows * 3u * tokens->width;
    m.hidden = m.pair + 2u * tokens->width;
    m.weights = m.hidden + 2u * tokens->hidden;
    m.places = (uint8_t *)(m.weights + rows);
    return m;
}

/* What becomes of a product's output. */
typedef enum { ATTENDED, HIDDEN, ADDED } finish_t;

static inline void finish(finish_t how, int32_t value, int16_t *out) {
    if (how == ATTENDED) {
        *out = (int16_t)sf_within(value, -SF_ATTENDED_MAX, SF_ATTENDED_MAX);
    } else if (how == HIDDEN) {
        *out = (int16_t)sf_within(value, 0, INT16_MAX);
    } else {
        *out = (int16_t)sf_within(*out + value, INT16_MIN, INT16_MAX);
    }
}

/* Sums of two tokens for two outputs: a and b for the first, a and b for the second. Returns the next weights. This
 * loop is most of the stage's work. */
static inline const int8_t *four_sums(const int16_t *a, const int16_t *b, uint32_t inputs,
                                      const int8_t *weights, int32_t sums[4]) {
    int32_t first_a = 0;
    int32_t first_b = 0;
    int32_t second_a = 0;
    int32_t second_b = 0;
    for (const int16_t *end = a + inputs; a < end; a += 4, b += 4, weights += 8) {
        const uint32_t first = sf_word((const uint8_t *)weights);
        const uint32_t second = sf_word((const uint8_t *)weights + 4);
        const uint32_t a0 = sf_halfwords(a);
        const uint32_t a1 = sf_halfwords(a + 2);
        const uint32_t b0 = sf_halfwords(b);
        const uint32_t b1 = sf_halfwords(b + 2);
        uint32_t low = sf_signed_even(first);
        uint32_t high = sf_signed_odd(first);
        first_a = sf_multiply_add(a1, high, sf_multiply_add(a0, low, first_a));
        first_b = sf_multiply_add(b1, high, sf_multiply_add(b0, low, first_b));
        low = sf_signed_even(second);
        high = sf_signed_odd(second);
        second_a = sf_multiply_add(a1, high, sf_multiply_add(a0, low, second_a));
        second_b = sf_multiply_add(b1, high, sf_multiply_add(b0, low, second_b));
    }
    sums[0] = first_a;
    sums[1] = first_b;
    sums[2] = second_a;
    sums[3] = second_b;
    return weights;
}

/* A linear map of two tokens. */
static inline void product(const sf_product_t *map, const int16_t *a, const int16_t *b, finish_t how,
                           int16_t *out_a, int16_t *out_b) {
    const int8_t *weights = map->weights;
    for (uint32_t j = 0; j < map->outputs; j += 2u) {
        int32_t sums[4];
        weights = four_sums(a, b, map->inputs, weights, sums);
        finish(how, sf_rescale(sums[0] + map->bias[j], map->multiplier[j], map->shift), out_a + j);
        finish(how, sf_rescale(sums[1] + map->bias[j], map->multiplier[j], map->shift), out_b + j);
        finish(how, sf_rescale(sums[2] + map->bias[j + 1u], map->multiplier[j + 1u], map->shift),
               out_a + j + 1);
        finish(how, sf_rescale(sums[3] + map->bias[j + 1u], map->multiplier[j + 1u], map->shift),
               out_b + j + 1);
    }
}

/* Less the mean, over the deviation, 11 bits behind the point. */
static void norm(const int16_t *x, uint32_t width, int16_t *y) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < width; i++) {
        sum += x[i];
    }
    const int32_t mean = sf_floor_divide(sum + (int32_t)(width / 2u), (int32_t)width);
    uint64_t squares = 0;
    for (uint32_t i = 0; i < width; i++) {
        const int64_t c = x[i] - mean;
        squares += (uint64_t)(c * c);
    }
    uint32_t exponent = 0;
    const int64_t inverse = sf_inverse_deviation((uint32_t)(squares / width), &exponent);
    const uint32_t shift = 32u - SF_NORM_BITS - exponent;
    const int64_t half = (int64_t)1 << (shift - 1u);
    for (uint32_t i = 0; i < width; i++) {
        const int64_t value = ((x[i] - mean) * inverse + half) >> shift;
        y[i] = (int16_t)(value > INT16_MAX ? INT16_MAX : value < INT16_MIN ? INT16_MIN : value);
    }
}

/* Weights of the softmax of one query over `count` keys of a head; returns 2^32 over their sum. */
static int32_t softmax(const sf_token_block_t *block, const uint16_t *exponentials, const int16_t *query,
                       const int16_t *keys, uint32_t each, uint32_t stride, uint32_t count,
                       const memory_t *m) {
    int32_t best = INT32_MIN;
    for (uint32_t n = 0; n < count; n++, keys += stride) {
        int32_t score = 0;
        for (uint32_t i = 0; i < each; i += 4u) {
            score = sf_multiply_add(sf_halfwords(query + i), sf_halfwords(keys + i), score);
            score = sf_multiply_add(sf_halfwords(query + i + 2u), sf_halfwords(keys + i + 2u), score);
        }
        m->numbers[n] = score;
        best = score > best ? score : best;
    }
    uint32_t total = 0;
    for (uint32_t n = 0; n < count; n++) {
        const int32_t below = best - m->numbers[n];
        const int32_t steps = sf_rescale(below, block->score_multiplier, block->score_shift);
        const uint16_t weight = exponentials[steps < 255 ? steps : 255];
        m->weights[n] = (int16_t)weight;
        total += weight;
    }
    m->weights[count] = 0;
    return (int32_t)sf_inverse(total);
}

/* What a token takes from all tokens. */
static void attend(const sf_tokens_t *tokens, const sf_token_block_t *block, const memory_t *m,
                   uint32_t token, uint32_t count, int16_t *out) {
    const uint32_t width = tokens->width;
    const uint32_t each = width / tokens->heads;
    const uint32_t stride = 3u * width;
    for (uint32_t first = 0; first < width; first += each) {
        const int32_t inverse = softmax(block, tokens->exponentials, m->qkv + token * stride + first,
                                        m->qkv + width + first, each, stride, count, m);
        for (uint32_t i = first; i < first + each; i += 4u) {
            const int16_t *value = m->qkv + 2u * width + i;
            int32_t sums[4] = {0, 0, 0, 0};
            for (uint32_t n = 0; n < count; n += 2u, value += 2u * stride) {
                const uint32_t weights = sf_halfwords(m->weights + n);
                const uint32_t a = sf_halfwords(value);
                const uint32_t b = sf_halfwords(value + stride);
                const uint32_t c = sf_halfwords(value + 2);
                const uint32_t d = sf_halfwords(value + stride + 2);
                sums[0] = sf_multiply_add(sf_pair_low(a, b), weights, sums[0]);
                sums[1] = sf_multiply_add(sf_pair_high(a, b), weights, sums[1]);
                sums[2] = sf_multiply_add(sf_pair_low(c, d), weights, sums[2]);
                sums[3] = sf_multiply_add(sf_pair_high(c, d), weights, sums[3]);
            }
            for (uint32_t k = 0; k < 4u; k++) {
                out[i + k] = (int16_t)(((int64_t)sums[k] * inverse + ((int64_t)1 << 31)) >> 32);
            }
        }
    }
}

/* The stream of `count` tokens behind a block. */
static void transform(const sf_tokens_t *tokens, const sf_token_block_t *block, const memory_t *m,
                      uint32_t count) {
    const uint32_t width = tokens->width;
    int16_t *a = m->pair;
    int16_t *b = m->pair + width;
    for (uint32_t t = 0; t < count; t += 2u) {
        norm(m->x + t * width, width, a);
        if (t + 1u < count) {
            norm(m->x + (t + 1u) * width, width, b);
        }
        product(&block->qkv, a, b, ATTENDED, m->qkv + t * 3u * width, m->qkv + (t + 1u) * 3u * width);
    }
    for (uint32_t t = 0; t < count; t += 2u) {
        int16_t *first = m->x + t * width;
        int16_t *second = first + width;
        attend(tokens, block, m, t, count, a);
        if (t + 1u < count) {
            attend(tokens, block, m, t + 1u, count, b);
        }
        product(&block->out, a, b, ADDED, first, second);
        norm(first, width, a);
        if (t + 1u < count) {
            norm(second, width, b);
        }
        product(&block->wide, a, b, HIDDEN, m->hidden, m->hidden + block->wide.outputs);
        product(&block->narrow, m->hidden, m->hidden + block->wide.outputs, ADDED, first, second);
    }
}

static int32_t weighted(const int16_t *x, const int16_t *weights, uint32_t width, int32_t sum) {
    for (uint32_t i = 0; i < width; i += 2u) {
        sum = sf_multiply_add(sf_halfwords(x + i), sf_halfwords(weights + i), sum);
    }
    return sum;
}

/* How many of n gates come before gate i: those that are larger, and of equal ones the earlier. */
static uint32_t rank_of(const int32_t *gates, uint32_t n, uint32_t i) {
    uint32_t rank = 0;
    for (uint32_t j = 0; j < n; j++) {
        rank += (uint32_t)(gates[j] > gates[i] || (gates[j] == gates[i] && j < i));
    }
    return rank;
}

/* Drop tokens and move those that stay together, the budget token behind them. n: without it; returns the same of
 * what is left. */
static uint32_t drop(const sf_tokens_t *tokens, const sf_token_gate_t *gate, uint32_t most, uint32_t n,
                     const memory_t *m) {
    const uint32_t width = tokens->width;
    const int32_t threshold = weighted(m->x + n * width, gate->threshold, width, gate->threshold_bias);
    uint32_t above = 0;
    for (uint32_t t = 0; t < n; t++) {
        m->numbers[t] = weighted(m->x + t * width, gate->gate, width, gate->gate_bias);
        above += (uint32_t)(m->numbers[t] > threshold);
    }
    uint32_t left = 0;
    for (uint32_t t = 0; t < n; t++) {
        int stays = m->numbers[t] > threshold;
        if (above == 0u || above > most) {
            const uint32_t rank = rank_of(m->numbers, n, t);
            stays = (stays && rank < most) || rank == 0u;
        }
        if (stays) {
            memmove(m->x + left * width, m->x + t * width, 2u * width);
            m->places[left] = m->places[t];
            left++;
        }
    }
    memmove(m->x + left * width, m->x + n * width, 2u * width);
    return left;
}

/* Values of mean power 1/2 in steps of 1/40. */
static void normalise(int32_t *sums, uint32_t n, int8_t *out) {
    uint32_t largest = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t size = sums[i] < 0 ? 0u - (uint32_t)sums[i] : (uint32_t)sums[i];
        largest = size > largest ? size : largest;
    }
    const int32_t right = (int32_t)sf_bit_length(largest) - SF_VALUE_BITS;
    uint64_t squares = 0;
    for (uint32_t i = 0; i < n; i++) {
        sums[i] = right > 0 ? sums[i] >> right : (int32_t)((uint32_t)sums[i] << -right);
        squares += (uint64_t)((int64_t)sums[i] * sums[i]);
    }
    uint32_t exponent = 0;
    const int64_t gain = (int64_t)sf_inverse_deviation((uint32_t)(squares / n), &exponent) * SF_VALUE_GAIN;
    const uint32_t shift = 32u + SF_GAIN_BITS - exponent;
    const int64_t half = (int64_t)1 << (shift - 1u);
    for (uint32_t i = 0; i < n; i++) {
        const int64_t value = (sums[i] * gain + half) >> shift;
        out[i] = (int8_t)(value > INT8_MAX ? INT8_MAX : value < -INT8_MAX ? -INT8_MAX : value);
    }
}

/* Symbols of the tokens that are left, n values each. */
static void encode(const sf_tokens_t *tokens, const memory_t *m, uint32_t left, uint32_t n, int8_t *symbols) {
    const sf_product_t *map = &tokens->encoder;
    for (uint32_t t = 0; t < left; t += 2u) {
        const int16_t *a = m->x + t * tokens->width;
        const int8_t *weights = map->weights;
        for (uint32_t j = 0; j < n; j += 2u) {
            int32_t sums[4];
            weights = four_sums(a, a + tokens->width, map->inputs, weights, sums);
            m->numbers[j] = sums[0] + map->bias[j];
            m->numbers[j + 1u] = sums[2] + map->bias[j + 1u];
            m->numbers[n + j] = sums[1] + map->bias[j];
            m->numbers[n + j + 1u] = sums[3] + map->bias[j + 1u];
        }
        normalise(m->numbers, n, symbols + m->places[t] * n);
        if (t + 1u < left) {
            normalise(m->numbers + n, n, symbols + m->places[t + 1u] * n);
        }
    }
}

/* The tokens of the features, and the budget token behind them. */
static void begin(const sf_tokens_t *tokens, const int8_t *features, uint32_t share, const memory_t *m) {
    const uint32_t width = tokens->width;
    const uint32_t all = tokens->tokens * width;
    const int32_t half = (int32_t)1 << (tokens->shift - 1u);
    for (uint32_t i = 0; i < all; i++) {
        const int32_t value =
            ((features[i] - tokens->zero_point) * tokens->multiplier + half) >> tokens->shift;
        m->x[i] = (int16_t)sf_within(value + tokens->places[i], INT16_MIN, INT16_MAX);
    }
    const int32_t part = (int32_t)share;
    const int32_t whole = (int32_t)SF_TOKEN_SHARE_MAX;
    for (uint32_t i = 0; i < width; i++) {
        const int32_t sum = part * tokens->every[i] + (whole - part) * tokens->none[i] + whole / 2;
        m->x[all + i] = (int16_t)sf_floor_divide(sum, whole);
        m->x[all + width + i] = 0;
    }
    memset(m->pair, 0, 4u * width);
    for (uint32_t t = 0; t < tokens->tokens; t++) {
        m->places[t] = (uint8_t)t;
    }
}

void sf_tokens_send(const sf_tokens_t *tokens, const int8_t *features, uint32_t share, uint32_t choice,
                    void *memory, uint8_t *levels, int8_t *symbols) {
    const memory_t m = memory_of(tokens, memory);
    begin(tokens, features, share, &m);
    const uint32_t n = tokens->tokens;
    const uint32_t allowed = (n * share + SF_TOKEN_SHARE_MAX - 1u) / SF_TOKEN_SHARE_MAX + tokens->slack;
    const uint32_t most = allowed < n ? allowed : n;
    uint32_t left = n;
    for (uint32_t i = 0; i < tokens->n_blocks; i++) {
        left = drop(tokens, &tokens->blocks[i].gate, most, left, &m);
        transform(tokens, &tokens->blocks[i], &m, left + 1u);
    }
    memset(levels, 0, n);
    for (uint32_t t = 0; t < left; t++) {
        levels[m.places[t]] = (uint8_t)(choice + 1u);
    }
    encode(tokens, &m, left, tokens->values[choice], symbols);
}
