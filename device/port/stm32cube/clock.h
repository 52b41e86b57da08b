/* The name that ST's generator gives to the clock set-up. */
#ifndef SEMFLASH_STM32CUBE_CLOCK_H
#define SEMFLASH_STM32CUBE_CLOCK_H

void SystemClock_Config(void);

#endif
