/* Runs the images of a file through a model and writes the latents: for builds under ASan and UBSan.
 *     program IMAGES LATENTS
 * The state has exactly the size the model asks for, on the heap, so that ASan sees one byte too far. */
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

int main(int argc, char **argv) {
    if (argc != 3) {
        return 2;
    }
    FILE *in = fopen(argv[1], "rb");
    FILE *out = fopen(argv[2], "wb");
    const size_t image_bytes = (size_t)harness_image_bytes();
    const size_t latent_bytes = (size_t)harness_latent_bytes();
    void *state = aligned_alloc(8, (size_t)harness_state_bytes());
    int8_t *image = malloc(image_bytes);
    int8_t *latent = malloc(latent_bytes);
    if (in == NULL || out == NULL || state == NULL || image == NULL || latent == NULL) {
        return 2;
    }
    int status = 0;
    while (status == 0 && fread(image, 1, image_bytes, in) == image_bytes) {
        status = harness_run(state, image, latent);
        if (status == 0 && fwrite(latent, 1, latent_bytes, out) != latent_bytes) {
            status = 2;
        }
    }
    free(latent);
    free(image);
    free(state);
    (void)fclose(in);
    return fclose(out) == 0 && status == 0 ? 0 : 1;
}
