/* A device program: everything a device does for an image, as constant data that the code generator writes.
 *
 *   image rows -> graphs -> tensors of int8 values -> tails -> tensors of codes -> regions of the payload
 *                           (projections, normalisation)
 *
 * The description it comes from, and the reference that runs it: host/semflash/program/. Tensor 0 is the image,
 * which is kept only where a stage needs it whole: graphs that read it take its rows as they come. Other tensors
 * are kept in the state, except the codes of the first region where they can go into the payload one by one.
 */
#ifndef SEMFLASH_PROGRAM_H
#define SEMFLASH_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "semflash/layout.h"
#include "semflash/patches.h"
#include "semflash/stages.h"
#include "semflash/status.h"
#include "semflash/tokens.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SF_GRAPHS_MAX 4u          /* of a program */
#define SF_NOT_KEPT   0xFFFFFFFFu /* offset of a tensor that goes by */
#define SF_NONE       0xFFu       /* no control */

/* Called by a graph for every latent vector (all channels of one position), in raster order. */
typedef sf_status_t (*sf_latent_fn)(void *context, const int8_t *values);

/* One int8 graph. Immutable, lives in flash. */
typedef struct sf_graph {
    uint16_t rows;             /* of its input */
    uint16_t row_bytes;        /* width x channels, int8 */
    uint16_t latent_positions; /* of its output: height x width */
    uint16_t latent_channels;
    uint32_t state_bytes; /* RAM it works in, 8-byte aligned */
    sf_status_t (*reset)(void *state);
    /* Take row number `row` (0, 1, ...). May call emit any number of times. */
    sf_status_t (*push_row)(void *state, uint16_t row, const int8_t *values, sf_latent_fn emit,
                            void *context);
} sf_graph_t;

typedef struct sf_tensor {
    uint32_t bytes;
    uint32_t offset; /* in the state, or SF_NOT_KEPT */
} sf_tensor_t;

typedef enum sf_stage_kind {
    SF_STAGE_GRAPH = 1,
    SF_STAGE_GDN = 2,
    SF_STAGE_TABLE = 3,
    SF_STAGE_ORDER = 4,
    SF_STAGE_PROJECT = 5,
    SF_STAGE_NORMALISE = 6,
    SF_STAGE_MODULATE = 7,
    SF_STAGE_SELECT = 8,
    SF_STAGE_PATCHES = 9,
    SF_STAGE_TOKENS = 10
} sf_stage_kind_t;

struct sf_encoder;
struct sf_program;
struct sf_stage;

/* What a stage that few programs have brings along, so that firmware without it does not hold its functions. */
typedef struct sf_stage_ops {
    /* Whether stage `number` of the program fits together. */
    int (*fits)(const struct sf_program *program, uint32_t number);
    /* Run for one position that a graph gave; NULL: runs when the image is complete. */
    void (*position)(struct sf_encoder *encoder, const struct sf_stage *stage, const int8_t *values,
                     uint32_t position);
    /* Run when the image is complete; NULL: has run by then. */
    sf_status_t (*whole)(struct sf_encoder *encoder, const struct sf_stage *stage);
} sf_stage_ops_t;

/* Projections and modulations behind a graph, and behind kept values of another stage; power normalisation of kept
 * values; a tail behind kept values (device/src/values.c). */
extern const sf_stage_ops_t sf_modulate_of_graph;
extern const sf_stage_ops_t sf_modulate_of_values;
extern const sf_stage_ops_t sf_project_of_graph;
extern const sf_stage_ops_t sf_project_of_values;
extern const sf_stage_ops_t sf_normalise_of_values;
extern const sf_stage_ops_t sf_tail_of_values;

/* Levels of patches, and their codes (device/src/patch_stages.c). */
extern const sf_stage_ops_t sf_select_of_image;
extern const sf_stage_ops_t sf_patches_of_image;

