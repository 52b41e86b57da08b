/* Reset and vectors. */
#ifndef SEMFLASH_STM32F4_STARTUP_H
#define SEMFLASH_STM32F4_STARTUP_H

/* Interrupt handlers of the port. */
void sf_usart_handler(void);
void sf_systick_handler(void);

#endif
