/* Programs that send tokens, whose numbers do not fit together, one thing changed at a time; prints what was not
 * refused. The image has 4 x 4 pixels, the graph gives 4 tokens of 4 values, of which 2 or 4 are sent. */
#include <stdio.h>
#include <string.h>

#include "semflash/encoder.h"

static int wrong;

static sf_status_t reset(void *memory) {
    (void)memory;
    return SF_OK;
}

/* Each row is a token. */
static sf_status_t push(void *memory, uint16_t number, const int8_t *values, sf_latent_fn emit,
                        void *context) {
    (void)memory;
    (void)number;
    return emit(context, values);
}

enum { WIDTH = 4, HIDDEN = 8, PLACES = 4 };
enum { IMAGE, FEATURES, LEVELS, TWO, FOUR, TENSORS };

static const int8_t weights[3 * WIDTH * HIDDEN] = {1, -2, 3, -4, 5, 6, -7, 8};
static const int32_t bias[3 * WIDTH] = {0};
static const int32_t multiplier[3 * WIDTH] = {1 << 30, 1 << 30, 1 << 30, 1 << 30};
static const int16_t numbers[PLACES * WIDTH] = {100, 200, -300, 400};
static const uint8_t outputs[2] = {TWO, FOUR};

typedef struct {
    sf_graph_t graph;
    uint16_t exponentials[256];
    uint8_t values[2];
    sf_token_block_t blocks[1];
    sf_tokens_t tokens;
    uint16_t level_bits[3];
    sf_head_t head;
    sf_control_t controls[3];
    sf_tensor_t tensors[TENSORS];
    sf_stage_t stages[2];
    sf_region_t regions[2];
    sf_program_t program;
} sending_t;

static sf_product_t map_of(uint16_t inputs, uint16_t outs) {
    const sf_product_t map = {inputs, outs, 40, weights, bias, multiplier};
    return map;
}

static sf_region_t region_of(uint8_t source, uint16_t each, uint8_t level) {
    const sf_region_t region = {PLACES, each, source, 8, SF_ITEMS_EXACTLY, LEVELS, level, SF_PLAIN};
    return region;
}

static void make(sending_t *p) {
    memset(p, 0, sizeof *p);
    p->graph = (sf_graph_t){4, 4, 4, 4, 0, reset, push};
    for (uint32_t i = 0; i < 255u; i++) {
        p->exponentials[i] = (uint16_t)(4095u / (i + 1u));
    }
    p->values[0] = 2;
    p->values[1] = 4;
    p->blocks[0] = (sf_token_block_t){.gate = {numbers, numbers, 0, 0},
                                      .qkv = map_of(WIDTH, 3 * WIDTH),
                                      .out = map_of(WIDTH, WIDTH),
                                      .wide = map_of(WIDTH, HIDDEN),
                                      .narrow = map_of(HIDDEN, WIDTH),
                                      .score_multiplier = 1 << 30,
                                      .score_shift = 40};
    p->tokens = (sf_tokens_t){.tokens = PLACES,
                              .heads = 1,
                              .slack = 1,
                              .choices = 2,
                              .choice = 1,
                              .n_blocks = 1,
                              .shift = 4,
                              .width = WIDTH,
                              .hidden = HIDDEN,
                              .multiplier = 1000,
                              .outputs = outputs,
                              .values = p->values,
                              .places = numbers,
                              .every = numbers,
                              .none = numbers,
                              .exponentials = p->exponentials,
                              .blocks = p->blocks,
                              .encoder = {WIDTH, 4, 0, weights, bias, NULL}};
    p->level_bits[1] = 16;
    p->level_bits[2] = 32;
    p->head = (sf_head_t){LEVELS, PLACES, 3, 2, 0, 0, p->level_bits, NULL, &sf_head_of_map};
    p->controls[0] = (sf_control_t){1, 255, 51, 1, 1};
    p->controls[1] = (sf_control_t){0, 1, 0, 2, 1};
    p->controls[2] = (sf_control_t){0, 1, 0, 3, 1};
    const uint32_t sizes[TENSORS] = {16, 16, 4, 8, 16};
    uint32_t offset = 0;
    for (uint32_t i = 0; i < TENSORS; i++) {
        p->tensors[i] = (sf_tensor_t){sizes[i], offset};
        offset += (sizes[i] + 7u) / 8u * 8u;
    }
    p->tensors[IMAGE].offset = SF_NOT_KEPT;
    p->stages[0] = (sf_stage_t){.kind = SF_STAGE_GRAPH, .output = FEATURES, .as.graph = &p->graph};
    p->stages[1] = (sf_stage_t){.kind = SF_STAGE_TOKENS,
                                .source = FEATURES,
                                .output = LEVELS,
                                .by = 0,
                                .state = offset,
                                .as.tokens = &p->tokens,
                                .ops = &sf_tokens_of_values};
    offset += (sf_tokens_memory(&p->tokens) + 7u) / 8u * 8u;
    p->regions[0] = region_of(TWO, 2, 1);
    p->regions[1] = region_of(FOUR, 4, 2);
    p->program = (sf_program_t){.runtime_api = SF_RUNTIME_API,
                                .rows = 4,
                                .row_bytes = 4,
                                .payload_bytes = 40,
                                .n_tensors = TENSORS,
                                .n_stages = 2,
                                .n_regions = 2,
                                .n_controls = 3,
                                .state_bytes = offset + 32,
                                .control_offset = offset,
                                .tensors = p->tensors,
                                .stages = p->stages,
                                .regions = p->regions,
                                .controls = p->controls,
                                .head = &p->head};
}

