/* The firmware: rows from the host in, codes out. Everything else is in the runtime and the port.
 *
 * All memory is here, sized by the generated sf_model.h.
 */
#include "semflash/bench.h"
#include "semflash/board.h"
#include "semflash/device.h"
#include "semflash/encoder.h"

#include "sf_model.h"

#ifndef SF_LINK_WINDOW
#define SF_LINK_WINDOW 4 /* ROWS frames the receive queue holds */
#endif
#ifndef SF_LINK_ROWS_BYTES
#define SF_LINK_ROWS_BYTES 512 /* pixel bytes a ROWS frame should hold; one row at least */
#endif

#ifndef SF_LINK_PILOT_BYTES
#define SF_LINK_PILOT_BYTES 4 /* known bytes in each frame of codes; 0: none */
#endif
#ifndef SF_LINK_FRAGMENT_BYTES
#define SF_LINK_FRAGMENT_BYTES 0 /* most codes in one frame; 0: as many as fit */
#endif

#define ROWS_THAT_FIT                                                                                        \
    (SF_LINK_ROWS_BYTES / SF_MODEL_ROW_BYTES > 0 ? SF_LINK_ROWS_BYTES / SF_MODEL_ROW_BYTES : 1)
#define ROWS_PER_FRAME (ROWS_THAT_FIT < SF_MODEL_ROWS ? ROWS_THAT_FIT : SF_MODEL_ROWS)
#define ROWS_PAYLOAD   (4 + ROWS_PER_FRAME * SF_MODEL_ROW_BYTES)
/* Room for the window, and for a few short requests between. */
#define QUEUE_BYTES (SF_LINK_WINDOW * SF_WIRE_BYTES(ROWS_PAYLOAD) + 128)

_Static_assert(ROWS_PAYLOAD <= SF_FRAME_PAYLOAD_MAX, "one image row does not fit into a frame");
_Static_assert(SF_LINK_PILOT_BYTES <= SF_FRAME_PAYLOAD_MAX / 4, "so many pilots leave no room for codes");

static uint8_t state[SF_MODEL_STATE_BYTES > 0 ? SF_MODEL_STATE_BYTES : 8] SF_ALIGN8;
static uint8_t payload[SF_MODEL_PAYLOAD_BYTES];
static uint8_t receive_buffer[SF_FRAME_BYTES(ROWS_PAYLOAD)] SF_ALIGN8;
static uint8_t queue[QUEUE_BYTES];
static sf_encoder_t encoder;
static sf_device_t device;

/* Bind everything together. A function of its own, so that what only the start needs is gone from the stack when images
 * come in. */
__attribute__((noinline)) static sf_status_t start(void) {
    sf_device_config_t config = {0};
    sf_board_init(queue, sizeof queue, &config.port, &config.board);
    SF_BENCH_ATTACH(&config.port);
    config.encoder = &encoder;
    config.receive_buffer = receive_buffer;
    config.receive_bytes = sizeof receive_buffer;
    config.rows_payload = ROWS_PAYLOAD;
    config.window = SF_LINK_WINDOW;
    config.pilot_bytes = SF_LINK_PILOT_BYTES;
    config.fragment_bytes = SF_LINK_FRAGMENT_BYTES;
    const sf_status_t status =
        sf_encoder_init(&encoder, &sf_model, state, sizeof state, payload, sizeof payload);
    return status == SF_OK ? sf_device_init(&device, &config) : status;
}

int main(void) {
    if (start() != SF_OK) {
        return 1; /* generated code and runtime disagree: the start-up code parks */
    }
    for (;;) {
        uint8_t chunk[64];
        const size_t n = sf_board_read(chunk, sizeof chunk);
        if (sf_device_receive(&device, chunk, n) != SF_OK) {
            continue; /* the port could not send: the host asks again */
        }
    }
}
