/* Puts "0", "1" and so on into a queue: producer MEMORY BELL COUNT */
#include "program.h"

int
main(int argc, char **argv)
{
    CHECK(argc == 4);
    alarm(TIME_LIMIT);
    gop_queue queue;
    DO(gop_queue_open(&queue, atoi(argv[1]), atoi(argv[2])));
    for (int i = 0; i < atoi(argv[3]); i++) {
        char item[16];
        uint64_t length = (uint64_t)snprintf(item, sizeof(item), "%d", i);
        DO(gop_queue_put(&queue, item, length, GOP_SLEEP, GOP_FOREVER));
    }
    gop_queue_close(&queue);
    return 0;
}
