/* Each guard of the device's public functions, one wrong argument at a time; prints what was not refused. */
#include <stdio.h>
#include <string.h>

#include "semflash/device.h"
#include "semflash/stages.h"
#include "sf_model.h"

static int wrong;

#define EXPECT(call, status)                                                                                 \
    do {                                                                                                     \
        const int got = (int)(call);                                                                         \
        if (got != (int)(status)) {                                                                          \
            printf("%d: %s gave %d, not %d\n", __LINE__, #call, got, (int)(status));                         \
            wrong++;                                                                                         \
        }                                                                                                    \
    } while (0)

static sf_status_t take(void *context, const uint8_t *bytes, size_t n) {
    (void)context;
    (void)bytes;
    (void)n;
    return SF_OK;
}

static uint32_t zero(void *context) {
    (void)context;
    return 0;
}

static sf_status_t no_row(void *context, uint16_t row, int8_t *values, size_t row_bytes) {
    (void)context;
    (void)row;
    (void)values;
    (void)row_bytes;
    return SF_OK;
}

static uint8_t state[SF_MODEL_STATE_BYTES + 8] SF_ALIGN8;
static uint8_t payload[SF_MODEL_PAYLOAD_BYTES];
static uint8_t buffer[SF_FRAME_BYTES(SF_FRAME_PAYLOAD_MAX)] SF_ALIGN8;
static sf_encoder_t encoder;

static sf_device_config_t good(void) {
    sf_device_config_t config = {0};
    config.port = (sf_port_t){NULL, take, zero, zero, zero, NULL, NULL};
    config.encoder = &encoder;
    config.receive_buffer = buffer;
    config.rows_payload = 4 + SF_MODEL_ROW_BYTES;
    config.receive_bytes = SF_FRAME_BYTES(4 + SF_MODEL_ROW_BYTES);
    config.window = 1;
    return config;
}

static void check_device(void) {
    sf_device_t device;
    sf_device_config_t c = good();
    EXPECT(sf_device_init(NULL, &c), SF_ERR_ARGUMENT);
    EXPECT(sf_device_init(&device, NULL), SF_ERR_ARGUMENT);
    c.encoder = NULL;
    EXPECT(sf_device_init(&device, &c), SF_ERR_ARGUMENT);
    sf_encoder_t empty;
    memset(&empty, 0, sizeof empty);
    c.encoder = &empty;
    EXPECT(sf_device_init(&device, &c), SF_ERR_ARGUMENT);
    c = good();
    c.port.write = NULL;
    EXPECT(sf_device_init(&device, &c), SF_ERR_ARGUMENT);
    c = good();
    c.port.ticks = NULL;
    EXPECT(sf_device_init(&device, &c), SF_ERR_ARGUMENT);
    c = good();
    c.port.stack_bytes = NULL;
    EXPECT(sf_device_init(&device, &c), SF_ERR_ARGUMENT);
    c = good();
    c.port.overruns = NULL;
    EXPECT(sf_device_init(&device, &c), SF_ERR_ARGUMENT);
    c = good();
    c.window = 0;
    EXPECT(sf_device_init(&device, &c), SF_ERR_ARGUMENT);
    c = good();
    c.rows_payload = 4 + SF_MODEL_ROW_BYTES - 1;
    EXPECT(sf_device_init(&device, &c), SF_ERR_ARGUMENT);
    c = good();
    c.rows_payload = SF_FRAME_PAYLOAD_MAX;
    c.receive_bytes = sizeof buffer;
    EXPECT(sf_device_init(&device, &c), SF_OK);
    c.rows_payload = SF_FRAME_PAYLOAD_MAX + 1;
    c.receive_bytes = sizeof buffer + 1;
    EXPECT(sf_device_init(&device, &c), SF_ERR_ARGUMENT);
    c = good();
    c.receive_bytes--;
    EXPECT(sf_device_init(&device, &c), SF_ERR_MEMORY);
    c = good();
    c.receive_buffer = NULL;
    EXPECT(sf_device_init(&device, &c), SF_ERR_ARGUMENT);
    c = good();
    c.pilot_bytes = (uint16_t)(SF_FRAME_PAYLOAD_MAX - SF_PREFIX_BYTES(0u) - 1u);
    EXPECT(sf_device_init(&device, &c), SF_OK);
    c.pilot_bytes++;
    EXPECT(sf_device_init(&device, &c), SF_ERR_ARGUMENT);
    static const uint8_t id[SF_HELLO_DEVICE_BYTES + 1u];
    c = good();
    c.board.id_bytes = 1;
    EXPECT(sf_device_init(&device, &c), SF_ERR_ARGUMENT);
    c.board.id = id;
    c.board.id_bytes = SF_HELLO_DEVICE_BYTES;
    EXPECT(sf_device_init(&device, &c), SF_OK);
    c.board.id_bytes++;
    EXPECT(sf_device_init(&device, &c), SF_ERR_ARGUMENT);
}

static void check_calls(void) {
    sf_device_t device;
    const sf_device_config_t c = good();
    EXPECT(sf_device_init(&device, &c), SF_OK);
    int8_t row[SF_MODEL_ROW_BYTES];
    const uint8_t byte = 0;
    const sf_source_t source = {NULL, no_row};
    const sf_source_t silent = {NULL, NULL};
    sf_device_t empty;
    memset(&empty, 0, sizeof empty);
    EXPECT(sf_device_receive(NULL, &byte, 1), SF_ERR_ARGUMENT);
    EXPECT(sf_device_receive(&empty, &byte, 1), SF_ERR_ARGUMENT);
    EXPECT(sf_device_receive(&device, NULL, 1), SF_ERR_ARGUMENT);
    EXPECT(sf_device_receive(&device, NULL, 0), SF_OK);
    EXPECT(sf_device_receive(&device, &byte, 1), SF_OK);
    EXPECT(sf_device_capture(NULL, &source, 1, row, sizeof row), SF_ERR_ARGUMENT);
    EXPECT(sf_device_capture(&empty, &source, 1, row, sizeof row), SF_ERR_ARGUMENT);
    EXPECT(sf_device_capture(&device, NULL, 1, row, sizeof row), SF_ERR_ARGUMENT);
    EXPECT(sf_device_capture(&device, &silent, 1, row, sizeof row), SF_ERR_ARGUMENT);
    EXPECT(sf_device_capture(&device, &source, 1, NULL, sizeof row), SF_ERR_ARGUMENT);
    EXPECT(sf_device_capture(&device, &source, 1, row, sizeof row - 1), SF_ERR_MEMORY);
    sf_shown_t shown;
    EXPECT(sf_device_show(NULL, &shown, &source, row, sizeof row), SF_ERR_ARGUMENT);
    EXPECT(sf_device_show(&empty, &shown, &source, row, sizeof row), SF_ERR_ARGUMENT);
    EXPECT(sf_device_show(&device, NULL, &source, row, sizeof row), SF_ERR_ARGUMENT);
    EXPECT(sf_device_show(&device, &shown, NULL, row, sizeof row), SF_ERR_ARGUMENT);
    EXPECT(sf_device_show(&device, &shown, &silent, row, sizeof row), SF_ERR_ARGUMENT);
    EXPECT(sf_device_show(&device, &shown, &source, NULL, sizeof row), SF_ERR_ARGUMENT);
    EXPECT(sf_device_show(&device, &shown, &source, row, sizeof row - 1), SF_ERR_MEMORY);
}

static void check_encoder(void) {
    sf_encoder_t e;
    uint8_t out[4];
    int8_t row[SF_MODEL_ROW_BYTES] = {0};
    size_t n = 0;
    memset(&e, 0, sizeof e);
    EXPECT(sf_encoder_begin(NULL), SF_ERR_ARGUMENT);
    EXPECT(sf_encoder_begin(&e), SF_ERR_ARGUMENT);
    EXPECT(sf_encoder_push_row(NULL, row, sizeof row), SF_ERR_ARGUMENT);
    EXPECT(sf_encoder_push_row(&e, row, sizeof row), SF_ERR_ARGUMENT);
    EXPECT(sf_encoder_poll(NULL, out, sizeof out, &n), SF_ERR_ARGUMENT);
    EXPECT(sf_encoder_poll(&e, out, sizeof out, &n), SF_ERR_ARGUMENT);
    EXPECT(sf_encoder_poll(&encoder, NULL, sizeof out, &n), SF_ERR_ARGUMENT);
    EXPECT(sf_encoder_poll(&encoder, out, sizeof out, NULL), SF_ERR_ARGUMENT);
    EXPECT(sf_encoder_init(NULL, &sf_model, state, sizeof state, payload, sizeof payload), SF_ERR_ARGUMENT);
    EXPECT(sf_encoder_init(&e, &sf_model, NULL, sizeof state, payload, sizeof payload), SF_ERR_ARGUMENT);
    EXPECT(sf_encoder_init(&e, &sf_model, state, sizeof state, NULL, sizeof payload), SF_ERR_ARGUMENT);
    EXPECT(sf_encoder_init(&e, &sf_model, state, SF_MODEL_STATE_BYTES, payload, SF_MODEL_PAYLOAD_BYTES),
           SF_OK);
}

static void check_frames(void) {
    sf_frame_decoder_t decoder;
    EXPECT(sf_frame_decoder_init(NULL, buffer, sizeof buffer), SF_ERR_ARGUMENT);
    EXPECT(sf_frame_decoder_init(&decoder, NULL, sizeof buffer), SF_ERR_ARGUMENT);
    EXPECT(sf_frame_decoder_init(&decoder, buffer, SF_FRAME_BYTES(0u) - 1u), SF_ERR_MEMORY);
    EXPECT(sf_frame_decoder_init(&decoder, buffer, SF_FRAME_BYTES(0u)), SF_OK);
    sf_cobs_encoder_t scratch;
    sf_frame_t frame = {0};
    frame.type = SF_FRAME_CREDIT;
    frame.payload = buffer;
    frame.length = SF_FRAME_PAYLOAD_MAX;
    EXPECT(sf_frame_write(&frame, &scratch, take, NULL), SF_OK);
    frame.length = SF_FRAME_PAYLOAD_MAX + 1;
    EXPECT(sf_frame_write(&frame, &scratch, take, NULL), SF_ERR_ARGUMENT);
    frame.length = 1;
    frame.payload = NULL;
    EXPECT(sf_frame_write(&frame, &scratch, take, NULL), SF_ERR_ARGUMENT);
    frame.length = 0;
    EXPECT(sf_frame_write(&frame, &scratch, take, NULL), SF_OK);
    sf_frame_writer_t writer;
    frame.length = 2;
    EXPECT(sf_frame_begin(&writer, &frame, &scratch, take, NULL), SF_OK);
    EXPECT(sf_frame_push(&writer, NULL, 1), SF_ERR_ARGUMENT);
    EXPECT(sf_frame_push(&writer, buffer, 3), SF_ERR_ARGUMENT);
    EXPECT(sf_frame_push(&writer, buffer, 1), SF_OK);
    EXPECT(sf_frame_end(&writer), SF_ERR_ARGUMENT);
    EXPECT(sf_frame_push(&writer, buffer, 1), SF_OK);
    EXPECT(sf_frame_end(&writer), SF_OK);
}

static void check_order(void) {
    /* scores 16 s - step c: s of 0..3, c of 0..4: 16 * 3 + 3 * 4 + 1 different ones */
    const sf_order_t order = {.positions = 2, .channels = 5, .levels = 4, .step = 3};
    EXPECT(sf_order_scores(&order), 61);
    const sf_order_t one = {.positions = 9, .channels = 1, .levels = 2, .step = 4096};
    EXPECT(sf_order_scores(&one), 17);
    const sf_order_t flat = {.positions = 9, .channels = 7, .levels = 3, .step = 0};
    EXPECT(sf_order_scores(&flat), 33);
}

/* A program of one order: two positions of one channel, whose 33 scores take 66 bytes from 8 on. */
static void check_order_in_program(void) {
    sf_order_t order = {.positions = 2, .channels = 1, .levels = 3, .step = 0};
    const sf_tensor_t tensors[] = {{4, SF_NOT_KEPT}, {2, 0}, {2, 2}, {2, 4}};
    sf_stage_t stage = {.kind = SF_STAGE_ORDER, .source = 2, .output = 3, .by = 1, .state = 8};
    stage.as.order = &order;
    sf_region_t region = {0};
    region.source = 3;
    region.bits = 2;
    region.rows = 2;
    region.each = 1;
    region.items = SF_ITEMS_EVERY;
    sf_program_t program = {0};
    program.runtime_api = SF_RUNTIME_API;
    program.rows = program.row_bytes = 2;
    program.payload_bytes = 1;
    program.n_tensors = 4;
    program.n_stages = program.n_regions = 1;
    program.state_bytes = 8 + 2 * 33;
    program.tensors = tensors;
    program.stages = &stage;
    program.regions = &region;
    EXPECT(sf_order_scores(&order), 33);
    EXPECT(sf_program_check(&program), SF_OK);
    program.state_bytes--;
    EXPECT(sf_program_check(&program), SF_ERR_ARGUMENT);
    program.state_bytes += 2;
    stage.state = 9; /* scores are 16-bit numbers */
    EXPECT(sf_program_check(&program), SF_ERR_ARGUMENT);
    stage.state = program.state_bytes + 1;
    EXPECT(sf_program_check(&program), SF_ERR_ARGUMENT);
    stage.state = 8;
    EXPECT(sf_program_check(&program), SF_OK);
    order.channels = 0;
    EXPECT(sf_program_check(&program), SF_ERR_ARGUMENT);
    order.channels = 2; /* more codes than the tensors hold */
    EXPECT(sf_program_check(&program), SF_ERR_ARGUMENT);
    order.channels = 1;
    order.levels = 1;
    EXPECT(sf_program_check(&program), SF_ERR_ARGUMENT);
    order.levels = 3;
    stage.as.order = NULL;
    EXPECT(sf_program_check(&program), SF_ERR_ARGUMENT);
}

static sf_status_t no_reset(void *memory) {
    (void)memory;
    return SF_OK;
}

static sf_status_t no_push(void *memory, uint16_t number, const int8_t *values, sf_latent_fn emit,
                           void *context) {
    (void)memory;
    (void)number;
    (void)values;
    (void)emit;
    (void)context;
    return SF_OK;
}

/* A graph of 3 positions of 4 channels; a projection to 2, one of two sets; power normalisation of the 6 values and
 * tails behind both. Tensors: image, latent (goes by), projected, normal, codes of a table, codes of GDN. */
static const int8_t eight_weights[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static const int32_t two_biases[2] = {0, 0};
static const int32_t two_multipliers[2] = {1 << 30, 1 << 30};
static const int8_t two_shifts[2] = {-8, -8};
static const uint8_t two_tables[512];
static const int64_t two_betas[2] = {1, 1};
static const int32_t four_gammas[4] = {0, 0, 0, 0};
static const int32_t two_thresholds[2] = {0, 0};

typedef struct {
    sf_graph_t graph;
    sf_project_t project[2];
    sf_normalise_t normalise;
    sf_table_t table;
    sf_gdn_t gdn[2];
    sf_control_t control;
    sf_tensor_t tensors[6];
    sf_stage_t stages[5];
    sf_region_t regions[3];
    sf_program_t program;
} projected_t;

static sf_region_t region_of(uint8_t source, uint8_t bits) {
    sf_region_t region = {0};
    region.source = source;
    region.bits = bits;
    region.rows = 3;
    region.each = 2;
    region.items = SF_ITEMS_EVERY;
    return region;
}

static void make_projected(projected_t *p) {
    memset(p, 0, sizeof *p);
    p->graph = (sf_graph_t){2, 2, 3, 4, 0, no_reset, no_push};
    p->project[0] = (sf_project_t){4, 2, 0, eight_weights, two_biases, two_multipliers, two_shifts};
    p->project[1] = p->project[0];
    p->normalise = (sf_normalise_t){1000, 6, 0};
    p->table = (sf_table_t){2, 4, two_tables};
    p->gdn[0] = (sf_gdn_t){2, 2, 0, two_betas, four_gammas, two_thresholds};
    p->gdn[1] = p->gdn[0];
    p->control = (sf_control_t){0, 1, 0, 1, 1};
    const sf_tensor_t tensors[6] = {{4, SF_NOT_KEPT}, {12, SF_NOT_KEPT}, {6, 0}, {6, 8}, {6, 16}, {6, 24}};
    memcpy(p->tensors, tensors, sizeof tensors);
    p->stages[0] = (sf_stage_t){.kind = SF_STAGE_GRAPH, .output = 1, .as.graph = &p->graph};
    p->stages[1] = (sf_stage_t){.kind = SF_STAGE_PROJECT,
                                .source = 1,
                                .output = 2,
                                .as.project = p->project,
                                .ops = &sf_project_of_graph};
    p->stages[2] = (sf_stage_t){.kind = SF_STAGE_NORMALISE,
                                .source = 2,
                                .output = 3,
                                .by = SF_NONE,
                                .as.normalise = &p->normalise,
                                .ops = &sf_normalise_of_values};
    p->stages[3] = (sf_stage_t){.kind = SF_STAGE_TABLE,
                                .source = 2,
                                .output = 4,
                                .by = SF_NONE,
                                .as.table = &p->table,
                                .ops = &sf_tail_of_values};
    p->stages[4] = (sf_stage_t){
        .kind = SF_STAGE_GDN, .source = 3, .output = 5, .as.gdn = p->gdn, .ops = &sf_tail_of_values};
    p->regions[0] = region_of(3, 8);
    p->regions[1] = region_of(4, 2);
    p->regions[2] = region_of(5, 1);
    p->program = sf_model;
    p->program.rows = p->program.row_bytes = 2;
    p->program.payload_bytes = 9; /* 48 + 12 + 6 bits */
    p->program.n_tensors = 6;
    p->program.n_stages = 5;
    p->program.n_regions = 3;
    p->program.n_controls = 1;
    p->program.state_bytes = 48;
    p->program.control_offset = 32;
    p->program.tensors = p->tensors;
    p->program.stages = p->stages;
    p->program.regions = p->regions;
    p->program.controls = &p->control;
}

/* A program with one thing changed is refused. */
#define REFUSED(change)                                                                                      \
    do {                                                                                                     \
        projected_t p;                                                                                       \
        make_projected(&p);                                                                                  \
        change;                                                                                              \
        EXPECT(sf_program_check(&p.program), SF_ERR_ARGUMENT);                                               \
    } while (0)

static void check_projections_in_program(void) {
    projected_t good;
    make_projected(&good);
    EXPECT(sf_program_check(&good.program), SF_OK);
    good.stages[1].by = SF_NONE;
    EXPECT(sf_program_check(&good.program), SF_OK);
    REFUSED(p.stages[1].as.project = NULL);
    REFUSED(p.stages[1].by = 1); /* no such control */
    REFUSED(p.stages[1].source = 0);
    REFUSED(p.stages[1].source = 3); /* written later */
    REFUSED(p.stages[1].output = 1); /* goes by */
    REFUSED(p.stages[1].output = 6);
    REFUSED(p.project[0].channels = 3);
    REFUSED(p.project[0].channels = p.project[1].channels = 3);
    REFUSED(p.project[1].outputs = 1);
    REFUSED(p.project[0].outputs = p.project[1].outputs = 0);
    REFUSED(p.project[0].outputs = p.project[1].outputs = 3); /* more values than the tensor holds */
    REFUSED(p.project[1].weights = NULL);
    REFUSED(p.project[1].bias = NULL);
    REFUSED(p.project[1].multiplier = NULL);
    REFUSED(p.project[1].shift = NULL);
    REFUSED(p.stages[1].ops = NULL);
    REFUSED(p.stages[1].ops = &sf_project_of_values); /* it reads a graph */
    REFUSED(p.stages[1].kind = SF_STAGE_GDN);
    REFUSED(p.stages[0].ops = &sf_project_of_graph);
    REFUSED(p.tensors[2].bytes = 5);
    REFUSED(p.tensors[2].offset = 43); /* ends behind the state */
}

/* A projection behind the projection, of so many values one by one. */
static sf_project_t second;

static void project_again(projected_t *p, uint32_t values, uint16_t outputs) {
    second = (sf_project_t){1, outputs, 0, eight_weights, two_biases, two_multipliers, two_shifts};
    p->stages[2].kind = SF_STAGE_PROJECT;
    p->stages[2].as.project = &second;
    p->stages[2].ops = &sf_project_of_values;
    p->tensors[2] = (sf_tensor_t){values, 64};
    p->program.state_bytes = 64 + values;
    p->program.n_stages = 3;
    p->program.n_regions = 1;
    p->program.payload_bytes = 6;
}

static void check_sizes_that_wrap(void) {
    projected_t good;
    make_projected(&good);
    project_again(&good, 6, 1);
    EXPECT(sf_program_check(&good.program), SF_OK);
    REFUSED(project_again(&p, 6, 2));
    REFUSED(project_again(&p, 1u << 17, 1u << 15)); /* 2^32 values are not 0 */
}

static void check_normalisation_in_program(void) {
    REFUSED(p.stages[2].as.normalise = NULL);
    REFUSED(p.normalise.n = 0);
    REFUSED(p.normalise.n = 7);
    REFUSED(p.stages[2].source = 1);
    REFUSED(p.stages[2].output = 0);
    REFUSED(p.stages[2].kind = SF_STAGE_MODULATE);
    REFUSED(p.stages[2].kind = 10);
    REFUSED(p.stages[2].ops = NULL);
    REFUSED(p.stages[2].ops = &sf_project_of_values);
}

/* A modulation in place of the normalisation, or behind the graph in place of the projection. */
static const int16_t four_scales[4] = {1, 2, 3, 4};
static const int32_t four_offsets[4] = {0, 0, 0, 0};
static sf_modulate_t modulations[2];

static void modulate(projected_t *p, int behind_graph) {
    const uint16_t channels = behind_graph ? 4 : 2;
    modulations[0] = modulations[1] = (sf_modulate_t){channels, 15, four_scales, four_offsets};
    sf_stage_t *stage = &p->stages[behind_graph ? 1 : 2];
    stage->kind = SF_STAGE_MODULATE;
    stage->by = 0;
    stage->as.modulate = modulations;
    stage->ops = behind_graph ? &sf_modulate_of_graph : &sf_modulate_of_values;
    if (behind_graph) {
        p->tensors[2].bytes = 12;
        p->tensors[2].offset = 32;
        p->program.state_bytes = 64;
        p->program.control_offset = 48;
    }
}

static void check_modulations_in_program(void) {
    for (int behind_graph = 0; behind_graph < 2; behind_graph++) {
        projected_t good;
        make_projected(&good);
        modulate(&good, behind_graph);
        EXPECT(sf_program_check(&good.program), behind_graph ? SF_ERR_ARGUMENT : SF_OK);
        good.program.n_stages = behind_graph ? 2 : 3; /* what follows reads two channels */
        good.program.n_regions = 1;
        good.program.payload_bytes = 6;
        good.regions[0].source = 2;
        EXPECT(sf_program_check(&good.program), SF_OK);
    }
    REFUSED(modulate(&p, 0); p.stages[2].as.modulate = NULL);
    REFUSED(modulate(&p, 0); p.stages[2].ops = &sf_modulate_of_graph);
    REFUSED(modulate(&p, 0); p.stages[2].ops = NULL);
    REFUSED(modulate(&p, 0); p.stages[2].kind = SF_STAGE_PROJECT);
    REFUSED(modulate(&p, 0); p.stages[2].by = 3);
    REFUSED(modulate(&p, 0); p.tensors[3].bytes = 5);
    REFUSED(modulate(&p, 0); modulations[0].channels = modulations[1].channels = 0);
    REFUSED(modulate(&p, 0); modulations[0].channels = modulations[1].channels = 4);
    REFUSED(modulate(&p, 0); modulations[1].channels = 3);
    REFUSED(modulate(&p, 0); modulations[1].shift = 0);
    REFUSED(modulate(&p, 0); modulations[1].shift = 16);
    REFUSED(modulate(&p, 0); modulations[1].multiplier = NULL);
    REFUSED(modulate(&p, 0); modulations[1].offset = NULL);
    REFUSED(modulate(&p, 1); modulations[0].channels = modulations[1].channels = 3);
    REFUSED(modulate(&p, 1); p.stages[1].ops = &sf_modulate_of_values);
}

static void check_tails_behind_values(void) {
    REFUSED(p.table.channels = 4); /* 6 values are no positions of 4 channels */
    REFUSED(p.table.channels = 0);
    REFUSED(p.table.channels = 7);
    REFUSED(p.stages[3].as.table = NULL);
    REFUSED(p.stages[3].source = 4); /* codes */
    REFUSED(p.stages[3].source = 0);
    REFUSED(p.table.levels = 5);    /* does not fit 2 bits */
    REFUSED(p.gdn[1].channels = 3); /* the sets differ */
    REFUSED(p.gdn[0].channels = 1); /* the sets differ */
    REFUSED(p.gdn[1].levels = 3);   /* does not fit 1 bit */
    REFUSED(p.stages[4].by = 200);
    REFUSED(p.stages[4].as.gdn = NULL);
    REFUSED(p.tensors[5].bytes = 5);
    REFUSED(p.stages[3].ops = NULL);            /* it reads no graph */
    REFUSED(p.stages[3].output = 1);            /* goes by */
    REFUSED(p.stages[2].kind = SF_STAGE_ORDER); /* nothing gives values to the GDN */
}

int main(void) {
    EXPECT(sf_encoder_init(&encoder, &sf_model, state, SF_MODEL_STATE_BYTES, payload, sizeof payload), SF_OK);
    check_device();
    check_calls();
    check_encoder();
    check_frames();
    check_order();
    check_order_in_program();
    check_projections_in_program();
    check_sizes_that_wrap();
    check_normalisation_in_program();
    check_modulations_in_program();
    check_tails_behind_values();
    printf("%d not as documented\n", wrong);
    return wrong != 0;
}
