#include "harness.h"

#include <string.h>

#include "semflash/crc.h"
#include "semflash/device.h"
#include "sf_model.h"

typedef struct sink {
    uint8_t *bytes;
    size_t room;
    size_t n;
} sink_t;

static sf_status_t write_sink(void *context, const uint8_t *bytes, size_t n) {
    sink_t *sink = (sink_t *)context;
    if (n > sink->room - sink->n) {
        return SF_ERR_IO;
    }
    memcpy(sink->bytes + sink->n, bytes, n);
    sink->n += n;
    return SF_OK;
}

uint16_t harness_crc16(const uint8_t *bytes, size_t n) {
    return sf_crc16(bytes, n);
}

uint32_t harness_crc32(const uint8_t *bytes, size_t n) {
    return sf_crc32(bytes, n);
}

long harness_cobs_encode(const uint8_t *bytes, size_t n, uint8_t *out, size_t room) {
    sink_t sink = {out, room, 0};
    sf_cobs_encoder_t encoder;
    sf_cobs_encode_begin(&encoder, write_sink, &sink);
    sf_status_t status = sf_cobs_encode_push(&encoder, bytes, n);
    if (status == SF_OK) {
        status = sf_cobs_encode_end(&encoder);
    }
    return status == SF_OK ? (long)sink.n : (long)status;
}

int harness_cobs_decode(const uint8_t *bytes, size_t n, uint8_t *out, size_t capacity, size_t *length) {
    sf_cobs_decoder_t decoder;
    sf_cobs_decode_begin(&decoder, out, capacity);
    sf_status_t status = SF_MORE;
    for (size_t i = 0; i < n && status == SF_MORE; i++) {
        status = sf_cobs_decode_push(&decoder, bytes[i]);
    }
    *length = decoder.length;
    return (int)status;
}

size_t harness_decode_frames(const uint8_t *bytes, size_t n, size_t payload_max, harness_event_t *events,
                             size_t room) {
    uint8_t buffer[SF_FRAME_BYTES(SF_FRAME_PAYLOAD_MAX)];
    sf_frame_decoder_t decoder;
    size_t count = 0;
    if (sf_frame_decoder_init(&decoder, buffer, SF_FRAME_BYTES(payload_max)) != SF_OK) {
        return 0;
    }
    for (size_t i = 0; i < n && count < room; i++) {
        sf_frame_t frame = {0};
        const sf_status_t status = sf_frame_decoder_push(&decoder, bytes[i], &frame);
        if (status == SF_MORE) {
            continue;
        }
        harness_event_t *event = &events[count];
        count++;
        memset(event, 0, sizeof *event);
        event->status = status;
        event->bundle = frame.bundle;
        event->request = frame.request;
        event->sequence = frame.sequence;
        event->length = frame.length;
        event->type = frame.type;
        event->damaged = frame.damaged;
        if (status == SF_OK) {
            memcpy(event->payload, frame.payload, frame.length);
        }
    }
    return count;
}

long harness_write_frame(const harness_event_t *event, uint8_t *out, size_t room) {
    sink_t sink = {out, room, 0};
    sf_cobs_encoder_t scratch;
    sf_frame_t frame = {0};
    frame.type = event->type;
    frame.sequence = event->sequence;
    frame.bundle = event->bundle;
    frame.request = event->request;
    frame.length = event->length;
    frame.payload = event->payload;
    const sf_status_t status = sf_frame_write(&frame, &scratch, write_sink, &sink);
    return status == SF_OK ? (long)sink.n : (long)status;
}

int harness_gdn(uint16_t channels, uint16_t levels, int8_t zero_point, const int64_t *beta,
                const int32_t *gamma, const int32_t *threshold, const int8_t *latents, size_t n,
                uint8_t *codes) {
    const sf_gdn_t gdn = {.channels = channels,
                          .levels = levels,
                          .zero_point = zero_point,
                          .beta = beta,
                          .gamma = gamma,
                          .threshold = threshold};
    for (size_t i = 0; i < n; i++) {
        sf_gdn_codes(&gdn, latents + i * channels, 0, channels, codes + i * channels);
    }
    return SF_OK;
}

int harness_table(uint16_t channels, const uint8_t *table, const int8_t *latents, size_t n, uint8_t *codes) {
    const sf_table_t tail = {.channels = channels, .levels = 256, .table = table};
    for (size_t i = 0; i < n; i++) {
        sf_table_codes(&tail, latents + i * channels, 0, channels, codes + i * channels);
    }
    return SF_OK;
}

