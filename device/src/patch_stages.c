/* The stages of patches in a program: what a program without them does not need. */
#include "semflash/controls.h"
#include "semflash/encoder.h"

#define BACKGROUND_LEVELS 16u
#define BITS_MAX          6u

/* Whether patches of so many pixels tile the image, which is kept. */
static int tiles(const sf_program_t *program, uint32_t rows, uint32_t columns, uint32_t side,
                 uint32_t channels) {
    return rows > 0u && columns > 0u && rows * columns <= SF_PLACES_MAX && side > 0u &&
           side <= SF_PATCH_SIDE_MAX && channels > 0u && rows * side == program->rows &&
           columns * side * channels == program->row_bytes &&
           sf_program_keeps(program, 0, (uint32_t)program->rows * program->row_bytes);
}

/* The largest value that the control which protects the head can have. */
static int can_protect(const sf_program_t *program) {
    const uint8_t protect = program->head->protect;
    return protect != SF_NONE && program->controls[protect].high > 0u;
}

/* Whether the head's map is this tensor, of so many places, and the gains of its levels do not rise. */
static int map_fits(const sf_program_t *program, uint32_t map, uint32_t places, const uint16_t *gains) {
    const sf_head_t *head = program->head;
    if (head == NULL || head->ops == NULL || head->ops->fits(program) == 0 || head->map != map ||
        head->places != places) {
        return 0;
    }
    for (uint32_t j = 1; gains != NULL && j + 1u < head->levels; j++) {
        if (gains[j] > gains[j - 1u] || head->level_bits[j + 1u] <= head->level_bits[j]) {
            return 0;
        }
    }
    return 1;
}

/* Whether the codes of a coder are whole bytes that its tensor holds. */
static int coder_fits(const sf_program_t *program, const sf_coder_t *coder, uint32_t places) {
    if (coder->bits == NULL || coder->weights == NULL || coder->thresholds == NULL || coder->bytes == 0u) {
        return 0;
    }
    uint32_t bits = 0;
    for (uint32_t i = 0; i < coder->coefficients; i++) {
        if (coder->bits[i] < 1u || coder->bits[i] > BITS_MAX) {
            return 0;
        }
        bits += coder->bits[i];
    }
    return bits == 8u * (uint32_t)coder->bytes &&
           sf_program_keeps(program, coder->output, places * coder->bytes);
}

/* Whether a stage has so much memory of its own, in words. */
static int has_state(const sf_program_t *program, const sf_stage_t *stage, uint32_t bytes) {
    return (stage->state & 3u) == 0u && stage->state <= program->state_bytes &&
           bytes <= program->state_bytes - stage->state;
}

/* The patches of a selection, as its coders see them. */
static sf_patches_t patches_of(const sf_select_t *select, uint8_t levels) {
    const sf_patches_t patches = {select->rows,     select->columns,       select->side,      levels,
                                  select->channels, select->falls->coders, select->background};
    return patches;
}

/* Memory that a selection by falls works in: slopes of each patch, then the values of one. */
static uint32_t slope_words(uint32_t places, uint32_t levels) {
    return places * (levels - 1u);
}

static int falls_fit(const sf_program_t *program, const sf_stage_t *stage, uint32_t places) {
    const sf_select_t *select = stage->as.select;
    const sf_falls_t *falls = select->falls;
    const uint8_t levels = program->head->levels;
    if (falls->coders == NULL || falls->picks == NULL || falls->centres == NULL || falls->scales == NULL ||
        levels < 2u || levels > SF_MAP_LEVELS_MAX) {
        return 0;
    }
    const sf_patches_t patches = patches_of(select, levels);
    const uint32_t words = slope_words(places, levels) + 2u * sf_patch_words(&patches);
    const uint32_t last = falls->coders[levels - 2u].coefficients;
    if (last > SF_FALL_COEFFICIENTS_MAX || !has_state(program, stage, 4u * words)) {
        return 0;
    }
    const uint8_t *picks = falls->picks;
    for (uint32_t level = 1; level < levels; level++) {
        const sf_coder_t *coder = &falls->coders[level - 1u];
        if (coder->channels == NULL || !coder_fits(program, coder, places)) {
            return 0;
        }
        for (uint32_t i = 0; i < coder->coefficients; i++) {
            if (picks[i] >= last) {
                return 0;
            }
        }
        picks += coder->coefficients;
    }
    return 1;
}

