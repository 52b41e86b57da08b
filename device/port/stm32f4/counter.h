/* The counter that times the encoder: DWT cycle counter on a part, SysTick in QEMU. */
#ifndef SEMFLASH_STM32F4_COUNTER_H
#define SEMFLASH_STM32F4_COUNTER_H

#include <stdint.h>

typedef struct sf_counter {
    uint8_t use_systick;     /* the cycle counter does not advance */
    uint8_t emulated;        /* QEMU: no cycle counter and no device id */
    volatile uint32_t wraps; /* of the 24-bit SysTick */
} sf_counter_t;

/* Start the counter. Takes well below a millisecond. */
void sf_counter_init(sf_counter_t *counter);

/* Ticks so far, modulo 2^32. May be called from any context below the SysTick interrupt. */
uint32_t sf_counter_read(const sf_counter_t *counter);

/* SysTick ticks since sf_counter_init: they do not wrap within a human life. Same contexts. */
uint64_t sf_counter_uptime(const sf_counter_t *counter);

#endif
