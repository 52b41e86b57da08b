/* The device as a shared library: the same runtime and generated code, in the process of the host program.
 *
 * host/semflash/firmware/emulator/native.py loads it (cffi, ABI mode) and repeats these declarations: change both, and
 * SF_NATIVE_ABI with them. No file-scope state: any number of devices may live in memory that the caller lends.
 */
#ifndef SEMFLASH_NATIVE_H
#define SEMFLASH_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#include "semflash/status.h"

#define SF_NATIVE_ABI 2

#if defined(__GNUC__)
#define SF_EXPORT __attribute__((visibility("default")))
#else
#define SF_EXPORT
#endif

typedef struct sf_native sf_native_t;

typedef struct sf_native_info {
    uint32_t bundle_hash; /* first 32 bits */
    uint32_t build_id;
    uint32_t state_bytes;
    uint16_t rows;
    uint16_t row_bytes;
    uint16_t latent_positions;
    uint16_t latent_channels;
    uint16_t payload_bytes;
    uint16_t bits_per_symbol;
    char engine[17]; /* zero-terminated */
} sf_native_info_t;

/* SF_NATIVE_ABI of the library. */
SF_EXPORT uint32_t sf_native_abi(void);

/* What is compiled in. */
SF_EXPORT void sf_native_describe(sf_native_info_t *info);

/* Bytes of memory one device takes; align it to 16. */
SF_EXPORT size_t sf_native_bytes(void);

/* A device in the lent memory. SF_ERR_MEMORY: too small; SF_ERR_ARGUMENT: misaligned, or an unusable model. */
SF_EXPORT SF_MUST_CHECK sf_status_t sf_native_create(void *memory, size_t bytes, sf_native_t **device);

/* Serial line to the device: takes bytes and returns how many were taken; fewer than n when the output must be
 * drained first. */
SF_EXPORT size_t sf_native_receive(sf_native_t *device, const uint8_t *bytes, size_t n);

/* Serial line from the device: copies at most capacity bytes and returns how many. */
SF_EXPORT size_t sf_native_drain(sf_native_t *device, uint8_t *out, size_t capacity);

/* Set a control of the program from the next image on, past the protocol. SF_ERR_ARGUMENT: no such id. */
SF_EXPORT SF_MUST_CHECK sf_status_t sf_native_control(sf_native_t *device, uint8_t id, uint16_t value);

/* Encode n images [n][rows][row_bytes] to payloads [n][payload_bytes], zeros behind the end of each, and their
 * lengths bits[n], past the protocol; forgets a half received image. */
SF_EXPORT SF_MUST_CHECK sf_status_t sf_native_encode(sf_native_t *device, const int8_t *images, size_t n,
                                                     uint8_t *payloads, uint32_t *bits);

/* The first graph alone: n images to latents [n][latent_positions][latent_channels]. */
SF_EXPORT SF_MUST_CHECK sf_status_t sf_native_latents(sf_native_t *device, const int8_t *images, size_t n,
                                                      int8_t *latents);

#endif
