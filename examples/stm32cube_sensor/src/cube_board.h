/* What STM32CubeMX calls main.h: the handles and the set-up of a Nucleo-L476RG. */
#ifndef CUBE_BOARD_H
#define CUBE_BOARD_H

#include <string.h>

#include "stm32l4xx_hal.h"

extern UART_HandleTypeDef uart;
extern DMA_HandleTypeDef receive_dma;
extern DMA_HandleTypeDef send_dma;
extern I2C_HandleTypeDef sensor_bus;

void cube_board_init(void);
void Error_Handler(void);

#endif
