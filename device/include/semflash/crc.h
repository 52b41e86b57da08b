/* Checksums of the wire format (docs/wire-format.md). Tables are 16 entries: small, and fast enough for 1 MB/s. */
#ifndef SEMFLASH_CRC_H
#define SEMFLASH_CRC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF, not reflected, no final XOR. */
uint16_t sf_crc16(const uint8_t *bytes, size_t n);

/* The same over pieces: start with crc 0xFFFF, hand in the last result with the next piece. */
uint16_t sf_crc16_more(uint16_t crc, const uint8_t *bytes, size_t n);

/* CRC-32 of IEEE 802.3 (zlib's): reflected 0xEDB88320, initial value and final XOR 0xFFFFFFFF. */
uint32_t sf_crc32(const uint8_t *bytes, size_t n);

/* The same over pieces: start with crc 0, hand in the last result with the next piece. */
uint32_t sf_crc32_more(uint32_t crc, const uint8_t *bytes, size_t n);

#ifdef __cplusplus
}
#endif

#endif
