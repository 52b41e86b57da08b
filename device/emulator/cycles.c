/* A plugin for QEMU 7.2 and later that runs a firmware through a timing table of the Cortex-M4: an ESTIMATE of its cycles.
 *
 *     qemu-system-arm ... -plugin cycles.so,plan=FILE,out=FILE        (or probe=1: loads, and does nothing)
 *
 * The plan, written by semflash/bench/cycles/plan.py, says what every instruction is, which functions to watch and
 * which flash memories to imagine; docs/cycles.md explains the model and where its numbers come from. Lines:
 *     f lines line_bytes data_lines data_line_bytes wait_states prefetch     one flash memory; at most MODELS
 *     m first end                  addresses of flash
 *     i address class words flow   an instruction
 *     n address                    an image begins where this function is entered
 *     c address                    count in this function and in what it calls
 *     h address                    not in this one: interrupt handlers
 *     b address                    nor here: a layer begins when it returns
 *     e address                    nor here: a layer ends when it is entered
 *     s address count              what e writes to: one word a layer
 * All numbers are hexadecimal. Functions are followed to their end by counting calls and returns. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The part of QEMU's plugin interface (version 1) that is used here; distributions ship no header for it. */
typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info_t;
enum { REGISTERS_UNTOUCHED = 0, READS_AND_WRITES = 3 };
typedef void (*exec_fn)(unsigned cpu, void *user);
typedef void (*access_fn)(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *user);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *instruction);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *instruction);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*seen)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *instruction, exec_fn run, int flags,
                                            void *user);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *instruction, access_fn run, int flags,
                                      int which, void *user);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*run)(qemu_plugin_id_t, void *), void *user);
int qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);
unsigned qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info);

#define EXPORTED __attribute__((visibility("default")))
EXPORTED int qemu_plugin_version = 1;
EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv);

enum { MODELS = 4, BOUNDS = 3, LAYERS = 1024, IMAGES = 64, DEPTH = 16, LINES = 256, HALFWORDS = 1 << 21 };

/* What one image, or one of its layers, took. */
typedef struct counts {
    uint64_t instructions;
    uint64_t core[BOUNDS];  /* cycles without waiting for flash: least, middle, most */
    uint64_t fetch[MODELS]; /* cycles of waiting for instructions, middle */
    uint64_t read[MODELS];  /* and for constants */
} counts_t;

typedef struct cache {
    uint32_t tag[LINES];
    uint64_t used[LINES];
    uint32_t lines;
    uint32_t shift;
} cache_t;

typedef struct flash {
    cache_t code;
    cache_t data;
    uint32_t waits;
    uint32_t prefetch;
    uint32_t line;   /* the one that was fetched from last */
    uint32_t coming; /* the one that the prefetch is after */
    uint64_t ready;  /* when that one is there */
    uint64_t now;
} flash_t;

typedef struct instruction {
    uint32_t address;
    uint8_t size;
    char class;
    uint8_t words;
    char flow; /* c: call, r: return, q: return if a condition holds, -: neither */
    char role; /* a line of the plan, or 0 */
} instruction_t;

/* A watched function that is being run: how deep in its calls, and what it is. */
typedef struct frame {
    int depth;
    char role;
    instruction_t *interrupted; /* by a handler */
} frame_t;

static instruction_t *known[HALFWORDS];
static flash_t flash[MODELS];
static uint32_t models, flash_first, flash_end, sums_first, sums_count;
static counts_t pending, totals[IMAGES], *layers; /* layers: [IMAGES][LAYERS] */
static uint32_t images;
static frame_t stack[DEPTH];
static int frames;
static int layer_depth, layer_due;
static instruction_t *previous;
static int after_load;
static uint32_t unaligned;
static uint64_t stamp;
static char out_path[4096];

/* Flash and RAM apart; either holds 2 MiB at most. */
static uint32_t place(uint32_t address) {
    return ((address >> 1) & (HALFWORDS / 2u - 1u)) | (((address >> 29) & 1u) * (HALFWORDS / 2u));
}

static instruction_t *at(uint32_t address) {
    instruction_t **entry = &known[place(address)];
    if (*entry == NULL) {
        *entry = calloc(1, sizeof **entry);
        if (*entry == NULL) {
            abort();
        }
        (*entry)->address = address;
        (*entry)->class = '.';
        (*entry)->words = 1;
        (*entry)->flow = '-';
    }
    return *entry;
}

