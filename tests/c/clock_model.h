/* In place of registers.h' memory: the reset and clock registers of an STM32F4, whose ready bits follow. */
#ifndef CLOCK_MODEL_H
#define CLOCK_MODEL_H

#include <stdint.h>

volatile uint32_t *clock_model_register(uint32_t address);

#define SF_REGISTER(address) (*clock_model_register(address))

#endif
