/* The bytes of the engine's library, and copies of it under other inodes. */
#ifndef GOPROCESSING_IMAGE_H
#define GOPROCESSING_IMAGE_H

#include <stddef.h>

/* What went wrong on the way to a loaded library, for the exception's text. */
typedef struct failure {
    size_t used;
    char text[1024];
} failure;

/* Appends "; what: why"; the text is cut when it does not fit. */
void failure_add(failure *f, const char *what, const char *why);

/* Maps the library's bytes, for this process and those forked from it. 0, or
 * -1 with the reason in f. */
int image_map(const char *path, failure *f);

/* Makes sure that a memfd with the library's bytes exists, which no process up
 * to this one has loaded. For fork's prepare handler; when it fails, the child
 * makes a copy itself. */
void image_prepare_fork(void);

/* dlopen()s a copy that this process and its ancestors have not loaded. NULL
 * with the reasons in f. */
void *image_load_copy(failure *f);

#endif
