/* Pictures of its own, without an operating system or ST's HAL: after each frame from the host, the board encodes one
 * more picture and sends its codes; to `semflash collect` it shows the pictures themselves. Here the picture is
 * computed; put your sensor into next_row. */
#include "semflash/board.h"
#include "semflash/device.h"
#include "semflash/encoder.h"

#include "sf_model.h"

#define QUEUE_BYTES (4 * SF_WIRE_BYTES(4 + SF_MODEL_ROW_BYTES) + 128)

static uint8_t state[SF_MODEL_STATE_BYTES > 0 ? SF_MODEL_STATE_BYTES : 8] SF_ALIGN8;
static uint8_t payload[SF_MODEL_PAYLOAD_BYTES];
static uint8_t receive_buffer[SF_FRAME_BYTES(4 + SF_MODEL_ROW_BYTES)] SF_ALIGN8;
static uint8_t queue[QUEUE_BYTES];
static int8_t row[SF_MODEL_ROW_BYTES];
static sf_shown_t shown;
static sf_encoder_t encoder;
static sf_device_t device;

/* A diagonal gradient that moves by one pixel from picture to picture. */
static sf_status_t next_row(void *context, uint16_t number, int8_t *values, size_t row_bytes) {
    const uint32_t *picture = (const uint32_t *)context;
    for (size_t i = 0; i < row_bytes; i++) {
        values[i] = (int8_t)(int)((number * 5u + i * 3u + *picture) % 256u - 128u);
    }
    return SF_OK;
}

int main(void) {
    sf_device_config_t config = {0};
    sf_board_init(queue, sizeof queue, &config.port, &config.board);
    config.encoder = &encoder;
    config.receive_buffer = receive_buffer;
    config.receive_bytes = sizeof receive_buffer;
    config.rows_payload = 4 + SF_MODEL_ROW_BYTES;
    config.window = 4;
    uint32_t picture = 0;
    uint32_t heard = 0; /* good frames from the host so far */
    const sf_source_t source = {&picture, next_row};
    if (sf_encoder_init(&encoder, &sf_model, state, sizeof state, payload, sizeof payload) != SF_OK ||
        sf_device_init(&device, &config) != SF_OK ||
        sf_device_show(&device, &shown, &source, row, sizeof row) != SF_OK) {
        return 1; /* the start-up code parks */
    }
    for (;;) {
        uint8_t chunk[64];
        const size_t n = sf_board_read(chunk, sizeof chunk);
        sf_status_t status = sf_device_receive(&device, chunk, n);
        if (status == SF_OK && device.stats.ok != heard) {
            heard = device.stats.ok;
            picture++;
            status = sf_device_capture(&device, &source, picture, row, sizeof row);
        }
        if (status != SF_OK) {
            continue; /* the port could not send: the host asks again */
        }
    }
}
