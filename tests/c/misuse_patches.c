/* Programs with levels of detail whose numbers do not fit together, one thing changed at a time; prints what was not
 * refused. The image has 4 x 4 pixels in 2 x 2 patches of three levels. */
#include <stdio.h>
#include <string.h>

#include "semflash/encoder.h"

static int wrong;

static sf_status_t reset(void *memory) {
    (void)memory;
    return SF_OK;
}

/* The first pixels of every second row are the scores. */
static sf_status_t push(void *memory, uint16_t number, const int8_t *values, sf_latent_fn emit,
                        void *context) {
    (void)memory;
    const sf_status_t status = number % 2u == 0u ? emit(context, values) : SF_OK;
    return status == SF_OK && number % 2u == 0u ? emit(context, values + 1) : status;
}

static const uint8_t bits_of_one[2] = {4, 4};
static const uint8_t bits_of_two[4] = {6, 4, 3, 3};
static const int8_t weights[16] = {1, 2, 3, 4, -1, -2, -3, -4, 5, 6, 7, 8, -5, -6, -7, -8};
static const int32_t thresholds[15 + 63 + 15] = {0};

enum { IMAGE, SCORES, LEVELS, BACKGROUND, ONE, TWO, TENSORS };

typedef struct {
    sf_graph_t graph;
    uint16_t table[256];
    uint16_t gains[2];
    sf_select_t select;
    sf_coder_t coders[2];
    sf_patches_t patches;
    uint16_t level_bits[3];
    sf_also_t also;
    sf_head_t head;
    sf_control_t controls[2];
    sf_tensor_t tensors[TENSORS];
    sf_stage_t stages[3];
    sf_region_t regions[2];
    sf_program_t program;
} detailed_t;

static sf_region_t region_of(uint8_t source, uint16_t each, uint8_t level) {
    const sf_region_t region = {4, each, source, 8, SF_ITEMS_EXACTLY, LEVELS, level, SF_PLAIN};
    return region;
}

static void make(detailed_t *p) {
    memset(p, 0, sizeof *p);
    p->graph = (sf_graph_t){4, 4, 4, 1, 0, reset, push};
    for (uint32_t i = 0; i < 256u; i++) {
        p->table[i] = (uint16_t)(4096u / (i + 1u));
    }
    p->gains[0] = 9;
    p->gains[1] = 4;
    p->select = (sf_select_t){2, 2, 2, 1, 1, BACKGROUND, p->table, p->gains, 0, NULL};
    p->coders[0] = (sf_coder_t){2, 1, ONE, bits_of_one, weights, thresholds, NULL};
    p->coders[1] = (sf_coder_t){4, 2, TWO, bits_of_two, weights, thresholds, NULL};
    p->patches = (sf_patches_t){2, 2, 2, 3, 1, p->coders, 0};
    p->level_bits[1] = 8;
    p->level_bits[2] = 16;
    p->also = (sf_also_t){BACKGROUND, 1, 4};
    p->head = (sf_head_t){LEVELS, 4, 3, 1, 1, 0, p->level_bits, &p->also, &sf_head_of_map};
    p->controls[0] = (sf_control_t){10, 20, 12, 1, 1}; /* the least: 5 bits and 3 words of 24 are 10 bytes */
    p->controls[1] = (sf_control_t){0, 1, 0, 2, 1};
    const uint32_t sizes[TENSORS] = {16, 4, 4, 1, 4, 8};
    uint32_t offset = 0;
    for (uint32_t i = 0; i < TENSORS; i++) {
        p->tensors[i] = (sf_tensor_t){sizes[i], offset};
        offset += (sizes[i] + 7u) / 8u * 8u;
    }
    p->stages[0] = (sf_stage_t){.kind = SF_STAGE_GRAPH, .output = SCORES, .as.graph = &p->graph};
    p->stages[1] = (sf_stage_t){.kind = SF_STAGE_SELECT,
                                .source = SCORES,
                                .output = LEVELS,
                                .as.select = &p->select,
                                .ops = &sf_select_of_image};
    p->stages[2] = (sf_stage_t){.kind = SF_STAGE_PATCHES,
                                .source = LEVELS,
                                .output = ONE,
                                .by = SF_NONE,
                                .state = offset,
                                .as.patches = &p->patches,
                                .ops = &sf_patches_of_image};
    offset += 8;
    p->regions[0] = region_of(ONE, 1, 1);
    p->regions[1] = region_of(TWO, 2, 2);
    p->program = (sf_program_t){.runtime_api = SF_RUNTIME_API,
                                .rows = 4,
                                .row_bytes = 4,
                                .payload_bytes = 20,
                                .n_tensors = TENSORS,
                                .n_stages = 3,
                                .n_regions = 2,
                                .n_controls = 2,
                                .state_bytes = offset + 24,
                                .control_offset = offset,
                                .tensors = p->tensors,
                                .stages = p->stages,
                                .regions = p->regions,
                                .controls = p->controls,
                                .head = &p->head};
}

