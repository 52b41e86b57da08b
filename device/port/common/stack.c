#include "stack.h"

#include <stddef.h>

#define PAINT      0x5AA5C33Cu
#define SCAN_BYTES 4096u /* no frame of this firmware leaves a hole this large */

/* From the linker script. */
extern uint32_t sf_stack_limit[];
extern uint32_t sf_stack_top[];

/* Lowest address known to be used. */
static uint32_t *mark;

void sf_stack_paint(void) {
    uint32_t *here;
    __asm volatile("mov %0, sp" : "=r"(here));
    mark = here;
    for (uint32_t *word = sf_stack_limit; word < here; word++) {
        *(volatile uint32_t *)word = PAINT;
    }
}

uint32_t sf_stack_high_water(void *context) {
    (void)context;
    if (mark == NULL) {
        return 0;
    }
    uint32_t *start = sf_stack_limit;
    if ((uintptr_t)mark - (uintptr_t)sf_stack_limit > SCAN_BYTES) {
        start = mark - SCAN_BYTES / sizeof *mark;
    }
    uint32_t *word = start;
    if (*word != PAINT) {
        word = sf_stack_limit; /* deeper than the window: look at all of it */
    }
    while (word < mark && *word == PAINT) {
        word++;
    }
    mark = word;
    return (uint32_t)((uintptr_t)sf_stack_top - (uintptr_t)word);
}
