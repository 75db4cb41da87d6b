/* Writes what it gets from a queue, a line each, until that is shut down:
 * consumer MEMORY BELL */
#include "program.h"

int
main(int argc, char **argv)
{
    CHECK(argc == 3);
    alarm(TIME_LIMIT);
    gop_queue queue;
    DO(gop_queue_open(&queue, atoi(argv[1]), atoi(argv[2])));
    for (;;) {
        char item[16];
        uint64_t length;
        int rc = gop_queue_get(&queue, item, sizeof(item), &length, GOP_SLEEP, GOP_FOREVER);
        if (rc == -ESHUTDOWN) break;
        if (rc == -EINTR) continue;
        CHECK(rc == 0);
        printf("%.*s\n", (int)length, item);
    }
    gop_queue_close(&queue);
    return 0;
}
