#include "semflash/controls.h"

#include <string.h>

#include "semflash/frame.h"

/* Where the values lie. */
static uint32_t *from_request(const sf_encoder_t *encoder) {
    return (uint32_t *)(void *)(encoder->state + encoder->program->control_offset);
}

static uint16_t *waiting_values(const sf_encoder_t *encoder) {
    return (uint16_t *)(void *)(from_request(encoder) + 1);
}

static uint16_t *next_values(const sf_encoder_t *encoder) {
    return waiting_values(encoder) + encoder->program->n_controls;
}

static uint16_t *used_values(const sf_encoder_t *encoder) {
    return next_values(encoder) + encoder->program->n_controls;
}

const uint16_t *sf_encoder_controls(const sf_encoder_t *encoder) {
    return used_values(encoder);
}

/* Number of the control with this id in the program, or n_controls. */
static uint32_t number_of(const sf_program_t *program, uint32_t id) {
    uint32_t number = 0;
    while (number < program->n_controls && program->controls[number].id != id) {
        number++;
    }
    return number;
}

void sf_controls_reset(const sf_encoder_t *encoder) {
    const sf_program_t *program = encoder->program;
    if (program->n_controls == 0u) {
        return;
    }
    *from_request(encoder) = 0;
    for (uint32_t i = 0; i < program->n_controls; i++) {
        next_values(encoder)[i] = program->controls[i].standard;
    }
}

sf_status_t sf_encoder_control(sf_encoder_t *encoder, uint8_t id, uint16_t value) {
    if (encoder == NULL || encoder->program == NULL) {
        return SF_ERR_ARGUMENT;
    }
    const uint32_t number = number_of(encoder->program, id);
    if (number == encoder->program->n_controls) {
        return SF_ERR_ARGUMENT;
    }
    const sf_control_t *control = &encoder->program->controls[number];
    const uint16_t most = value < control->high ? value : control->high;
    next_values(encoder)[number] = most > control->low ? most : control->low;
    return SF_OK;
}

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
            const uint32_t number = number_of(program, payload[at]);
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

uint32_t sf_controls_take(const sf_encoder_t *encoder, uint16_t *stream, uint32_t request, const uint8_t *payload,
                          size_t n) {
    const sf_program_t *program = encoder->program;
    const uint32_t refusal = check(program, payload, n);
    if (refusal != 0u) {
        return refusal;
    }
    uint16_t *values = NULL;
    if (program->n_controls > 0u) {
        values = request != 0u ? waiting_values(encoder) : next_values(encoder);
        if (request != 0u && *from_request(encoder) == 0u) {
            memcpy(values, next_values(encoder), 2u * (size_t)program->n_controls);
        }
        *from_request(encoder) = request != 0u ? request : *from_request(encoder);
    }
    size_t at = 0;
    while (at < n) {
        uint32_t value = 0;
        const uint8_t id = payload[at];
        at += read_setting(payload + at, n - at, &value);
        if (id == SF_CONTROL_STREAM) {
            *stream = (uint16_t)value;
        } else {
            values[number_of(program, id)] = (uint16_t)value;
        }
    }
    return 0;
}

void sf_controls_begin(const sf_encoder_t *encoder, uint32_t request) {
    const uint32_t controls = encoder->program->n_controls;
    if (controls == 0u || *from_request(encoder) == 0u || request - *from_request(encoder) >= 0x80000000u) {
        return;
    }
    memcpy(next_values(encoder), waiting_values(encoder), 2u * (size_t)controls);
    *from_request(encoder) = 0;
}

void sf_controls_use(const sf_encoder_t *encoder) {
    const sf_program_t *program = encoder->program;
    if (program->n_controls == 0u) {
        return;
    }
    uint16_t *next = next_values(encoder);
    uint16_t *used = used_values(encoder);
    for (uint32_t i = 0; i < program->n_controls; i++) {
        used[i] = next[i];
        if (program->controls[i].sticky == 0u) {
            next[i] = program->controls[i].standard;
        }
    }
}
