/* CONTROL: settings one behind the other, obeyed as a whole or not at all (docs/wire-format.md). */
#include "semflash/controls.h"
#include "sending.h"

/* A setting: u8 id, u8 size, value. Returns its bytes, 0: it makes no sense. */
static size_t read_setting(const uint8_t *bytes, size_t left, uint32_t *value) {
    if (left < SF_SETTING_HEADER) {
        return 0;
    }
    const size_t size = bytes[1];
    if ((size != 2u && size != 4u) || left - SF_SETTING_HEADER < size) {
        return 0;
    }
    *value = size == 2u ? sf_load_u16(bytes + SF_SETTING_HEADER) : sf_load_u32(bytes + SF_SETTING_HEADER);
    return SF_SETTING_HEADER + size;
}

/* 0, or why one of the settings is refused. */
static uint32_t check(const sf_program_t *program, const uint8_t *payload, size_t n) {
    size_t at = 0;
    while (at < n) {
        uint32_t value = 0;
        const size_t taken = read_setting(payload + at, n - at, &value);
        if (taken == 0u) {
            return SF_REFUSED_CONTROL_UNKNOWN;
        }
        uint32_t low = 0;
        uint32_t high = UINT16_MAX;
        if (payload[at] != SF_CONTROL_STREAM) {
            const uint32_t number = sf_controls_number(program, payload[at]);
            if (number == program->n_controls) {
                return SF_REFUSED_CONTROL_UNKNOWN;
            }
            low = program->controls[number].low;
            high = program->controls[number].high;
        }
        if (value < low || value > high) {
            return SF_REFUSED_CONTROL_RANGE;
        }
        at += taken;
    }
    return n > 0u ? 0u : SF_REFUSED_CONTROL_UNKNOWN;
}

uint32_t sf_device_take_control(const sf_encoder_t *encoder, uint16_t *stream, uint32_t request,
                                const uint8_t *payload, size_t n) {
    const sf_program_t *program = encoder->program;
    const uint32_t refusal = check(program, payload, n);
    if (refusal != 0u) {
        return refusal;
    }
    size_t at = 0;
    while (at < n) {
        uint32_t value = 0;
        const uint8_t id = payload[at];
        at += read_setting(payload + at, n - at, &value);
        if (id == SF_CONTROL_STREAM) {
            *stream = (uint16_t)value;
        } else {
            sf_controls_set(encoder, request, sf_controls_number(program, id), (uint16_t)value);
        }
    }
    return 0;
}
