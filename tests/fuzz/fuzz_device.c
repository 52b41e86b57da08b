/* libFuzzer target: a whole conversation with the device, board native with the handwritten model.
 *
 * The input is a list of steps, so that mutations reach behind the checksums:
 *
 *   op & 7    0     raw bytes: u8 n, then n bytes on the line
 *             1..6  a frame: u8 type, u16 sequence, u32 request, u16 length, then that many payload bytes (as many as
 *                   there are) with right checksums; 2: a wrong payload CRC; 3: the length field is forged by the next
 *                   u16; 4: one bit of the line flipped, place by the next u16; 5: cut after the next u16 bytes;
 *                   6: the frame twice
 *             7     ROWS that fit: u8 first row, u8 number of rows, pixels all equal
 *   op & 8    feed the bytes one by one; & 16: another bundle; & 32: read the answers now; & 64: long payloads too
 *
 * Beyond what the sanitizers see: the device never stops taking bytes once its answers are read, every answer is a
 * whole frame, fragments of codes have a right prefix, lie within the payload and name controls within their ranges, the
 * counters add up to the frames that came, and HELLO is answered at the end.
 */
#include <stdlib.h>
#include <string.h>

#include "native.h"
#include "semflash/crc.h"
#include "semflash/device.h"
#include "sf_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct input {
    const uint8_t *next;
    size_t left;
} input_t;

typedef struct line {
    uint8_t bytes[2u * SF_WIRE_BYTES(SF_FRAME_PAYLOAD_MAX)];
    size_t n;
} line_t;

typedef struct listener {
    sf_frame_decoder_t decoder;
    uint8_t buffer[SF_FRAME_BYTES(SF_FRAME_PAYLOAD_MAX)];
    uint8_t last_type;
    uint32_t stats[SF_LINK_STATS_COUNT];
    uint32_t said; /* frames on the line that are not empty */
    uint8_t open;  /* one has begun */
} listener_t;

static uint32_t take(input_t *input, size_t bytes) {
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint32_t)(input->left > 0u ? *input->next : 0u) << (8u * i);
        input->next += input->left > 0u;
        input->left -= input->left > 0u;
    }
    return value;
}

static sf_status_t append(void *context, const uint8_t *bytes, size_t n) {
    line_t *line = (line_t *)context;
    if (n > sizeof line->bytes - line->n) {
        abort();
    }
    memcpy(line->bytes + line->n, bytes, n);
    line->n += n;
    return SF_OK;
}

/* A fragment that the device sent. */
static void check_part(const sf_frame_t *frame) {
    const size_t controls = sf_model.n_controls;
    const size_t size = SF_PREFIX_BYTES(controls);
    const uint8_t *prefix = frame->payload;
    uint8_t header[SF_AT_HEADER_CRC];
    header[SF_AT_VERSION] = SF_PROTOCOL_VERSION;
    header[SF_AT_TYPE] = frame->type;
    sf_store_u16(header + SF_AT_SEQUENCE, frame->sequence);
    sf_store_u32(header + SF_AT_BUNDLE, frame->bundle);
    sf_store_u32(header + SF_AT_REQUEST, frame->request);
    sf_store_u16(header + SF_AT_LENGTH, frame->length);
    if (frame->length < size || prefix[SF_PREFIX_AT_COUNT] != controls ||
        prefix[SF_PREFIX_AT_FLAGS] > (SF_PREFIX_LAST | SF_PREFIX_STREAMED) ||
        sf_crc16_more(sf_crc16(header, sizeof header), prefix, size - 2u) !=
            sf_load_u16(prefix + size - 2u)) {
        abort();
    }
    const uint32_t end = sf_load_u16(prefix + SF_PREFIX_AT_OFFSET) + (frame->length - (uint32_t)size) - 4u;
    const uint32_t bits = sf_load_u32(prefix + SF_PREFIX_AT_BITS);
    const int last = (prefix[SF_PREFIX_AT_FLAGS] & SF_PREFIX_LAST) != 0u;
    if (end > SF_MODEL_PAYLOAD_BYTES || bits > 8u * SF_MODEL_PAYLOAD_BYTES ||
        (last && end != (bits + 7u) / 8u)) {
        abort();
    }
    for (size_t i = 0; i < controls; i++) {
        const uint16_t value = sf_load_u16(prefix + SF_PREFIX_AT_VALUES + 2u * i);
        if (value < sf_model.controls[i].low || value > sf_model.controls[i].high) {
            abort();
        }
    }
}

