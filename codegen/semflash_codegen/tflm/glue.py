"""Text of the C++ between the runtime's sf_graph_t and TensorFlow Lite Micro's interpreter."""

from __future__ import annotations

from dataclasses import dataclass

from semflash_codegen.graph import CompiledGraph
from semflash_codegen.tflm.operators import OPERATORS

#: Bytes of the state for the C++ objects on a 32-bit core; the generated code asserts that they suffice.
_INTERPRETER_BYTES = 256
_RESOLVER_BYTES_PER_OPERATOR = 48


@dataclass(frozen=True)
class Names:
    """What the generated names begin with.

    Attributes:
        tflm: Of this engine's own files, functions and tables.
        macro: Of the header's constants.
        model: The program's header, without its ending.
    """

    tflm: str
    macro: str
    model: str


_HEADER = """\
#ifndef {guard}_H
#define {guard}_H

#include "semflash/encoder.h"

#ifdef __cplusplus
extern "C" {{
#endif

extern const uint8_t {tflm}_model[];

SF_MUST_CHECK sf_status_t {tflm}_reset(void *state);
SF_MUST_CHECK sf_status_t {tflm}_push_row(void *state, uint16_t row, const int8_t *values, sf_latent_fn emit,
                                          void *context);

#ifdef __cplusplus
}}
#endif

#endif
"""