/* Tokens that matter, and their symbols (device/src/token_stages.c). */
extern const sf_stage_ops_t sf_tokens_of_values;

/* One step. A tail without operations of its own follows the graph whose output it reads. */
typedef struct sf_stage {
    uint8_t kind;   /* sf_stage_kind_t */
    uint8_t source; /* number of the tensor it reads */
    uint8_t output; /* number of the tensor it writes */
    uint8_t
        by; /* tails, projections, modulations: number of the control that chooses one of several, or SF_NONE;
                     * SF_STAGE_SELECT: number of the control with the rate;
                     * SF_STAGE_TOKENS: number of the control that is alpha;
                     * SF_STAGE_ORDER: number of the saliency's tensor; SF_STAGE_GRAPH: its own number */
    uint16_t layer; /* SF_STAGE_GRAPH: number of its first layer in the whole program, for the layer clock */
    uint32_t
        state; /* SF_STAGE_GRAPH, SF_STAGE_ORDER, SF_STAGE_PATCHES, SF_STAGE_TOKENS: offset of the memory it works in */
    union {
        const sf_graph_t *graph;
        const sf_gdn_t *gdn;     /* one, or one for each value of the control */
        const sf_table_t *table; /* the same */
        const sf_order_t *order;
        const sf_project_t *project; /* one, or one for each value of the control */
        const sf_normalise_t *normalise;
        const sf_modulate_t *modulate; /* one, or one for each value of the control */
        const sf_select_t *select;
        const sf_patches_t *patches;
        const sf_tokens_t *tokens;
    } as;
    const sf_stage_ops_t *ops; /* NULL for graphs, orders and tails behind graphs */
} sf_stage_t;

/* A number that the host may set. */
typedef struct sf_control {
    uint16_t low;
    uint16_t high;
    uint16_t standard; /* where the host said nothing */
    uint8_t id;
    uint8_t sticky; /* 0: a value holds for one image */
} sf_control_t;

/* Bytes of the state that n > 0 controls take (semflash/controls.h). */
#define SF_CONTROLS_BYTES(n) (4u + 7u * (n))

typedef struct sf_program {
    uint32_t runtime_api;   /* SF_RUNTIME_API of the generator */
    uint32_t bundle_hash;   /* first 32 bits of the bundle's SHA-256 */
    uint16_t rows;          /* of the image */
    uint16_t row_bytes;     /* width x channels, int8 */
    uint16_t payload_bytes; /* the most an image can have */
    uint8_t n_tensors;
    uint8_t n_stages;
    uint8_t n_regions;
    uint8_t n_controls;
    uint32_t state_bytes;    /* RAM the caller lends, 8-byte aligned */
    uint32_t control_offset; /* in the state: SF_CONTROLS_BYTES of the controls' values */
    const sf_tensor_t *tensors;
    const sf_stage_t *stages;
    const sf_region_t *regions;
    const sf_control_t *controls; /* NULL where there are none */
    const sf_head_t *head;        /* what comes before the regions; NULL where nothing does */
    char engine[16];              /* for instance "aot/cmsis-nn", zero-padded */
} sf_program_t;

/* SF_OK, or SF_ERR_ARGUMENT where the numbers of a program do not fit together or this runtime. */
SF_MUST_CHECK sf_status_t sf_program_check(const sf_program_t *program);

/* Whether a tensor lies in the state, with at least so many bytes. */
int sf_program_keeps(const sf_program_t *program, uint32_t tensor, uint32_t bytes);

/* Whether codes below `levels` fit the bits in which a tensor is sent. */
int sf_program_levels_fit(const sf_program_t *program, uint32_t tensor, uint32_t levels);

/* Whether the first region's codes go into the payload one by one. */
static inline int sf_program_streams(const sf_program_t *program) {
    return program->tensors[program->regions[0].source].offset == SF_NOT_KEPT;
}

#ifdef __cplusplus
}
#endif

#endif