static int hit(cache_t *cache, uint32_t address) {
    const uint32_t line = address >> cache->shift;
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < cache->lines; i++) {
        if (cache->tag[i] == line) {
            cache->used[i] = ++stamp;
            return 1;
        }
        if (cache->used[i] < cache->used[oldest]) {
            oldest = i;
        }
    }
    if (cache->lines > 0u) {
        cache->tag[oldest] = line;
        cache->used[oldest] = ++stamp;
    }
    return 0;
}

static int in_flash(uint32_t address) {
    return address >= flash_first && address < flash_end;
}

/* What is being counted is what a watched function runs and no hidden one does. */
static int counting(void) {
    return frames > 0 && stack[frames - 1].role == 'c' && images > 0u;
}

static void fetch(flash_t *model, uint32_t index, const instruction_t *in) {
    const uint32_t first = in->address >> model->code.shift;
    const uint32_t last = (in->address + in->size - 1u) >> model->code.shift;
    const uint32_t line = first == model->line ? last : first;
    uint32_t stall = 0;
    if (line == model->line || !in_flash(in->address)) {
        return;
    }
    if (!hit(&model->code, line << model->code.shift)) {
        const int came = model->prefetch != 0u && model->coming == line;
        stall = model->waits;
        if (came) {
            stall = model->ready > model->now ? (uint32_t)(model->ready - model->now) : 0u;
        }
    }
    model->coming = line + 1u;
    model->ready = model->now + stall + model->waits + 1u;
    model->line = line;
    model->now += stall;
    pending.fetch[index] += stall;
}

/* Cycles of one instruction; bound 0 is the least, 2 the most. See the table in docs/cycles.md. */
static uint32_t core_cycles(const instruction_t *in, int taken, int bound) {
    static const uint32_t divide[BOUNDS] = {2, 7, 12};
    const uint32_t refill = taken ? 1u + (uint32_t)bound : 0u;
    switch (in->class) {
    case 'L':
        return (after_load ? 1u : 2u) + refill;
    case 'M':
        return 1u + in->words + refill;
    case 'D':
        return divide[bound];
    case 'F':
        return in->words;
    default:
        return 1u + refill;
    }
}

/* The previous instruction is done: `next` came after it. */
static void account(const instruction_t *in, uint32_t next) {
    const int taken = next != in->address + in->size;
    for (int bound = 0; bound < BOUNDS; bound++) {
        const uint32_t cycles = core_cycles(in, taken, bound);
        pending.core[bound] += cycles + (bound == BOUNDS - 1 ? unaligned : 0u);
        for (uint32_t i = 0; bound == 1 && i < models; i++) {
            flash[i].now += cycles;
        }
    }
    unaligned = 0;
    after_load = in->class == 'L';
    pending.instructions++;
}

static void add(counts_t *to, const counts_t *what) {
    to->instructions += what->instructions;
    for (int bound = 0; bound < BOUNDS; bound++) {
        to->core[bound] += what->core[bound];
    }
    for (uint32_t i = 0; i < models; i++) {
        to->fetch[i] += what->fetch[i];
        to->read[i] += what->read[i];
    }
}

static counts_t *layer_of_image(uint32_t layer) {
    return &layers[(size_t)(images - 1u) * LAYERS + layer];
}

/* What was counted since the last call goes to the image, and to a layer if one has just ended. */
static void settle(counts_t *layer) {
    if (images > 0u && images <= IMAGES) {
        add(&totals[images - 1u], &pending);
        if (layer != NULL) {
            add(layer, &pending);
        }
    }
    memset(&pending, 0, sizeof pending);
}

/* A return was executed: which watched functions does it end? What an interrupt handler had interrupted, or NULL. */
static instruction_t *returned(void) {
    while (frames > 0) {
        frame_t *top = &stack[frames - 1];
        if (--top->depth >= 0) {
            return NULL;
        }
        frames--;
        if (top->role == 'b' && layer_depth == 1) {
            settle(NULL); /* what came before belongs to no layer */
        }
        if (top->role == 'h') {
            return top->interrupted; /* nobody called it */
        }
    }
    return NULL;
}