#define CHECK(change, status)                                                                                \
    do {                                                                                                     \
        sending_t p;                                                                                         \
        make(&p);                                                                                            \
        change;                                                                                              \
        const sf_status_t got = sf_program_check(&p.program);                                                \
        if (got != (status)) {                                                                               \
            printf("%d: %s gave %d\n", __LINE__, #change, (int)got);                                         \
            wrong++;                                                                                         \
        }                                                                                                    \
    } while (0)
#define REFUSED(change) CHECK(change, SF_ERR_ARGUMENT)

static void check_stage(void) {
    CHECK((void)0, SF_OK);
    REFUSED(p.stages[1].as.tokens = NULL);
    REFUSED(p.stages[1].kind = SF_STAGE_SELECT);
    REFUSED(p.stages[1].by = 3);
    REFUSED(p.stages[1].source = LEVELS);
    REFUSED(p.stages[1].source = TENSORS);
    REFUSED(p.stages[1].output = TWO); /* not the head's map */
    REFUSED(p.stages[1].state += 2u);
    REFUSED(p.stages[1].state += 64u);
    REFUSED(p.stages[1].state = p.program.state_bytes + 4u);
    REFUSED(p.program.head = NULL);
    REFUSED(p.head.levels = 2);
    REFUSED(p.tensors[FEATURES].offset = SF_NOT_KEPT);
    REFUSED(p.tensors[FEATURES].bytes = 15);
    REFUSED(p.tensors[LEVELS].bytes = 3);
    REFUSED(p.tensors[FOUR].bytes = 15);
    REFUSED(p.controls[0].low = 0);
    REFUSED(p.controls[0].high = 256);
    REFUSED(p.controls[1].high = 2);
}

static void check_sizes(void) {
    REFUSED(p.tokens.tokens = 0);
    REFUSED(p.tokens.tokens = 65);
    REFUSED(p.tokens.tokens = 3);
    REFUSED(p.tokens.heads = 0);
    REFUSED(p.tokens.heads = 2);
    REFUSED(p.tokens.heads = 3);
    REFUSED(p.tokens.width = 0);
    REFUSED(p.tokens.width = 8);
    REFUSED(p.tokens.width = 132);
    REFUSED(p.tokens.hidden = 4);
    REFUSED(p.tokens.hidden = 516);
    REFUSED(p.tokens.slack = 65);
    REFUSED(p.tokens.choices = 0);
    REFUSED(p.tokens.choices = 1);
    REFUSED(p.tokens.choice = 3);
    REFUSED(p.tokens.n_blocks = 0);
    REFUSED(p.tokens.shift = 0);
    REFUSED(p.tokens.shift = 21);
    REFUSED(p.tokens.multiplier = 0);
    REFUSED(p.tokens.multiplier = (int32_t)1 << 22);
    REFUSED(p.values[0] = 0);
    REFUSED(p.values[0] = 3);
    REFUSED(p.values[1] = 6);
    REFUSED(p.exponentials[0] = 4094);
    REFUSED(p.exponentials[7] = 4095);
}

static void check_arrays(void) {
    REFUSED(p.tokens.outputs = NULL);
    REFUSED(p.tokens.values = NULL);
    REFUSED(p.tokens.places = NULL);
    REFUSED(p.tokens.every = NULL);
    REFUSED(p.tokens.none = NULL);
    REFUSED(p.tokens.exponentials = NULL);
    REFUSED(p.tokens.blocks = NULL);
    REFUSED(p.tokens.encoder.weights = NULL);
    REFUSED(p.tokens.encoder.bias = NULL);
    REFUSED(p.tokens.encoder.inputs = 8);
    REFUSED(p.tokens.encoder.outputs = 2);
    REFUSED(p.blocks[0].gate.gate = NULL);
    REFUSED(p.blocks[0].gate.threshold = NULL);
    REFUSED(p.blocks[0].qkv.outputs = 8);
    REFUSED(p.blocks[0].qkv.shift = 32);
    REFUSED(p.blocks[0].qkv.shift = 63);
    REFUSED(p.blocks[0].out.weights = NULL);
    REFUSED(p.blocks[0].wide.bias = NULL);
    REFUSED(p.blocks[0].wide.outputs = 6);
    REFUSED(p.blocks[0].narrow.inputs = 4);
    REFUSED(p.blocks[0].narrow.multiplier = NULL);
    REFUSED(p.blocks[0].score_shift = 32);
    REFUSED(p.blocks[0].score_shift = 63);
    REFUSED(p.blocks[0].score_multiplier = -1);
}

/* All tokens that four equal rows give, at the most alpha and symbols. */
static void check_run(void) {
    sending_t p;
    make(&p);
    _Alignas(8) uint8_t state[1024];
    uint8_t payload[40];
    sf_encoder_t encoder;
    static const int8_t row[4] = {10, -20, 30, 40};
    sf_status_t status = p.program.state_bytes <= sizeof state
                             ? sf_encoder_init(&encoder, &p.program, state, sizeof state, payload, 40)
                             : SF_ERR_MEMORY;
    status = status == SF_OK ? sf_encoder_control(&encoder, 1, 400) : status;
    status = status == SF_OK ? sf_encoder_control(&encoder, 2, 400) : status;
    status = status == SF_OK ? sf_encoder_begin(&encoder) : status;
    for (uint32_t i = 0; i < 4u && status >= SF_OK; i++) {
        status = sf_encoder_push_row(&encoder, row, sizeof row);
    }
    if (status != SF_OK || sf_encoder_controls(&encoder)[0] != 255u ||
        sf_encoder_controls(&encoder)[1] != 1u) {
        printf("%d: a sound program gave %d\n", __LINE__, (int)status);
        wrong++;
    }
}

int main(void) {
    check_stage();
    check_sizes();
    check_arrays();
    check_run();
    printf("%d not as documented\n", wrong);
    return wrong == 0 ? 0 : 1;
}