_SOURCE = """\
#include <stdint.h>
#include <string.h>

#include <new>

#include "{model}.h"
#include "semflash/bench.h"
#include "{tflm}.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {{

using Resolver = tflite::MicroMutableOpResolver<{count}>;

constexpr size_t kObjectBytes = {objects};
constexpr size_t kArenaBytes = {arena};
constexpr uint32_t kMagic = 0x53464C4Du;

#ifdef SF_BENCH
/* Tells the bench which layer runs: invoke of every operator, wrapped. */
template <int kOperator> struct Timed {{
    static TfLiteStatus (*original)(TfLiteContext *, TfLiteNode *);
    static TfLiteStatus invoke(TfLiteContext *context, TfLiteNode *node) {{
        sf_bench_enter_next();
        const TfLiteStatus status = original(context, node);
        sf_bench_leave();
        return status;
    }}
}};

template <int kOperator>
TfLiteStatus (*Timed<kOperator>::original)(TfLiteContext *, TfLiteNode *) = nullptr;

template <int kOperator> void time_operator(Resolver *resolver, tflite::BuiltinOperator code) {{
    TFLMRegistration *registration = const_cast<TFLMRegistration *>(resolver->FindOp(code));
    Timed<kOperator>::original = registration->invoke;
    registration->invoke = Timed<kOperator>::invoke;
}}
#define TIME_OPERATOR(number, code) time_operator<number>(resolver, tflite::BuiltinOperator_##code)
#else
#define TIME_OPERATOR(number, code) (void)0
#endif

/* What lies at the start of the state; the arena follows. `self` and `magic` say that it was made here. */
struct Machine {{
    Machine *self;
    uint32_t magic;
    alignas(Resolver) unsigned char resolver[sizeof(Resolver)];
    alignas(tflite::MicroInterpreter) unsigned char interpreter[sizeof(tflite::MicroInterpreter)];
}};

static_assert(sizeof(Machine) <= kObjectBytes, "this TFLM tree has a larger interpreter than semflash knows");
static_assert(kObjectBytes + kArenaBytes <= {macro}_STATE_BYTES, "generated files do not belong together");

tflite::MicroInterpreter *interpreter_of(Machine *machine) {{
    return std::launder(reinterpret_cast<tflite::MicroInterpreter *>(machine->interpreter));
}}

sf_status_t add_operators(Resolver *resolver) {{
{adds}    return SF_OK;
}}

/* Exactly one int8 tensor in and one out, of the sizes the runtime was built for. */
bool ends_fit(tflite::MicroInterpreter *interpreter) {{
    if (interpreter->inputs_size() != 1 || interpreter->outputs_size() != 1) {{
        return false;
    }}
    const TfLiteTensor *input = interpreter->input(0);
    const TfLiteTensor *output = interpreter->output(0);
    return input != nullptr && output != nullptr && input->type == kTfLiteInt8 &&
           output->type == kTfLiteInt8 &&
           input->bytes == (size_t){rows} * {row_bytes} &&
           output->bytes == (size_t){positions} * {channels};
}}

sf_status_t make(void *state) {{
    Machine *machine = new (state) Machine;
    machine->self = nullptr;
    Resolver *resolver = new (machine->resolver) Resolver;
    const sf_status_t status = add_operators(resolver);
    if (status != SF_OK) {{
        return status;
    }}
    const tflite::Model *model = tflite::GetModel({tflm}_model);
    if (model->version() != TFLITE_SCHEMA_VERSION) {{
        return SF_ERR_VERSION;
    }}
    uint8_t *arena = static_cast<uint8_t *>(state) + kObjectBytes;
    tflite::MicroInterpreter *interpreter = new (machine->interpreter)
        tflite::MicroInterpreter(model, *resolver, arena, kArenaBytes);
    if (interpreter->AllocateTensors() != kTfLiteOk) {{
        return SF_ERR_MEMORY;
    }}
    if (!ends_fit(interpreter)) {{
        return SF_ERR_ARGUMENT;
    }}
    machine->self = machine;
    machine->magic = kMagic;
    return SF_OK;
}}

}}  // namespace

/* The interpreter is made for the first image and kept: nothing but its plan lives from image to image. */
extern "C" sf_status_t {tflm}_reset(void *state) {{
    Machine *machine = static_cast<Machine *>(state);
    if (machine == nullptr) {{
        return SF_ERR_ARGUMENT;
    }}
    if (machine->self == machine && machine->magic == kMagic) {{
        return SF_OK;
    }}
    return make(state);
}}

extern "C" sf_status_t {tflm}_push_row(void *state, uint16_t row, const int8_t *values, sf_latent_fn emit,
                                        void *context) {{
    if (row >= {rows}) {{
        return SF_ERR_ROW;
    }}
    tflite::MicroInterpreter *interpreter = interpreter_of(static_cast<Machine *>(state));
    memcpy(interpreter->input(0)->data.int8 + (size_t)row * {row_bytes}, values, {row_bytes});
    if (row + 1 < {rows}) {{
        return SF_OK;
    }}
    if (interpreter->Invoke() != kTfLiteOk) {{
        return SF_ERR_KERNEL;
    }}
    const int8_t *latent = interpreter->output(0)->data.int8;
    sf_status_t status = SF_OK;
    for (uint32_t i = 0; i < {positions}u && status == SF_OK; i++) {{
        status = emit(context, latent);
        latent += {channels};
    }}
    return status;
}}

#ifndef SF_TFLM_OWN_LOG
/* The tree is built without its messages; whatever still calls the log is heard by nobody. */
extern "C" void DebugLog(const char *, va_list) {{
}}
#endif
"""


def object_bytes(operators: int) -> int:
    """Bytes of the state in front of the arena: resolver and interpreter, a multiple of 16."""
    return -(-(_INTERPRETER_BYTES + _RESOLVER_BYTES_PER_OPERATOR * operators) // 16) * 16


def header(names: Names) -> str:
    """The engine's own header without its banner."""
    return _HEADER.format(guard=names.tflm.upper(), tflm=names.tflm)


def source(names: Names, operators: tuple[str, ...], graph: CompiledGraph, arena: int) -> str:
    """The .cc file without its banner: one checked Add call an operator, the right number of slots."""
    adds = "".join(
        f"    if (resolver->{OPERATORS[name].add}() != kTfLiteOk) {{\n        return SF_ERR_KERNEL;\n    }}\n"
        f"    TIME_OPERATOR({number}, {name});\n"
        for number, name in enumerate(operators)
    )
    return _SOURCE.format(
        tflm=names.tflm,
        model=names.model,
        macro=names.macro,
        count=len(operators),
        objects=graph.state_bytes - arena,
        arena=arena,
        adds=adds,
        rows=graph.rows,
        row_bytes=graph.row_bytes,
        positions=graph.positions,
        channels=graph.channels,
    )
