/* Reset, vectors, faults and the stack's high-water mark. */
#ifndef SEMFLASH_STM32F4_STARTUP_H
#define SEMFLASH_STM32F4_STARTUP_H

#include <stdint.h>

/* What a fault leaves in RAM that a reset does not clear; read it with a debugger. */
typedef struct sf_fault_record {
    uint32_t magic; /* SF_FAULT_MAGIC when valid */
    uint32_t cfsr;
    uint32_t hfsr;
    uint32_t bfar;
    uint32_t lr;
    uint32_t pc;
} sf_fault_record_t;

#define SF_FAULT_MAGIC 0x53464654u

extern sf_fault_record_t sf_fault_record;

/* Deepest stack use since reset, bytes. */
uint32_t sf_stack_high_water(void);

/* Interrupt handlers of the port. */
void sf_usart_handler(void);
void sf_systick_handler(void);

#endif
