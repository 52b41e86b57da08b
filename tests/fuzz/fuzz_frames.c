/* libFuzzer target: the frame decoder on any bytes. The first two bytes choose how large a payload it accepts.
 *
 * Beyond what the sanitizers see: a delivered frame lies within the buffer, its type is known, and encoding it again
 * and decoding that gives the same frame.
 */
#include <stdlib.h>
#include <string.h>

#include "semflash/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct again {
    sf_frame_decoder_t decoder;
    sf_frame_t frame;
    sf_status_t status;
} again_t;

static sf_status_t feed_again(void *context, const uint8_t *bytes, size_t n) {
    again_t *again = (again_t *)context;
    for (size_t i = 0; i < n; i++) {
        again->status = sf_frame_decoder_push(&again->decoder, bytes[i], &again->frame);
    }
    return SF_OK;
}

static void check_same(const sf_frame_t *frame) {
    static uint8_t buffer[SF_FRAME_BYTES(SF_FRAME_PAYLOAD_MAX)];
    sf_cobs_encoder_t scratch;
    again_t again = {0};
    if (sf_frame_decoder_init(&again.decoder, buffer, sizeof buffer) != SF_OK ||
        sf_frame_write(frame, &scratch, feed_again, &again) != SF_OK || again.status != SF_OK ||
        again.frame.type != frame->type || again.frame.sequence != frame->sequence ||
        again.frame.request != frame->request || again.frame.bundle != frame->bundle ||
        again.frame.length != frame->length || again.frame.damaged != 0u ||
        (frame->length > 0u && memcmp(again.frame.payload, frame->payload, frame->length) != 0)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2u) {
        return 0;
    }
    const size_t payload_max = sf_load_u16(data) % (SF_FRAME_PAYLOAD_MAX + 1u);
    const size_t capacity = SF_FRAME_BYTES(payload_max);
    uint8_t *buffer = (uint8_t *)malloc(capacity);
    sf_frame_decoder_t decoder;
    if (buffer == NULL || sf_frame_decoder_init(&decoder, buffer, capacity) != SF_OK) {
        abort();
    }
    for (size_t i = 2; i < size; i++) {
        sf_frame_t frame = {0};
        const sf_status_t status = sf_frame_decoder_push(&decoder, data[i], &frame);
        if (status == SF_OK) {
            const int from_host = frame.type >= SF_FRAME_FIRST && frame.type <= SF_FRAME_LAST;
            const int from_device = frame.type >= SF_FRAME_DEVICE_FIRST && frame.type <= SF_FRAME_DEVICE_LAST;
            if ((!from_host && !from_device) || frame.length > payload_max || frame.payload < buffer ||
                frame.payload + frame.length > buffer + capacity) {
                abort();
            }
            check_same(&frame);
        } else if (status != SF_MORE && (data[i] != 0u || status > SF_ERR_COBS || status < SF_ERR_LENGTH)) {
            abort();
        }
    }
    free(buffer);
    return 0;
}