static void push(char role, instruction_t *interrupted) {
    if (frames == DEPTH) {
        fputs("cycles: watched functions call each other too deeply\n", stderr);
        abort();
    }
    stack[frames].depth = 0;
    stack[frames].role = role;
    stack[frames].interrupted = interrupted;
    frames++;
}

static void entered(char role) {
    if (role == 'n') {
        settle(NULL);
        images += images <= IMAGES ? 1u : 0u;
        layer_depth = 0;
        role = 'c';
    } else if (role == 'b') {
        layer_depth++;
    } else if (role == 'e' && layer_depth > 0) {
        layer_depth--;
        layer_due = layer_depth == 0;
    }
    if (role != 0) {
        push(role, NULL);
    }
}

/* `in` comes after `previous`, or after what the handlers that end with it had interrupted. */
static void follow(const instruction_t *in) {
    const int clock = in->role == 'b' || in->role == 'e'; /* the call of one is the clock's own */
    while (previous != NULL) {
        const int jumped = in->address != previous->address + previous->size;
        if (counting() && !clock) {
            account(previous, in->address);
        }
        if (previous->flow == 'r' || (jumped && previous->flow == 'q')) {
            previous = returned();
            continue;
        }
        if (jumped && previous->flow == 'c' && frames > 0) {
            stack[frames - 1].depth++;
        }
        return;
    }
}

static void on_instruction(unsigned cpu, void *user) {
    instruction_t *in = (instruction_t *)user;
    (void)cpu;
    const int again =
        in == previous && strchr("LMS", in->class) != NULL; /* QEMU repeats one that meets a device */
    if (again || (frames == 0 && (in->role == 0 || in->role == 'h'))) {
        return;
    }
    if (in->role == 'h') {
        const frame_t *top = &stack[frames - 1];
        const int chained = top->role == 'h' && top->depth == 0 && previous->flow == 'r';
        if (!chained) { /* else one handler has ended and the next begins, with nothing between them */
            push('h', previous);
        }
    } else {
        follow(in);
        entered(in->role);
    }
    if (counting()) {
        for (uint32_t i = 0; i < models; i++) {
            fetch(&flash[i], i, in);
        }
    } else {
        after_load = 0;
    }
    previous = frames > 0 ? in : NULL;
}

static void on_access(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t where, void *user) {
    const uint32_t address = (uint32_t)where;
    const unsigned shift = qemu_plugin_mem_size_shift(info);
    (void)cpu;
    (void)user;
    if (frames == 0) {
        return;
    }
    if (layer_due && qemu_plugin_mem_is_store(info) && address - sums_first < 4u * sums_count) {
        layer_due = 0;
        const uint32_t layer = (address - sums_first) / 4u;
        settle(images > 0u && images <= IMAGES && layer < LAYERS ? layer_of_image(layer) : NULL);
        return;
    }
    if (!counting()) {
        return;
    }
    unaligned += shift >= 1u && (address & 1u) != 0u   ? (shift == 1u ? 1u : 2u)
                 : shift >= 2u && (address & 2u) != 0u ? 1u
                                                       : 0u;
    if (qemu_plugin_mem_is_store(info) || !in_flash(address)) {
        return;
    }
    for (uint32_t i = 0; i < models; i++) {
        if (!hit(&flash[i].data, address)) {
            pending.read[i] += flash[i].waits;
            flash[i].now += flash[i].waits;
        }
    }
}

static void on_block(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
        instruction_t *in = at((uint32_t)qemu_plugin_insn_vaddr(insn));
        in->size = (uint8_t)qemu_plugin_insn_size(insn);
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_instruction, REGISTERS_UNTOUCHED, in);
        if (strchr("LMSF", in->class) != NULL) {
            qemu_plugin_register_vcpu_mem_cb(insn, on_access, REGISTERS_UNTOUCHED, READS_AND_WRITES, in);
        }
    }
}

static void write_counts(FILE *file, const counts_t *counts) {
    fprintf(file, "{\"instructions\": %" PRIu64 ", \"core\": [%" PRIu64 ", %" PRIu64 ", %" PRIu64 "]",
            counts->instructions, counts->core[0], counts->core[1], counts->core[2]);
    for (int what = 0; what < 2; what++) {
        fprintf(file, ", \"%s\": [", what == 0 ? "fetch" : "read");
        for (uint32_t i = 0; i < models; i++) {
            fprintf(file, "%s%" PRIu64, i == 0u ? "" : ", ", what == 0 ? counts->fetch[i] : counts->read[i]);
        }
        fputs("]", file);
    }
    fputs("}", file);
}

