/* Bare-metal runner of test models for qemu-system-arm -M netduinoplus2: prints latents, SysTick counts, stack use. */
#include <stdint.h>

#include "batch.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define USART1 0x40011000u
#define SYSTICK 0xE000E010u
#define PAINT 0xA5A5A5A5u
#define PAINT_WORDS 2048u

extern uint32_t _sidata, _sdata, _edata, _sbss, _ebss, _estack;
int main(void);
void Reset_Handler(void);
void Fault_Handler(void);

static uint64_t state[TEST_STATE_BYTES / 8];
static int8_t row[TEST_ROW_BYTES + 4];
static uint32_t random_state;

static void put(char c) {
    while ((REGISTER(USART1) & 0x80u) == 0u) {
    }
    REGISTER(USART1 + 4u) = (uint8_t)c;
}

static void text(const char *s) {
    while (*s != '\0') {
        put(*s++);
    }
}

static void number(uint32_t value) {
    char digits[11];
    int i = 10;
    digits[10] = '\0';
    do {
        digits[--i] = (char)('0' + (int)(value % 10u));
        value /= 10u;
    } while (value != 0u);
    text(digits + i);
}

/* The same pattern as firmware_images() in emulator.py. */
static void fill(uint32_t pattern, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        random_state = random_state * 1664525u + 1013904223u;
        const uint32_t noise = random_state >> 24;
        const uint32_t value = pattern == 1u ? 0x80u : pattern == 2u ? 0x7Fu : pattern == 3u ? 0x7Fu + (noise & 1u) : noise;
        row[i] = (int8_t)(uint8_t)value;
    }
}

static sf_status_t print_latent(void *context, const int8_t *values) {
    static const char hex[] = "0123456789abcdef";
    const uint32_t channels = *(const uint32_t *)context;
    for (uint32_t i = 0; i < channels; i++) {
        const uint32_t value = (uint8_t)values[i];
        put(hex[value >> 4]);
        put(hex[value & 15u]);
    }
    return SF_OK;
}

static sf_status_t drop_latent(void *context, const int8_t *values) {
    (void)context;
    (void)values;
    return SF_OK;
}

static uint32_t *paint(void) {
    uint32_t here = 0;
    uint32_t *bottom = (uint32_t *)((uint32_t)&here & ~7u) - PAINT_WORDS - 64u;
    for (uint32_t i = 0; i < PAINT_WORDS; i++) {
        ((volatile uint32_t *)bottom)[i] = PAINT;
    }
    return bottom;
}

/* Bytes below the caller of push_row. */
static uint32_t used(const uint32_t *bottom, uint32_t top) {
    uint32_t i = 0;
    while (i < PAINT_WORDS && ((const volatile uint32_t *)bottom)[i] == PAINT) {
        i++;
    }
    return top - (uint32_t)(bottom + i);
}

static void run(const test_model_t *model, uint32_t index, uint32_t pattern) {
    uint32_t channels = model->channels;
    text("M ");
    number(index);
    put(' ');
    number(pattern);
    text(" : ");
    for (uint32_t pass = 0; pass < 2u; pass++) { /* first the values, then the counts */
        uint32_t ticks = 0;
        uint32_t stack = 0;
        random_state = pattern;
        if (model->reset(state) < SF_OK) {
            text("RESET ");
        }
        uint32_t top;
        __asm__ volatile("mov %0, sp" : "=r"(top));
        const uint32_t *bottom = paint();
        for (uint32_t r = 0; r < model->rows; r++) {
            fill(pattern, model->row_bytes);
            const uint32_t start = REGISTER(SYSTICK + 8u);
            const sf_status_t status =
                model->push_row(state, (uint16_t)r, row, pass == 0u ? print_latent : drop_latent, &channels);
            ticks += (start - REGISTER(SYSTICK + 8u)) & 0xFFFFFFu;
            if (status < SF_OK) {
                text("STATUS ");
            }
        }
        stack = used(bottom, top);
        if (pass == 1u) {
            text(" ; ");
            number(ticks);
            put(' ');
            number(stack);
        }
    }
    text("\r\n");
}

int main(void) {
    REGISTER(USART1 + 12u) = (1u << 13) | (1u << 3) | (1u << 2);
    REGISTER(SYSTICK + 4u) = 0xFFFFFFu;
    REGISTER(SYSTICK + 8u) = 0u;
    REGISTER(SYSTICK) = 5u;
    for (uint32_t wait = 0; wait < 20000000u && REGISTER(SYSTICK + 8u) == 0u; wait++) {
    }
    for (uint32_t index = 0; index < TEST_MODELS; index++) {
        for (uint32_t pattern = 0; pattern < TEST_PATTERNS; pattern++) {
            run(test_models[index], index, pattern);
        }
    }
    text("DONE\r\n");
    __asm__ volatile("mov r0, #0x18\n ldr r1, =0x20026\n bkpt 0xab" ::: "r0", "r1");
    for (;;) {
    }
}

void Reset_Handler(void) {
    const uint32_t *from = &_sidata;
    for (uint32_t *to = &_sdata; to < &_edata;) {
        *to++ = *from++;
    }
    for (uint32_t *to = &_sbss; to < &_ebss;) {
        *to++ = 0;
    }
    REGISTER(0xE000ED88u) |= 0xFu << 20; /* FPU on */
    __asm__ volatile("dsb\n isb");
    main();
    for (;;) {
    }
}

void Fault_Handler(void) {
    text("FAULT\r\n");
    for (;;) {
    }
}

typedef union vector {
    void *stack;
    void (*handler)(void);
} vector_t;

__attribute__((section(".isr_vector"), used)) static const vector_t vectors[16] = {
    {.stack = &_estack},         {.handler = Reset_Handler}, {.handler = Fault_Handler}, {.handler = Fault_Handler},
    {.handler = Fault_Handler}, {.handler = Fault_Handler}, {.handler = Fault_Handler}};
