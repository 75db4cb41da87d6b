/* What these programs have in common: each ends when something fails, or takes long. */
#include <goprocessing.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME_LIMIT 60 /* seconds; for alarm(2) */

#define CHECK(condition)                                                        \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                            \
        }                                                                       \
    } while (0)

/* For calls whose failure is not expected. */
#define DO(call)                                                                          \
    do {                                                                                  \
        int rc;                                                                           \
        while ((rc = (call)) == -EINTR) {                                                 \
        }                                                                                 \
        if (rc < 0) {                                                                     \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, strerror(-rc)); \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)