int harness_order(uint16_t positions, uint16_t channels, uint16_t levels, uint16_t step,
                  const uint8_t *saliency, const uint8_t *codes, uint16_t *places, uint8_t *sorted) {
    const sf_order_t order = {positions, channels, levels, step};
    sf_order_codes(&order, saliency, codes, places, sorted);
    return (int)sf_order_scores(&order);
}

int harness_modulate(uint16_t channels, uint8_t shift, const int16_t *multiplier, const int32_t *offset,
                     const int8_t *values, size_t n, int8_t *out) {
    const sf_modulate_t modulate = {channels, shift, multiplier, offset};
    for (size_t i = 0; i < n; i++) {
        sf_modulate_position(&modulate, values + i * channels, out + i * channels);
    }
    return SF_OK;
}

int harness_project(uint16_t channels, uint16_t outputs, int8_t zero_point, const int8_t *weights,
                    const int32_t *bias, const int32_t *multiplier, const int8_t *shift, const int8_t *values,
                    size_t n, int8_t *out) {
    const sf_project_t project = {.channels = channels,
                                  .outputs = outputs,
                                  .zero_point = zero_point,
                                  .weights = weights,
                                  .bias = bias,
                                  .multiplier = multiplier,
                                  .shift = shift};
    for (size_t i = 0; i < n; i++) {
        sf_project_position(&project, values + i * channels, out + i * outputs);
    }
    return SF_OK;
}

int harness_normalise(uint32_t gain, uint16_t items, int8_t zero_point, const int8_t *values, size_t n,
                      int8_t *out) {
    const sf_normalise_t normalise = {.gain = gain, .n = items, .zero_point = zero_point};
    for (size_t i = 0; i < n; i++) {
        sf_normalise_values(&normalise, values + i * items, out + i * items);
    }
    return SF_OK;
}

/* A graph whose every row is one latent vector. */
static sf_status_t no_reset(void *state) {
    (void)state;
    return SF_OK;
}

static sf_status_t pass_row(void *state, uint16_t row, const int8_t *values, sf_latent_fn emit,
                            void *context) {
    (void)state;
    (void)row;
    return emit(context, values);
}

long harness_pack(uint16_t positions, uint16_t channels, uint8_t bits, const uint8_t *codes,
                  size_t poll_bytes, uint8_t *out, size_t room) {
    static uint8_t table[256 * 256]; /* code = latent + 128 for every channel */
    for (size_t i = 0; i < sizeof table; i++) {
        table[i] = (uint8_t)(i & 255u);
    }
    const sf_table_t tail = {.channels = channels, .levels = (uint16_t)(1u << bits), .table = table};
    const sf_graph_t graph = {.rows = positions,
                              .row_bytes = channels,
                              .latent_positions = positions,
                              .latent_channels = channels,
                              .reset = no_reset,
                              .push_row = pass_row};
    const uint32_t items = (uint32_t)positions * channels;
    const sf_tensor_t tensors[3] = {{items, SF_NOT_KEPT}, {items, SF_NOT_KEPT}, {items, SF_NOT_KEPT}};
    const sf_stage_t stages[2] = {
        {.kind = SF_STAGE_GRAPH, .source = 0, .output = 1, .as.graph = &graph},
        {.kind = SF_STAGE_TABLE, .source = 1, .output = 2, .by = SF_NONE, .as.table = &tail}};
    const sf_region_t region = {.rows = positions, .each = channels, .source = 2, .bits = bits};
    const uint16_t payload_bytes = (uint16_t)((items * bits + 7u) / 8u);
    const sf_program_t program = {.runtime_api = SF_RUNTIME_API,
                                  .rows = positions,
                                  .row_bytes = channels,
                                  .payload_bytes = payload_bytes,
                                  .n_tensors = 3,
                                  .n_stages = 2,
                                  .n_regions = 1,
                                  .tensors = tensors,
                                  .stages = stages,
                                  .regions = &region};
    static uint8_t payload[65536];
    sf_encoder_t encoder;
    sf_status_t status = sf_encoder_init(&encoder, &program, NULL, 0, payload, sizeof payload);
    if (status == SF_OK) {
        status = sf_encoder_begin(&encoder);
    }
    size_t fetched = 0;
    for (uint16_t row = 0; row < positions && status >= SF_OK; row++) {
        int8_t values[256];
        for (uint16_t c = 0; c < channels; c++) {
            values[c] = (int8_t)((int)codes[(size_t)row * channels + c] - 128);
        }
        status = sf_encoder_push_row(&encoder, values, channels);
        size_t n = 1;
        while (poll_bytes > 0u && n > 0u && status >= SF_OK) {
            const size_t capacity = room - fetched < poll_bytes ? room - fetched : poll_bytes;
            const sf_status_t polled = sf_encoder_poll(&encoder, out + fetched, capacity, &n);
            status = polled == SF_OK ? status : polled;
            fetched += n;
        }
    }
    if (status != SF_OK) {
        return status < SF_OK ? (long)status : (long)SF_ERR_KERNEL;
    }
    if (poll_bytes == 0u) {
        memcpy(out, payload, payload_bytes);
        fetched = payload_bytes;
    }
    return (long)fetched;
}

