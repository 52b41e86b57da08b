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

int main(void) {
    EXPECT(sf_encoder_init(&encoder, &sf_model, state, SF_MODEL_STATE_BYTES, payload, sizeof payload), SF_OK);
    check_device();
    check_calls();
    check_encoder();
    check_frames();
    check_order();
    check_order_in_program();
    printf("%d not as documented\n", wrong);
    return wrong != 0;
}