/* {"images": [{"total": {...}, "layers": [[number, {...}], ...]}, ...]} */
static void at_exit(qemu_plugin_id_t id, void *user) {
    (void)id;
    (void)user;
    settle(NULL);
    FILE *file = fopen(out_path, "w");
    if (file == NULL) {
        return;
    }
    const uint32_t kept = images < IMAGES ? images : IMAGES;
    fputs("{\"images\": [", file);
    for (uint32_t image = 0; image < kept; image++) {
        fputs(image == 0u ? "{\"total\": " : ", {\"total\": ", file);
        write_counts(file, &totals[image]);
        fputs(", \"layers\": [", file);
        int first = 1;
        for (uint32_t layer = 0; layer < LAYERS; layer++) {
            const counts_t *counts = &layers[(size_t)image * LAYERS + layer];
            if (counts->instructions > 0u) {
                fprintf(file, "%s[%u, ", first ? "" : ", ", layer);
                write_counts(file, counts);
                fputs("]", file);
                first = 0;
            }
        }
        fputs("]}", file);
    }
    fputs("]}\n", file);
    fclose(file);
}

static int shift_of(uint32_t bytes) {
    int shift = 0;
    while ((1u << shift) < bytes) {
        shift++;
    }
    return shift;
}

static int start_cache(cache_t *cache, uint32_t lines, uint32_t line_bytes) {
    if (lines > LINES || line_bytes == 0u || line_bytes > 1024u) {
        return 0;
    }
    cache->lines = lines;
    cache->shift = (uint32_t)shift_of(line_bytes);
    memset(cache->tag, 0xFF, sizeof cache->tag);
    return 1;
}

static int take_flash(const uint32_t *v) {
    if (models == MODELS) {
        return 0;
    }
    flash_t *model = &flash[models++];
    model->waits = v[4];
    model->prefetch = v[5];
    model->line = model->coming = UINT32_MAX;
    return start_cache(&model->code, v[0], v[1]) && start_cache(&model->data, v[2], v[3]);
}

static int take_line(const char *line) {
    uint32_t v[6] = {0};
    char kind = 0, class = 0, flow = 0;
    if (sscanf(line, "i %" SCNx32 " %c %" SCNx32 " %c", &v[0], &class, &v[1], &flow) == 4) {
        instruction_t *in = at(v[0]);
        in->class = class;
        in->words = (uint8_t)v[1];
        in->flow = flow;
        return 1;
    }
    const int count = sscanf(line, "%c %" SCNx32 " %" SCNx32 " %" SCNx32 " %" SCNx32 " %" SCNx32 " %" SCNx32,
                             &kind, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]);
    if (kind == 'f') {
        return count == 7 && take_flash(v);
    }
    if (kind == 'm') {
        flash_first = v[0];
        flash_end = v[1];
        return count == 3;
    }
    if (kind == 's') {
        sums_first = v[0];
        sums_count = v[1];
        return count == 3;
    }
    if (count == 2 && strchr("nchbe", kind) != NULL) {
        at(v[0])->role = kind;
        return 1;
    }
    return 0;
}

static int take_plan(const char *path) {
    char line[160];
    int good = 1;
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return 0;
    }
    while (good && fgets(line, sizeof line, file) != NULL) {
        good = take_line(line);
    }
    if (!good) {
        fprintf(stderr, "cycles: the plan has a line that says nothing: %s", line);
    }
    fclose(file);
    return good;
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv) {
    int planned = 0;
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "probe=", 6) == 0) {
            return 0;
        }
        if (strncmp(argv[i], "plan=", 5) == 0) {
            planned = take_plan(argv[i] + 5);
        } else if (strncmp(argv[i], "out=", 4) == 0) {
            snprintf(out_path, sizeof out_path, "%s", argv[i] + 4);
        }
    }
    layers = calloc((size_t)IMAGES * LAYERS, sizeof *layers);
    if (!planned || out_path[0] == '\0' || layers == NULL) {
        fputs("cycles: needs plan=FILE and out=FILE\n", stderr);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