/* Number of tails and bit widths that sf_encoder_init judges wrongly. */
static int misjudged_models(void) {
    static uint8_t state[SF_MODEL_STATE_BYTES] SF_ALIGN8;
    uint8_t payload[SF_MODEL_PAYLOAD_BYTES];
    sf_encoder_t encoder;
    const uint16_t most = (uint16_t)(1u << sf_model.regions[0].bits);
    const struct {
        uint16_t levels;
        sf_status_t status;
    } cases[] = {{0, SF_ERR_ARGUMENT},
                 {1, SF_ERR_ARGUMENT},
                 {2, SF_OK},
                 {most, SF_OK},
                 {(uint16_t)(most + 1u), SF_ERR_ARGUMENT},
                 {(uint16_t)(2u * most), SF_ERR_ARGUMENT}};
    int wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sf_gdn_t tail = *sf_model.stages[1].as.gdn;
        tail.levels = cases[i].levels;
        sf_stage_t stages[2] = {sf_model.stages[0], sf_model.stages[1]};
        stages[1].as.gdn = &tail;
        sf_program_t model = sf_model;
        model.stages = stages;
        wrong += sf_encoder_init(&encoder, &model, state, sizeof state, payload, sizeof payload) !=
                 cases[i].status;
    }
    return wrong;
}

int harness_encoder_misuse(void) {
    static uint8_t state[SF_MODEL_STATE_BYTES + 8] SF_ALIGN8;
    uint8_t payload[SF_MODEL_PAYLOAD_BYTES];
    int8_t row[SF_MODEL_ROW_BYTES] = {0};
    uint8_t out[4];
    size_t n = 0;
    sf_encoder_t encoder;
    sf_program_t old = sf_model;
    old.runtime_api = SF_RUNTIME_API + 1;
    sf_program_t lying = sf_model;
    lying.payload_bytes--;
    int wrong = misjudged_models();
    wrong += sf_encoder_init(&encoder, &old, state, sizeof state, payload, sizeof payload) != SF_ERR_ARGUMENT;
    wrong +=
        sf_encoder_init(&encoder, &lying, state, sizeof state, payload, sizeof payload) != SF_ERR_ARGUMENT;
    wrong += sf_encoder_init(&encoder, &sf_model, state, 3, payload, sizeof payload) != SF_ERR_MEMORY;
    wrong += sf_encoder_init(&encoder, &sf_model, state, sizeof state, payload, 17) != SF_ERR_MEMORY;
    wrong += sf_encoder_init(&encoder, &sf_model, state + 1, 16, payload, sizeof payload) != SF_ERR_ARGUMENT;
    wrong += sf_encoder_init(&encoder, NULL, state, sizeof state, payload, sizeof payload) != SF_ERR_ARGUMENT;
    wrong += sf_encoder_init(&encoder, &sf_model, state, sizeof state, payload, sizeof payload) != SF_OK;
    wrong += sf_encoder_push_row(&encoder, row, sizeof row) != SF_ERR_STATE;
    wrong += sf_encoder_poll(&encoder, out, sizeof out, &n) != SF_ERR_STATE;
    wrong += sf_encoder_begin(&encoder) != SF_OK;
    wrong += sf_encoder_push_row(&encoder, row, sizeof row - 1) != SF_ERR_ROW;
    wrong += sf_encoder_push_row(&encoder, NULL, sizeof row) != SF_ERR_ARGUMENT;
    for (int i = 0; i < SF_MODEL_ROWS - 1; i++) {
        wrong += sf_encoder_push_row(&encoder, row, sizeof row) != SF_MORE;
    }
    wrong += sf_encoder_push_row(&encoder, row, sizeof row) != SF_OK;
    wrong += sf_encoder_push_row(&encoder, row, sizeof row) != SF_ERR_ROW;
    wrong += sf_encoder_begin(&encoder) != SF_OK;
    wrong += sf_encoder_push_row(&encoder, row, sizeof row) != SF_MORE;
    return wrong;
}

