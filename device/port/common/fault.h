/* What a crash leaves behind: registers in RAM that a reset does not clear, told to the host after the next HELLO. */
#ifndef SEMFLASH_PORT_FAULT_H
#define SEMFLASH_PORT_FAULT_H

#include <stdint.h>

#include "semflash/device.h"

#define SF_FAULT_MAGIC 0x53464655u

/* In the order of the FAULT frame (docs/wire-format.md), between magic and the fields for the port itself. */
typedef struct sf_fault_record {
    uint32_t magic; /* SF_FAULT_MAGIC when valid */
    uint32_t count; /* crashes since power-on */
    uint32_t build_id;
    uint32_t exception; /* number: 3 hard fault, 4 memory, 5 bus, 6 usage */
    uint32_t exc_return;
    uint32_t sp; /* before the exception */
    uint32_t r0;
    uint32_t r1;
    uint32_t r2;
    uint32_t r3;
    uint32_t r12;
    uint32_t lr;
    uint32_t pc;
    uint32_t xpsr;
    uint32_t cfsr;
    uint32_t hfsr;
    uint32_t mmfar;
    uint32_t bfar;
    uint32_t untold; /* crashes since a host was last told */
    uint32_t fresh;  /* 1: the reset that follows is the crash's */
    uint32_t check;  /* over all before it */
} sf_fault_record_t;

/* In .noinit; a debugger may read it, too. */
extern sf_fault_record_t sf_fault_record;

/* Call once at start. Forgets what is no record (power-on) or another firmware's. Returns 1 when a crash made
 * this reset. */
uint8_t sf_fault_start(uint32_t build_id);

/* sf_port_t.fault */
uint8_t sf_fault_report(void *context, uint8_t report[SF_FAULT_BYTES]);

/* For the vector table: hard fault, and the other faults where they are enabled. Stores the registers and resets;
 * stops where a debugger is attached; parks after SF_FAULT_ATTEMPTS crashes that no host heard of. */
void sf_fault_handler(void);

#define SF_FAULT_ATTEMPTS 4u

#endif
