/* Deepest use of the stack, from paint. The linker script, or --defsym, gives sf_stack_limit and sf_stack_top. */
#ifndef SEMFLASH_PORT_STACK_H
#define SEMFLASH_PORT_STACK_H

#include <stdint.h>

/* Paint what is free below the caller. Call once, early. */
void sf_stack_paint(void);

/* Bytes; sf_port_t.stack_bytes. 0 before sf_stack_paint. */
uint32_t sf_stack_high_water(void *context);

#endif
