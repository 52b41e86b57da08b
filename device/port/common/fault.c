#include "fault.h"

#include <stddef.h>
#include <string.h>

#include "semflash/frame.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define SCB_ICSR          REGISTER(0xE000ED04u)
#define SCB_AIRCR         REGISTER(0xE000ED0Cu)
#define SCB_CCR           REGISTER(0xE000ED14u)
#define SCB_CFSR          REGISTER(0xE000ED28u)
#define SCB_HFSR          REGISTER(0xE000ED2Cu)
#define SCB_MMFAR         REGISTER(0xE000ED34u)
#define SCB_BFAR          REGISTER(0xE000ED38u)
#define SCB_DCCMVAC       REGISTER(0xE000EF68u)
#define CORE_DHCSR        REGISTER(0xE000EDF0u)

#define CCR_BFHFNMIGN   (1u << 8)  /* a bus fault inside the handler is ignored */
#define CCR_DC          (1u << 16) /* Cortex-M7: the data cache is on */
#define AIRCR_RESET     0x05FA0004u
#define DHCSR_C_DEBUGEN 1u
#define CACHE_LINE      32u

#define XPSR_ALIGNED (1u << 9) /* the exception entry put 4 bytes of padding on the stack */
#define NO_FPU_FRAME (1u << 4)
#define FRAME_BYTES  32u
#define FPU_BYTES    72u

#define STACK_WORDS 64u

/* Where RAM can be on a Cortex-M (Arm DDI 0403E, B3.1). */
#define RAM_START 0x20000000u
#define RAM_END   0x40000000u

/* From the linker script. */
extern uint32_t sf_stack_limit[];
extern uint32_t sf_stack_top[];

void sf_fault_store(const uint32_t *frame, uint32_t exc_return);

sf_fault_record_t sf_fault_record __attribute__((section(".noinit"), aligned(32)));

/* Of its own: the stack may be what is broken. */
uint32_t sf_fault_stack[STACK_WORDS] __attribute__((section(".noinit"), aligned(8)));

static uint32_t checksum(const sf_fault_record_t *record) {
    uint32_t words[sizeof *record / 4u];
    memcpy(words, record, sizeof words);
    uint32_t sum = 0x9E3779B9u;
    for (size_t i = 0; i < offsetof(sf_fault_record_t, check) / 4u; i++) {
        sum = (sum << 5 | sum >> 27) ^ words[i];
    }
    return sum;
}

static uint8_t is_valid(void) {
    return sf_fault_record.magic == SF_FAULT_MAGIC && sf_fault_record.check == checksum(&sf_fault_record);
}

uint8_t sf_fault_start(uint32_t build_id) {
    if (!is_valid() || sf_fault_record.build_id != build_id) {
        memset(&sf_fault_record, 0, sizeof sf_fault_record);
        sf_fault_record.build_id = build_id; /* for the handler; without its magic this is no report */
        return 0;
    }
    const uint8_t crashed = sf_fault_record.fresh != 0u;
    sf_fault_record.fresh = 0;
    sf_fault_record.check = checksum(&sf_fault_record);
    return crashed;
}

uint8_t sf_fault_report(void *context, uint8_t report[SF_FAULT_BYTES]) {
    (void)context;
    if (!is_valid()) {
        return 0;
    }
    uint32_t words[SF_FAULT_BYTES / 4u];
    memcpy(words, &sf_fault_record.count, sizeof words);
    for (size_t i = 0; i < SF_FAULT_BYTES / 4u; i++) {
        sf_store_u32(report + 4u * i, words[i]);
    }
    sf_fault_record.untold = 0;
    sf_fault_record.check = checksum(&sf_fault_record);
    return 1;
}

/* The record must be in RAM before the reset, not in the cache. */
static void write_back(void) {
    if ((SCB_CCR & CCR_DC) != 0u) {
        const uintptr_t start = (uintptr_t)&sf_fault_record;
        __asm volatile("dsb" ::: "memory");
        for (uintptr_t line = start; line < start + sizeof sf_fault_record; line += CACHE_LINE) {
            SCB_DCCMVAC = (uint32_t)line;
        }
    }
    __asm volatile("dsb" ::: "memory");
}

/* Whether a stacked frame can be read: a ruined stack pointer may point anywhere. */
static uint8_t in_ram(const uint32_t *frame) {
    const uint32_t start = (uint32_t)(uintptr_t)frame;
    return (start & 3u) == 0u && start >= RAM_START && start < RAM_END - FRAME_BYTES &&
           ((uintptr_t)frame < (uintptr_t)sf_stack_limit ||
            (uintptr_t)frame + FRAME_BYTES <= (uintptr_t)sf_stack_top);
}

__attribute__((used, noreturn)) void sf_fault_store(const uint32_t *frame, uint32_t exc_return) {
    __asm volatile("cpsid f" ::: "memory");
    SCB_CCR |= CCR_BFHFNMIGN; /* the stack pointer may point nowhere */
    __asm volatile("dsb\n isb" ::: "memory");
    sf_fault_record_t *record = &sf_fault_record;
    const uint8_t again = is_valid();
    record->count = again ? record->count + 1u : 1u;
    record->untold = again ? record->untold + 1u : 1u;
    record->magic = SF_FAULT_MAGIC;
    record->exception = SCB_ICSR & 0x1FFu;
    record->exc_return = exc_return;
    record->cfsr = SCB_CFSR;
    record->hfsr = SCB_HFSR;
    record->mmfar = SCB_MMFAR;
    record->bfar = SCB_BFAR;
    if (in_ram(frame)) {
        memcpy(&record->r0, frame, FRAME_BYTES);
    } else { /* nothing could be stored there */
        memset(&record->r0, 0, FRAME_BYTES);
    }
    record->sp = (uint32_t)(uintptr_t)frame + FRAME_BYTES +
                 ((exc_return & NO_FPU_FRAME) != 0u ? 0u : FPU_BYTES) +
                 ((record->xpsr & XPSR_ALIGNED) != 0u ? 4u : 0u);
    record->fresh = 1;
    record->check = checksum(record);
    write_back();
    if ((CORE_DHCSR & DHCSR_C_DEBUGEN) != 0u) {
        __asm volatile("bkpt 0");
    }
    if (record->untold < SF_FAULT_ATTEMPTS) {
        SCB_AIRCR = AIRCR_RESET;
        __asm volatile("dsb" ::: "memory");
    }
    for (;;) {
        __asm volatile("nop");
    }
}

__attribute__((naked)) void sf_fault_handler(void) {
    __asm volatile("tst lr, #4\n"
                   "ite eq\n"
                   "mrseq r0, msp\n"
                   "mrsne r0, psp\n"
                   "mov r1, lr\n"
                   "movw r2, #:lower16:(sf_fault_stack + 256)\n"
                   "movt r2, #:upper16:(sf_fault_stack + 256)\n"
                   "msr msp, r2\n"
                   "b sf_fault_store\n");
}

_Static_assert(offsetof(sf_fault_record_t, untold) - offsetof(sf_fault_record_t, count) == SF_FAULT_BYTES,
               "the record's registers are those of the FAULT frame");
_Static_assert(offsetof(sf_fault_record_t, cfsr) - offsetof(sf_fault_record_t, r0) == FRAME_BYTES,
               "r0 to xpsr lie as the exception entry stores them");
_Static_assert(STACK_WORDS * 4u == 256u, "the handler writes the size of its stack as a number");