static void listen(sf_native_t *device, listener_t *listener) {
    uint8_t out[251];
    for (size_t n = 1; n > 0u;) {
        n = sf_native_drain(device, out, sizeof out);
        for (size_t i = 0; i < n; i++) {
            sf_frame_t frame = {0};
            const sf_status_t status = sf_frame_decoder_push(&listener->decoder, out[i], &frame);
            if (status == SF_OK && frame.damaged == 0u) {
                listener->last_type = frame.type;
                if (frame.type == SF_FRAME_CODES_PART) {
                    check_part(&frame);
                }
                for (size_t k = 0; frame.type == SF_FRAME_LINK_STATS && k < SF_LINK_STATS_COUNT; k++) {
                    listener->stats[k] = sf_load_u32(frame.payload + 4u * k);
                }
            } else if (status != SF_MORE) {
                abort(); /* the device sent something that is no frame */
            }
        }
    }
}

static void say(sf_native_t *device, listener_t *listener, const uint8_t *bytes, size_t n, size_t piece) {
    for (size_t i = 0; i < n; i++) {
        listener->said += bytes[i] == 0u && listener->open != 0u;
        listener->open = bytes[i] != 0u;
    }
    for (size_t done = 0; done < n;) {
        const size_t want = n - done < piece ? n - done : piece;
        const size_t took = sf_native_receive(device, bytes + done, want);
        done += took;
        if (took < want) {
            listen(device, listener);
            if (sf_native_receive(device, bytes + done, 1) != 1u) {
                abort(); /* its answers are read, so it must go on */
            }
            done++;
        }
    }
}

static void write_frame(line_t *line, uint8_t type, uint16_t sequence, uint32_t request, uint32_t bundle,
                        const uint8_t *payload, uint16_t length) {
    sf_cobs_encoder_t scratch;
    sf_frame_t frame = {0};
    frame.type = type;
    frame.sequence = sequence;
    frame.request = request;
    frame.bundle = bundle;
    frame.payload = payload;
    frame.length = length;
    if (sf_frame_write(&frame, &scratch, append, line) != SF_OK) {
        abort();
    }
}

/* Take the frame apart, change it and put it together again. */
static void forge(line_t *line, uint8_t how, uint16_t place) {
    static uint8_t raw[SF_FRAME_BYTES(SF_FRAME_PAYLOAD_MAX)];
    if (how == 4u) {
        line->bytes[place / 8u % line->n] ^= (uint8_t)(1u << place % 8u);
        return;
    }
    if (how == 5u) {
        line->n = place % line->n + 1u;
        return;
    }
    sf_cobs_decoder_t decoder;
    sf_cobs_decode_begin(&decoder, raw, sizeof raw);
    sf_status_t status = SF_MORE;
    for (size_t i = 0; i < line->n && status == SF_MORE; i++) {
        status = sf_cobs_decode_push(&decoder, line->bytes[i]);
    }
    if (how == 2u) {
        raw[decoder.length - 1u] ^= 1u;
    } else {
        sf_store_u16(raw + 12, place);
        uint32_t crc = 0xFFFFu;
        for (size_t i = 0; i < 14u; i++) {
            crc ^= (uint32_t)raw[i] << 8;
            for (int k = 0; k < 8; k++) {
                crc = (crc & 0x8000u) != 0u ? (crc << 1 ^ 0x1021u) & 0xFFFFu : crc << 1;
            }
        }
        sf_store_u16(raw + 14, (uint16_t)crc);
    }
    sf_cobs_encoder_t encoder;
    line->n = 0;
    sf_cobs_encode_begin(&encoder, append, line);
    status = sf_cobs_encode_push(&encoder, raw, decoder.length);
    if (status != SF_OK || sf_cobs_encode_end(&encoder) != SF_OK) {
        abort();
    }
}