typedef struct fake_sensor {
    uint16_t fail_at;
} fake_sensor_t;

static sf_status_t next_row(void *context, uint16_t row, int8_t *values, size_t row_bytes) {
    const fake_sensor_t *sensor = (const fake_sensor_t *)context;
    if (row == sensor->fail_at) {
        return SF_ERR_IO;
    }
    for (size_t i = 0; i < row_bytes; i++) {
        values[i] = (int8_t)((int)((row * 28u + i) % 251u) - 128);
    }
    return SF_OK;
}

static uint32_t no_count(void *context) {
    (void)context;
    return 0;
}

/* Capture twice over a line that takes `room` bytes the first time and all of them the second. */
static sf_status_t capture_twice(sf_device_t *device, sink_t *sink, size_t room) {
    int8_t row[SF_MODEL_ROW_BYTES];
    fake_sensor_t sensor = {SF_MODEL_ROWS};
    const sf_source_t source = {&sensor, next_row};
    const size_t all = sink->room;
    sink->room = room;
    if (sf_device_capture(device, &source, 76, row, sizeof row) == SF_OK) {
        return SF_ERR_STATE; /* the line was to break */
    }
    sink->room = all;
    return sf_device_capture(device, &source, 77, row, sizeof row);
}

/* A device with the handwritten model whose frames go to sink. */
typedef struct whole_device {
    uint8_t state[SF_MODEL_STATE_BYTES] SF_ALIGN8;
    uint8_t buffer[SF_FRAME_BYTES(4 + SF_MODEL_ROW_BYTES)] SF_ALIGN8;
    uint8_t payload[SF_MODEL_PAYLOAD_BYTES];
    sf_encoder_t encoder;
    sf_device_t device;
} whole_device_t;

static sf_status_t begin_device(whole_device_t *whole, sink_t *sink) {
    sf_status_t status = sf_encoder_init(&whole->encoder, &sf_model, whole->state, sizeof whole->state,
                                         whole->payload, sizeof whole->payload);
    sf_device_config_t config = {0};
    config.port = (sf_port_t){sink, write_sink, no_count, no_count, no_count, NULL, NULL};
    config.encoder = &whole->encoder;
    config.receive_buffer = whole->buffer;
    config.receive_bytes = sizeof whole->buffer;
    config.rows_payload = 4 + SF_MODEL_ROW_BYTES;
    config.window = 1;
    return status == SF_OK ? sf_device_init(&whole->device, &config) : status;
}

int harness_capture(uint16_t fail_at, size_t broken_at, uint8_t *out, size_t room, size_t *n) {
    static whole_device_t whole;
    int8_t row[SF_MODEL_ROW_BYTES];
    sink_t sink = {out, room, 0};
    sf_status_t status = begin_device(&whole, &sink);
    if (status == SF_OK && broken_at < room) {
        status = capture_twice(&whole.device, &sink, broken_at);
    } else if (status == SF_OK) {
        fake_sensor_t sensor = {fail_at};
        const sf_source_t source = {&sensor, next_row};
        status = sf_device_capture(&whole.device, &source, 77, row, sizeof row);
    }
    *n = sink.n;
    return (int)status;
}

int harness_show(uint16_t fail_at, const uint8_t *bytes, size_t n, uint8_t *out, size_t room, size_t *sent) {
    static whole_device_t whole;
    int8_t row[SF_MODEL_ROW_BYTES];
    sink_t sink = {out, room, 0};
    fake_sensor_t sensor = {fail_at};
    const sf_source_t source = {&sensor, next_row};
    sf_shown_t shown;
    sf_status_t status = begin_device(&whole, &sink);
    if (status == SF_OK) {
        status = sf_device_show(&whole.device, &shown, &source, row, sizeof row);
    }
    if (status == SF_OK) {
        status = sf_device_receive(&whole.device, bytes, n);
    }
    *sent = sink.n;
    return (int)status;
}
