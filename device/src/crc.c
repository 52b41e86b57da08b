#include "semflash/crc.h"

/* Remainders of one nibble: entry i is i shifted four times through the polynomial. */
static const uint16_t crc16_nibble[16] = {
    0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50A5, 0x60C6, 0x70E7,
    0x8108, 0x9129, 0xA14A, 0xB16B, 0xC18C, 0xD1AD, 0xE1CE, 0xF1EF,
};

static const uint32_t crc32_nibble[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
    0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
};

uint16_t sf_crc16(const uint8_t *bytes, size_t n) {
    return sf_crc16_more(0xFFFFu, bytes, n);
}

uint16_t sf_crc16_more(uint16_t start, const uint8_t *bytes, size_t n) {
    uint32_t crc = start;
    for (size_t i = 0; i < n; i++) {
        crc = ((crc << 4) ^ crc16_nibble[((crc >> 12) ^ (uint32_t)(bytes[i] >> 4)) & 15u]) & 0xFFFFu;
        crc = ((crc << 4) ^ crc16_nibble[((crc >> 12) ^ (uint32_t)bytes[i]) & 15u]) & 0xFFFFu;
    }
    return (uint16_t)crc;
}

uint32_t sf_crc32(const uint8_t *bytes, size_t n) {
    return sf_crc32_more(0, bytes, n);
}

uint32_t sf_crc32_more(uint32_t crc, const uint8_t *bytes, size_t n) {
    crc ^= 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ crc32_nibble[crc & 15u];
        crc = (crc >> 4) ^ crc32_nibble[crc & 15u];
    }
    return crc ^ 0xFFFFFFFFu;
}
