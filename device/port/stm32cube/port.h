/* For firmware that has its own interrupt handlers (SF_PORT_OWN_HANDLERS). */
#ifndef SEMFLASH_STM32CUBE_PORT_H
#define SEMFLASH_STM32CUBE_PORT_H

#ifdef __cplusplus
extern "C" {
#endif

/* Call from the UART's interrupt handler, instead of HAL_UART_IRQHandler. */
void sf_uart_interrupt(void);

#ifdef __cplusplus
}
#endif

#endif