static int select_fits(const sf_program_t *program, uint32_t number) {
    const sf_stage_t *stage = &program->stages[number];
    const sf_select_t *select = stage->as.select;
    if (stage->kind != SF_STAGE_SELECT || select == NULL || select->table == NULL || select->gains == NULL ||
        !tiles(program, select->rows, select->columns, select->side, select->channels)) {
        return 0;
    }
    const uint32_t places = (uint32_t)select->rows * select->columns;
    const int known = select->channels <= SF_ALSO_ITEMS_MAX &&
                      (select->contrast == 0u || select->channels == 1u || select->channels == 3u);
    if (!known || stage->by >= program->n_controls ||
        !map_fits(program, stage->output, places, select->gains) ||
        !sf_program_keeps(program, stage->source, places) ||
        !sf_program_keeps(program, stage->output, places) ||
        !sf_program_keeps(program, select->background, select->channels) ||
        (select->falls != NULL && !falls_fit(program, stage, places))) {
        return 0;
    }
    static const uint8_t nothing[SF_MAP_LEVELS_MAX - 1u] = {0};
    const uint32_t least = sf_head_payload_bits(program->head, nothing, can_protect(program));
    return 8u * (uint32_t)program->controls[stage->by].low >= least;
}

static sf_status_t select_whole(sf_encoder_t *encoder, const sf_stage_t *stage) {
    const sf_select_t *select = stage->as.select;
    const sf_head_t *head = encoder->program->head;
    const uint16_t *values = sf_encoder_controls(encoder);
    const int8_t *image = (const int8_t *)sf_encoder_kept(encoder, 0);
    const int protect = head->protect != SF_NONE && values[head->protect] > 0u;
    uint32_t weights[SF_PLACES_MAX];
    sf_select_weights(select, (const int8_t *)sf_encoder_kept(encoder, stage->source), image, weights,
                      sf_encoder_kept(encoder, select->background));
    const uint32_t room = 8u * (uint32_t)values[stage->by];
    uint8_t *levels = sf_encoder_kept(encoder, stage->output);
    if (select->falls == NULL) {
        sf_select_levels(select, head, weights, room, protect, levels);
        return SF_OK;
    }
    const sf_patches_t patches = patches_of(select, head->levels);
    const uint32_t upgrades = head->levels - 1u;
    uint32_t *slopes = (uint32_t *)(void *)(encoder->state + stage->state);
    uint32_t *pairs = slopes + slope_words(head->places, head->levels);
    const uint8_t *background = sf_encoder_kept(encoder, select->background);
    for (uint32_t p = 0; p < head->places; p++) {
        sf_patch_slopes(select->falls, &patches, head->level_bits, image, p, background, pairs,
                        slopes + p * upgrades);
    }
    sf_select_by_slopes(head, weights, slopes, room, protect, levels);
    return SF_OK;
}

static int patches_fit(const sf_program_t *program, uint32_t number) {
    const sf_stage_t *stage = &program->stages[number];
    const sf_patches_t *patches = stage->as.patches;
    if (stage->kind != SF_STAGE_PATCHES || patches == NULL || patches->coders == NULL ||
        patches->levels < 2u || patches->levels > SF_MAP_LEVELS_MAX ||
        !tiles(program, patches->rows, patches->columns, patches->side, patches->channels)) {
        return 0;
    }
    const uint32_t places = (uint32_t)patches->rows * patches->columns;
    if (!sf_program_keeps(program, stage->source, places) ||
        !has_state(program, stage, 8u * sf_patch_words(patches))) {
        return 0;
    }
    const int centred = patches->coders[0].channels != NULL;
    for (uint32_t level = 1; level < patches->levels; level++) {
        const sf_coder_t *coder = &patches->coders[level - 1u];
        if (!coder_fits(program, coder, places) || (coder->channels != NULL) != centred) {
            return 0;
        }
    }
    return !centred || (patches->channels <= SF_ALSO_ITEMS_MAX &&
                        sf_program_keeps(program, patches->background, patches->channels));
}

static sf_status_t patches_whole(sf_encoder_t *encoder, const sf_stage_t *stage) {
    const sf_patches_t *patches = stage->as.patches;
    const uint32_t places = (uint32_t)patches->rows * patches->columns;
    const int8_t *image = (const int8_t *)sf_encoder_kept(encoder, 0);
    const uint8_t *levels = sf_encoder_kept(encoder, stage->source);
    uint32_t *pairs = (uint32_t *)(void *)(encoder->state + stage->state);
    const uint8_t *background =
        patches->coders[0].channels == NULL ? NULL : sf_encoder_kept(encoder, patches->background);
    for (uint32_t p = 0; p < places; p++) {
        if (levels[p] > 0u && levels[p] < patches->levels) {
            const sf_coder_t *coder = &patches->coders[levels[p] - 1u];
            sf_patch_codes(patches, coder, image, p, background, pairs,
                           sf_encoder_kept(encoder, coder->output) + p * coder->bytes);
        }
    }
    return SF_OK;
}

const sf_stage_ops_t sf_select_of_image = {select_fits, NULL, select_whole};
const sf_stage_ops_t sf_patches_of_image = {patches_fit, NULL, patches_whole};
