/* Test entry points of a generated model. */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdint.h>

/* 0, a negative sf_status, or -100 when the graph gave too few latent vectors. state is 8-byte aligned. */
int harness_run(void *state, const int8_t *image, int8_t *latent);
int harness_image_bytes(void);
int harness_latent_bytes(void);
int harness_state_bytes(void);

#endif
