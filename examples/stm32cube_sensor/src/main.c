/* A sensor of your own on ST's HAL: rows come over I2C, frames go out and come in by DMA. cube_board.c stands for what
 * STM32CubeMX writes: clock, pins, and the handles uart, receive_dma and sensor_bus. */
#include "cube_board.h"
#include "semflash/device.h"
#include "semflash/encoder.h"

#include "sf_model.h"

#define SENSOR_ADDRESS (0x69u << 1) /* yours */
#define SENSOR_PIXELS  0x80u        /* register of row 0 */

static uint8_t state[SF_MODEL_STATE_BYTES > 0 ? SF_MODEL_STATE_BYTES : 8] SF_ALIGN8;
static uint8_t payload[SF_MODEL_PAYLOAD_BYTES];
static uint8_t receive_buffer[SF_FRAME_BYTES(4 + SF_MODEL_ROW_BYTES)] SF_ALIGN8;
static uint8_t ring[256];
static uint8_t sending[256]; /* frames come in pieces of at most 255 bytes */
static int8_t row[SF_MODEL_ROW_BYTES];
static sf_shown_t shown; /* semflash collect sees the pictures themselves */
static sf_encoder_t encoder;
static sf_device_t device;

/* Copy, so that the caller may go on while DMA sends; wait for what is still under way. */
static sf_status_t dma_write(void *context, const uint8_t *bytes, size_t n) {
    (void)context;
    const uint32_t start = HAL_GetTick();
    while (uart.gState != HAL_UART_STATE_READY) {
        if (HAL_GetTick() - start > 1000u) {
            return SF_ERR_IO;
        }
    }
    if (n > sizeof sending) {
        return SF_ERR_IO;
    }
    memcpy(sending, bytes, n);
    return HAL_UART_Transmit_DMA(&uart, sending, (uint16_t)n) == HAL_OK ? SF_OK : SF_ERR_IO;
}

static uint32_t cycles(void *context) {
    (void)context;
    return DWT->CYCCNT;
}

static uint32_t unknown(void *context) {
    (void)context;
    return 0;
}

/* One row of the picture, as int8. */
static sf_status_t sensor_row(void *context, uint16_t number, int8_t *values, size_t n) {
    uint8_t *pixels = (uint8_t *)values;
    const uint16_t from = (uint16_t)(SENSOR_PIXELS + number * n);
    if (HAL_I2C_Mem_Read(context, SENSOR_ADDRESS, from, I2C_MEMADD_SIZE_16BIT, pixels, (uint16_t)n, 100) !=
        HAL_OK) {
        return SF_ERR_IO;
    }
    for (size_t i = 0; i < n; i++) {
        values[i] = (int8_t)((int)pixels[i] - 128);
    }
    return SF_OK;
}

int main(void) {
    cube_board_init();
    const sf_source_t source = {&sensor_bus, sensor_row};
    const sf_device_config_t config = {
        .port = {.write = dma_write, .ticks = cycles, .stack_bytes = unknown, .overruns = unknown},
        .board = {.counter_kind = SF_COUNTER_CYCLES, .counter_scale = 65536u, .name = "sensor"},
        .encoder = &encoder,
        .receive_buffer = receive_buffer,
        .receive_bytes = sizeof receive_buffer,
        .rows_payload = 4 + SF_MODEL_ROW_BYTES,
        .window = 1,
    };
    if (sf_encoder_init(&encoder, &sf_model, state, sizeof state, payload, sizeof payload) != SF_OK ||
        sf_device_init(&device, &config) != SF_OK ||
        sf_device_show(&device, &shown, &source, row, sizeof row) != SF_OK ||
        HAL_UART_Receive_DMA(&uart, ring, sizeof ring) != HAL_OK) {
        Error_Handler();
    }
    size_t tail = 0;
    for (uint32_t picture = 1;; picture++) {
        /* HAL ends the reception at a broken byte: start it again. */
        if (uart.RxState == HAL_UART_STATE_READY) {
            tail = 0;
            if (HAL_UART_Receive_DMA(&uart, ring, sizeof ring) != HAL_OK) {
                HAL_Delay(1);
            }
        }
        const size_t head =
            sizeof ring - __HAL_DMA_GET_COUNTER(&receive_dma); /* what came meanwhile: HELLO_REQUEST */
        while (tail != head % sizeof ring) {
            const uint8_t byte = ring[tail];
            tail = (tail + 1u) % sizeof ring;
            if (sf_device_receive(&device, &byte, 1) != SF_OK) {
                break; /* could not send: the host asks again */
            }
        }
        if (sf_device_capture(&device, &source, picture, row, sizeof row) != SF_OK) {
            HAL_Delay(100); /* the sensor or the line failed: REFUSED has gone out, try the next picture */
        }
    }
}