static void step(sf_native_t *device, listener_t *listener, input_t *input) {
    static line_t line;
    static uint8_t payload[SF_FRAME_PAYLOAD_MAX];
    line.n = 0;
    const uint8_t op = (uint8_t)take(input, 1);
    const uint32_t bundle = SF_MODEL_BUNDLE_HASH ^ ((op & 16u) != 0u ? 1u : 0u);
    const uint8_t what = op & 7u;
    if (what == 0u) {
        const size_t n = take(input, 1);
        line.n = n < input->left ? n : input->left;
        memcpy(line.bytes, input->next, line.n);
        input->next += line.n;
        input->left -= line.n;
    } else if (what == 7u) {
        const uint16_t first = (uint16_t)take(input, 1);
        const uint16_t rows = (uint16_t)(take(input, 1) % 64u);
        sf_store_u16(payload, first);
        sf_store_u16(payload + 2, rows);
        memset(payload + 4, (int)take(input, 1), (size_t)rows * SF_MODEL_ROW_BYTES);
        write_frame(&line, SF_FRAME_ROWS, (uint16_t)take(input, 1), take(input, 1), bundle, payload,
                    (uint16_t)(4u + rows * SF_MODEL_ROW_BYTES));
    } else {
        const uint8_t type = (uint8_t)take(input, 1);
        const uint16_t sequence = (uint16_t)take(input, 2);
        const uint32_t request = take(input, 4);
        const uint32_t most = (op & 64u) != 0u ? SF_FRAME_PAYLOAD_MAX : 127u;
        const uint16_t length = (uint16_t)(take(input, 2) % (most + 1u));
        const size_t there = length < input->left ? length : input->left;
        memset(payload, 0, length);
        memcpy(payload, input->next, there);
        input->next += there;
        input->left -= there;
        write_frame(&line, type, sequence, request, bundle, payload, length);
        if (what == 6u) {
            write_frame(&line, type, sequence, request, bundle, payload, length);
        } else if (what > 1u) {
            forge(&line, what, what == 2u ? 0u : (uint16_t)take(input, 2));
        }
    }
    say(device, listener, line.bytes, line.n, (op & 8u) != 0u ? 1u : line.n);
    if ((op & 32u) != 0u) {
        listen(device, listener);
    }
}

static void ask(sf_native_t *device, listener_t *listener, uint8_t type, sf_frame_type_t answer) {
    static line_t line;
    line.n = 0;
    line.bytes[line.n++] = 0; /* ends a half frame */
    write_frame(&line, type, 0, 1, SF_MODEL_BUNDLE_HASH, NULL, 0);
    say(device, listener, line.bytes, line.n, line.n);
    listen(device, listener);
    if (listener->last_type != answer) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void *memory;
    if (memory == NULL) {
        memory = aligned_alloc(16, (sf_native_bytes() + 15u) / 16u * 16u);
    }
    static listener_t listener;
    sf_native_t *device = NULL;
    memset(&listener, 0, sizeof listener);
    if (memory == NULL || sf_native_create(memory, sf_native_bytes(), &device) != SF_OK ||
        sf_frame_decoder_init(&listener.decoder, listener.buffer, sizeof listener.buffer) != SF_OK) {
        abort();
    }
    input_t input = {data, size};
    while (input.left > 0u) {
        step(device, &listener, &input);
    }
    listen(device, &listener);
    ask(device, &listener, SF_FRAME_HELLO_REQUEST, SF_FRAME_HELLO);
    ask(device, &listener, SF_FRAME_STATS_REQUEST, SF_FRAME_LINK_STATS);
    uint32_t frames = 0;
    for (size_t i = 0; i < 7u; i++) {
        frames += listener.stats[i];
    }
    if (frames != listener.said || listener.stats[7] != 0u) {
        abort();
    }
    return 0;
}
