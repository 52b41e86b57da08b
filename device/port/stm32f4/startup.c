#include "startup.h"

#include "fault.h"
#include "registers.h"
#include "stack.h"

#define IRQ_COUNT    97 /* STM32F446; the F405 has 82 */
#define FIRST_IRQ    16
#define SYSTICK_SLOT 15

/* From the linker script. */
extern uint32_t sf_data_load[];
extern uint32_t sf_data_start[];
extern uint32_t sf_data_end[];
extern uint32_t sf_bss_start[];
extern uint32_t sf_bss_end[];
extern uint32_t sf_stack_top[];
typedef void (*sf_function_t)(void);
extern const sf_function_t sf_init_array_start[];
extern const sf_function_t sf_init_array_end[];

int main(void);
void sf_reset_handler(void);

/* The first word is the initial stack pointer; the rest are handlers. */
typedef union sf_vector {
    const uint32_t *stack;
    sf_function_t handler;
} sf_vector_t;

extern const sf_vector_t sf_vectors[FIRST_IRQ + IRQ_COUNT];

__attribute__((noreturn)) static void park(void) {
    for (;;) {
        __asm volatile("cpsid i\n wfi");
    }
}

void sf_reset_handler(void) {
    __asm volatile("cpsid i" ::: "memory");
    SCB_VTOR = (uint32_t)(uintptr_t)sf_vectors; /* a boot loader may have had its own */
    SCB_CPACR |= 15u << 20;                     /* FPU on */
    __asm volatile("dsb\n isb" ::: "memory");
    const uint32_t *from = sf_data_load;
    for (uint32_t *to = sf_data_start; to < sf_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = sf_bss_start; to < sf_bss_end; to++) {
        *to = 0;
    }
    sf_stack_paint();
    for (const sf_function_t *function = sf_init_array_start; function < sf_init_array_end; function++) {
        (*function)();
    }
    (void)main();
    park();
}

__attribute__((section(".isr_vector"), used)) const sf_vector_t sf_vectors[FIRST_IRQ + IRQ_COUNT] = {
    [0] = {.stack = sf_stack_top},
    [1] = {.handler = sf_reset_handler},
    [2] = {.handler = sf_fault_handler},
    [3] = {.handler = sf_fault_handler},
    [4] = {.handler = sf_fault_handler},
    [5] = {.handler = sf_fault_handler},
    [6] = {.handler = sf_fault_handler},
    [11] = {.handler = sf_fault_handler},
    [12] = {.handler = sf_fault_handler},
    [14] = {.handler = sf_fault_handler},
    [SYSTICK_SLOT] = {.handler = sf_systick_handler},
    [FIRST_IRQ + USART1_IRQ] = {.handler = sf_usart_handler},
    [FIRST_IRQ + USART2_IRQ] = {.handler = sf_usart_handler},
};
