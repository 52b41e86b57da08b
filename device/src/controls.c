#include "semflash/controls.h"

#include <string.h>

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

static uint8_t *waits(const sf_encoder_t *encoder) {
    return (uint8_t *)(used_values(encoder) + encoder->program->n_controls);
}

const uint16_t *sf_encoder_controls(const sf_encoder_t *encoder) {
    return used_values(encoder);
}

uint32_t sf_controls_number(const sf_program_t *program, uint32_t id) {
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
    const uint32_t number = sf_controls_number(encoder->program, id);
    if (number == encoder->program->n_controls) {
        return SF_ERR_ARGUMENT;
    }
    const sf_control_t *control = &encoder->program->controls[number];
    const uint16_t most = value < control->high ? value : control->high;
    next_values(encoder)[number] = most > control->low ? most : control->low;
    return SF_OK;
}

void sf_controls_set(const sf_encoder_t *encoder, uint32_t request, uint32_t number, uint16_t value) {
    if (request == 0u) {
        next_values(encoder)[number] = value;
        return;
    }
    if (*from_request(encoder) == 0u) {
        memset(waits(encoder), 0, encoder->program->n_controls);
    }
    *from_request(encoder) = request;
    waiting_values(encoder)[number] = value;
    waits(encoder)[number] = 1;
}

void sf_controls_begin(const sf_encoder_t *encoder, uint32_t request) {
    const uint32_t controls = encoder->program->n_controls;
    if (controls == 0u || *from_request(encoder) == 0u || request - *from_request(encoder) >= 0x80000000u) {
        return;
    }
    for (uint32_t i = 0; i < controls; i++) {
        if (waits(encoder)[i] != 0u) {
            next_values(encoder)[i] = waiting_values(encoder)[i];
        }
    }
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