#define CHECK(change, status)                                                                                \
    do {                                                                                                     \
        detailed_t p;                                                                                        \
        make(&p);                                                                                            \
        change;                                                                                              \
        const sf_status_t got = sf_program_check(&p.program);                                                \
        if (got != (status)) {                                                                               \
            printf("%d: %s gave %d\n", __LINE__, #change, (int)got);                                         \
            wrong++;                                                                                         \
        }                                                                                                    \
    } while (0)
#define REFUSED(change) CHECK(change, SF_ERR_ARGUMENT)

static void check_selection(void) {
    CHECK((void)0, SF_OK);
    CHECK(p.select.contrast = 0, SF_OK);
    REFUSED(p.stages[1].as.select = NULL);
    REFUSED(p.stages[1].kind = SF_STAGE_PATCHES);
    REFUSED(p.stages[1].by = 2);
    REFUSED(p.stages[1].source = TENSORS);
    REFUSED(p.stages[1].output = ONE); /* not the head's map */
    REFUSED(p.select.rows = 3);
    REFUSED(p.select.rows = 0);
    REFUSED(p.select.columns = 1);
    REFUSED(p.select.side = 0);
    REFUSED(p.select.side = 17);
    REFUSED(p.select.channels = 0);
    REFUSED(p.select.channels = 2);
    REFUSED(p.select.table = NULL);
    REFUSED(p.select.gains = NULL);
    REFUSED(p.gains[1] = 10);
    REFUSED(p.select.background = TENSORS);
    REFUSED(p.controls[0].low = 5); /* less than the smallest payload */
    REFUSED(p.tensors[IMAGE].offset = SF_NOT_KEPT);
    REFUSED(p.tensors[IMAGE].bytes = 15);
    REFUSED(p.tensors[IMAGE].offset = p.program.state_bytes - 15u);
    REFUSED(p.tensors[SCORES].offset = SF_NOT_KEPT);
    REFUSED(p.tensors[LEVELS].bytes = 3);
    REFUSED(p.tensors[BACKGROUND].offset = SF_NOT_KEPT);
    REFUSED(p.program.head = NULL);
}

/* 66 patches of one pixel, of which no map can tell. */
static void many(detailed_t *p) {
    p->program.rows = 6;
    p->program.row_bytes = 11;
    p->select = (sf_select_t){6, 11, 1, 1, 0, BACKGROUND, p->table, p->gains, 0, NULL};
}

static void check_patches(void) {
    REFUSED(many(&p));
    REFUSED(p.stages[2].as.patches = NULL);
    REFUSED(p.stages[2].kind = SF_STAGE_SELECT);
    REFUSED(p.stages[2].source = BACKGROUND);
    REFUSED(p.stages[2].state += 2u);
    REFUSED(p.stages[2].state = p.program.state_bytes - 4u);
    REFUSED(p.stages[2].state = p.program.state_bytes + 8u);
    REFUSED(p.patches.coders = NULL);
    REFUSED(p.patches.levels = 1);
    REFUSED(p.patches.levels = 9);
    REFUSED(p.patches.rows = 1);
    REFUSED(p.patches.side = 1);
    REFUSED(p.patches.channels = 3);
    REFUSED(p.coders[0].bits = NULL);
    REFUSED(p.coders[0].weights = NULL);
    REFUSED(p.coders[0].thresholds = NULL);
    REFUSED(p.coders[0].bytes = 0);
    REFUSED(p.coders[0].bytes = 2);
    REFUSED(p.coders[0].coefficients = 1);
    REFUSED(p.coders[1].output = ONE);
    REFUSED(p.coders[1].output = TENSORS);
}

static const int32_t sums[6] = {0, 0, 0, 0, 0, 0};
static const uint8_t picks[6] = {0, 3, 0, 1, 2, 3};
static const uint8_t too_far[6] = {0, 4, 0, 1, 2, 3};
static const int16_t centres[2 * 16 + 64 + 16 + 8 + 8] = {0};
static const uint16_t scales[4] = {1, 1, 1, 1};
static sf_falls_t falls;

/* Levels by what they leave: coders take the background off, and the selection has memory of its own. */
static void by_falls(detailed_t *p) {
    falls = (sf_falls_t){p->coders, picks, centres, scales};
    p->select.falls = &falls;
    p->coders[0].channels = sums;
    p->coders[1].channels = sums;
    p->patches.background = BACKGROUND;
    p->stages[1].state = p->program.state_bytes;
    p->program.state_bytes += 4u * 2u * 4u + 8u; /* slopes of 4 patches, and the values of one */
}

static void check_falls(void) {
    CHECK(by_falls(&p), SF_OK);
    REFUSED((by_falls(&p), falls.coders = NULL));
    REFUSED((by_falls(&p), falls.picks = NULL));
    REFUSED((by_falls(&p), falls.picks = too_far));
    REFUSED((by_falls(&p), falls.centres = NULL));
    REFUSED((by_falls(&p), falls.scales = NULL));
    REFUSED((by_falls(&p), p.coders[0].channels = NULL));
    REFUSED((by_falls(&p), p.coders[1].channels = NULL));
    REFUSED((by_falls(&p), p.coders[1].coefficients = 65));
    REFUSED((by_falls(&p), p.coders[1].bytes = 3));
    REFUSED((by_falls(&p), p.patches.background = TENSORS));
    REFUSED((by_falls(&p), p.stages[1].state += 2u));
    REFUSED((by_falls(&p), p.stages[1].state += 4u));
    REFUSED((by_falls(&p), p.program.state_bytes -= 4u));
    REFUSED((by_falls(&p), p.program.head = NULL));
}

static void check_head(void) {
    CHECK((p.head.protect = SF_NONE, p.program.n_controls = 1), SF_OK);
    REFUSED(p.head.ops = NULL);
    REFUSED(p.head.map = SCORES);
    REFUSED(p.head.places = 3);
    REFUSED(p.head.places = 65);
    REFUSED(p.head.places = 0);
    REFUSED(p.head.levels = 2);
    REFUSED(p.head.levels = 9);
    REFUSED(p.head.levels = 1);
    REFUSED(p.head.protect = 2);
    REFUSED(p.controls[1].high = 2);
    REFUSED(p.head.n_also = 5);
    REFUSED(p.head.also = NULL);
    REFUSED(p.also.bits = 0);
    REFUSED(p.also.bits = 9);
    REFUSED(p.also.items = 2);
    REFUSED((p.also.tensor = IMAGE, p.also.items = 17)); /* more than its tensor */
    REFUSED(p.also.tensor = TENSORS);
    REFUSED(p.head.level_bits = NULL);
    REFUSED(p.level_bits[1] = 7);
    REFUSED(p.level_bits[0] = 1);
    REFUSED(p.head.fixed_bits = 1);
    REFUSED(p.regions[0].at_least = 3);
    REFUSED(p.regions[0].at_least = 0);
    REFUSED(p.regions[0].told_by = SCORES);
    REFUSED(p.regions[0].told_by = TENSORS);
    REFUSED(p.regions[0].rows = 3);
    REFUSED(p.regions[0].protection = SF_REPEAT_3);
    REFUSED(p.regions[0].items = SF_ITEMS_ONES);
    REFUSED(p.regions[0].items = SF_ITEMS_EXACTLY + 1);
    REFUSED(p.regions[1].each = 3);
}

/* Whatever the levels are, nothing is written behind the payload's room. */
static void check_room(void) {
    detailed_t p;
    make(&p);
    p.program.payload_bytes = 11; /* less than its rate may ask for */
    static uint8_t state[256] SF_ALIGN8;
    uint8_t payload[12] = {[11] = 77};
    static const int8_t row[4] = {1, -128, 127, 5};
    sf_encoder_t encoder;
    sf_status_t status = sf_encoder_init(&encoder, &p.program, state, sizeof state, payload, 11);
    if (status == SF_OK) {
        status = sf_encoder_control(&encoder, 1, 20);
    }
    if (status == SF_OK) {
        status = sf_encoder_begin(&encoder);
    }
    for (uint32_t i = 0; i < 4u && (status == SF_OK || status == SF_MORE); i++) {
        status = sf_encoder_push_row(&encoder, row, 4);
    }
    if (status != SF_ERR_MEMORY || payload[11] != 77u) {
        printf("a payload without room gave %d\n", (int)status);
        wrong++;
    }
}

int main(void) {
    check_selection();
    check_patches();
    check_falls();
    check_head();
    check_room();
    printf("%d not as documented\n", wrong);
    return wrong != 0;
}
