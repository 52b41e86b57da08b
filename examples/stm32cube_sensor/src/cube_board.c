/* In place of what STM32CubeMX writes for a Nucleo-L476RG: 80 MHz from MSI, USART2 (ST-LINK) with DMA both ways,
 * I2C1 on PB8/PB9, cycle counter. */
#include "cube_board.h"

UART_HandleTypeDef uart;
DMA_HandleTypeDef receive_dma;
DMA_HandleTypeDef send_dma;
I2C_HandleTypeDef sensor_bus;

static void must(HAL_StatusTypeDef status) {
    if (status != HAL_OK) {
        Error_Handler();
    }
}

static void start_clock(void) {
    RCC_OscInitTypeDef oscillator = {0};
    RCC_ClkInitTypeDef buses = {0};
    __HAL_RCC_PWR_CLK_ENABLE();
    must(HAL_PWREx_ControlVoltageScaling(PWR_REGULATOR_VOLTAGE_SCALE1));
    oscillator.OscillatorType = RCC_OSCILLATORTYPE_MSI;
    oscillator.MSIState = RCC_MSI_ON;
    oscillator.MSIClockRange = RCC_MSIRANGE_6;
    oscillator.PLL = (RCC_PLLInitTypeDef){RCC_PLL_ON, RCC_PLLSOURCE_MSI, 1, 40, 7, 2, 2};
    must(HAL_RCC_OscConfig(&oscillator));
    buses.ClockType = RCC_CLOCKTYPE_SYSCLK | RCC_CLOCKTYPE_HCLK | RCC_CLOCKTYPE_PCLK1 | RCC_CLOCKTYPE_PCLK2;
    buses.SYSCLKSource = RCC_SYSCLKSOURCE_PLLCLK;
    must(HAL_RCC_ClockConfig(&buses, FLASH_LATENCY_4));
}

static void start_pins(GPIO_TypeDef *port, uint32_t pins, uint32_t mode, uint32_t alternate) {
    GPIO_InitTypeDef gpio = {0};
    gpio.Pin = pins;
    gpio.Mode = mode;
    gpio.Pull = GPIO_PULLUP;
    gpio.Speed = GPIO_SPEED_FREQ_HIGH;
    gpio.Alternate = alternate;
    HAL_GPIO_Init(port, &gpio);
}

static void start_dma(DMA_HandleTypeDef *dma, DMA_Channel_TypeDef *channel, uint32_t direction,
                      uint32_t mode) {
    dma->Instance = channel;
    dma->Init.Request = DMA_REQUEST_2; /* USART2 on channels 6 and 7 of DMA1 */
    dma->Init.Direction = direction;
    dma->Init.MemInc = DMA_MINC_ENABLE;
    dma->Init.Mode = mode;
    must(HAL_DMA_Init(dma));
}

static void start_uart(void) {
    start_pins(GPIOA, GPIO_PIN_2 | GPIO_PIN_3, GPIO_MODE_AF_PP, GPIO_AF7_USART2);
    start_dma(&receive_dma, DMA1_Channel6, DMA_PERIPH_TO_MEMORY, DMA_CIRCULAR);
    start_dma(&send_dma, DMA1_Channel7, DMA_MEMORY_TO_PERIPH, DMA_NORMAL);
    __HAL_LINKDMA(&uart, hdmarx, receive_dma);
    __HAL_LINKDMA(&uart, hdmatx, send_dma);
    uart.Instance = USART2;
    uart.Init.BaudRate = 921600;
    uart.Init.Mode = UART_MODE_TX_RX;
    must(HAL_UART_Init(&uart));
    HAL_NVIC_EnableIRQ(DMA1_Channel6_IRQn);
    HAL_NVIC_EnableIRQ(DMA1_Channel7_IRQn);
    HAL_NVIC_EnableIRQ(USART2_IRQn); /* the end of a transmission */
}

static void start_sensor_bus(void) {
    start_pins(GPIOB, GPIO_PIN_8 | GPIO_PIN_9, GPIO_MODE_AF_OD, GPIO_AF4_I2C1);
    sensor_bus.Instance = I2C1;
    sensor_bus.Init.Timing = 0x00702991; /* 400 kHz from 80 MHz */
    sensor_bus.Init.AddressingMode = I2C_ADDRESSINGMODE_7BIT;
    must(HAL_I2C_Init(&sensor_bus));
}

void cube_board_init(void) {
    must(HAL_Init());
    start_clock();
    __HAL_RCC_GPIOA_CLK_ENABLE();
    __HAL_RCC_GPIOB_CLK_ENABLE();
    __HAL_RCC_DMA1_CLK_ENABLE();
    __HAL_RCC_USART2_CLK_ENABLE();
    __HAL_RCC_I2C1_CLK_ENABLE();
    start_uart();
    start_sensor_bus();
    CoreDebug->DEMCR |= CoreDebug_DEMCR_TRCENA_Msk;
    DWT->CTRL |= DWT_CTRL_CYCCNTENA_Msk;
}

void Error_Handler(void) {
    for (;;) {
    }
}

void SysTick_Handler(void) {
    HAL_IncTick();
}

void DMA1_Channel6_IRQHandler(void) {
    HAL_DMA_IRQHandler(&receive_dma);
}

void DMA1_Channel7_IRQHandler(void) {
    HAL_DMA_IRQHandler(&send_dma);
}

void USART2_IRQHandler(void) {
    HAL_UART_IRQHandler(&uart);
}
