/* Runs the device runtime on standard input, to be built with sanitizers.
 *
 *   driver device CHUNK     stdin is the line to the device, in pieces of CHUNK bytes; stdout is the line from it
 *   driver frames MAX       stdin through a frame decoder that accepts MAX payload bytes; one line per event
 *   driver packing          every bit width and some shapes through encoder and poll; prints ok
 *   driver layout MAX       stdin: messages of harness_layout, each behind its u16 length, into MAX bytes each;
 *                           stdout: for each i32 result, u32 bits, and the payload
 *   driver gdn              stdin: u16 channels, u16 levels, i64 beta[], i32 gamma[], i32 threshold[], i8 zero
 *                           point, then latents; stdout: codes
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "native.h"

static uint8_t *read_all(size_t *n) {
    size_t room = 1u << 16;
    uint8_t *bytes = (uint8_t *)malloc(room);
    *n = 0;
    while (bytes != NULL) {
        *n += fread(bytes + *n, 1, room - *n, stdin);
        if (*n < room) {
            break;
        }
        room *= 2u;
        bytes = (uint8_t *)realloc(bytes, room);
    }
    return bytes;
}

static int run_device(const uint8_t *bytes, size_t n, size_t chunk) {
    const size_t size = (sf_native_bytes() + 15u) / 16u * 16u;
    void *memory = aligned_alloc(16, size);
    sf_native_t *device = NULL;
    if (memory == NULL || sf_native_create(memory, size, &device) != SF_OK) {
        return 3;
    }
    size_t done = 0;
    while (done < n) {
        /* A copy of its own, so that reading past a piece is seen. */
        const size_t piece = n - done < chunk ? n - done : chunk;
        uint8_t *copy = (uint8_t *)malloc(piece);
        if (copy == NULL) {
            return 3;
        }
        memcpy(copy, bytes + done, piece);
        done += sf_native_receive(device, copy, piece);
        free(copy);
        uint8_t out[777];
        for (size_t got = 1; got > 0u;) {
            got = sf_native_drain(device, out, sizeof out);
            fwrite(out, 1, got, stdout);
        }
    }
    free(memory);
    return 0;
}

static int run_frames(const uint8_t *bytes, size_t n, size_t payload_max) {
    const size_t room = 4096;
    harness_event_t *events = (harness_event_t *)malloc(room * sizeof *events);
    if (events == NULL) {
        return 3;
    }
    const size_t count = harness_decode_frames(bytes, n, payload_max, events, room);
    for (size_t i = 0; i < count; i++) {
        printf("%d %u %u %u\n", (int)events[i].status, (unsigned)events[i].type, (unsigned)events[i].length,
               (unsigned)events[i].damaged);
    }
    free(events);
    return 0;
}

static int run_packing(void) {
    static const uint16_t shapes[][2] = {{1, 1}, {1, 256}, {7, 3}, {16, 8}, {49, 5}, {64, 256}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        const size_t codes = (size_t)shapes[s][0] * shapes[s][1];
        for (uint8_t bits = 1; bits <= 8; bits++) {
            const size_t expected = (codes * bits + 7u) / 8u;
            uint8_t *in = (uint8_t *)calloc(codes, 1);
            uint8_t *out = (uint8_t *)malloc(expected);
            if (in == NULL || out == NULL) {
                return 3;
            }
            const long direct = harness_pack(shapes[s][0], shapes[s][1], bits, in, 0, out, expected);
            const long polled = harness_pack(shapes[s][0], shapes[s][1], bits, in, 3, out, expected);
            free(in);
            free(out);
            if (direct != (long)expected || polled != (long)expected) {
                return 4;
            }
        }
    }
    if (harness_encoder_misuse() != 0) {
        return 5;
    }
    puts("ok");
    return 0;
}

static int run_layout(const uint8_t *bytes, size_t n, size_t room) {
    if (harness_bits_misuse() != 0) {
        return 5;
    }
    for (size_t at = 0; at + 2u <= n;) {
        const size_t size = (size_t)bytes[at] | (size_t)bytes[at + 1u] << 8;
        uint8_t *out = (uint8_t *)malloc(room > 0u ? room : 1u);
        at += 2u;
        if (out == NULL || size > n - at) {
            return 3;
        }
        uint32_t bits = 0;
        const int32_t result = (int32_t)harness_layout(bytes + at, size, out, room, &bits);
        fwrite(&result, sizeof result, 1, stdout);
        fwrite(&bits, sizeof bits, 1, stdout);
        fwrite(out, 1, result > 0 ? (size_t)result : 0u, stdout);
        free(out);
        at += size;
    }
    return 0;
}

static int run_gdn(const uint8_t *bytes, size_t n) {
    uint16_t sizes[2];
    if (n < sizeof sizes) {
        return 3;
    }
    memcpy(sizes, bytes, sizeof sizes);
    const size_t channels = sizes[0];
    const size_t steps = sizes[1] - 1u;
    const size_t beta = channels * 8u;
    const size_t gamma = channels * channels * 4u;
    const size_t threshold = channels * steps * 4u;
    const size_t head = sizeof sizes + beta + gamma + threshold + 1u;
    if (n < head) {
        return 3;
    }
    int64_t *b = (int64_t *)malloc(beta);
    int32_t *g = (int32_t *)malloc(gamma);
    int32_t *t = (int32_t *)malloc(threshold);
    uint8_t *codes = (uint8_t *)malloc(n - head + 1u);
    if (b == NULL || g == NULL || t == NULL || codes == NULL) {
        return 3;
    }
    memcpy(b, bytes + 4, beta);
    memcpy(g, bytes + 4 + beta, gamma);
    memcpy(t, bytes + 4 + beta + gamma, threshold);
    const size_t vectors = (n - head) / channels;
    const int status = harness_gdn(sizes[0], sizes[1], (int8_t)bytes[head - 1u], b, g, t,
                                   (const int8_t *)bytes + head, vectors, codes);
    fwrite(codes, 1, vectors * channels, stdout);
    free(b);
    free(g);
    free(t);
    free(codes);
    return status == 0 ? 0 : 4;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        return 2;
    }
    size_t n = 0;
    uint8_t *bytes = read_all(&n);
    int rc = 2;
    const size_t number = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 0u;
    if (bytes == NULL) {
        return 3;
    }
    if (strcmp(argv[1], "device") == 0 && number > 0u) {
        rc = run_device(bytes, n, number);
    } else if (strcmp(argv[1], "frames") == 0) {
        rc = run_frames(bytes, n, number);
    } else if (strcmp(argv[1], "layout") == 0) {
        rc = run_layout(bytes, n, number);
    } else if (strcmp(argv[1], "packing") == 0) {
        rc = run_packing();
    } else if (strcmp(argv[1], "gdn") == 0) {
        rc = run_gdn(bytes, n);
    }
    free(bytes);
    return rc;
}
