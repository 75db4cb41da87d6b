/* Threads that use one handle at the same time, and end. */
#include <pthread.h>

#include "program.h"

#define THREADS 4
#define ITEMS 2000 /* of each */

static gop_queue queue;

static void *
put(void *arg)
{
    for (int i = 0; i < ITEMS; i++)
        DO(gop_queue_put(&queue, &i, sizeof(i), GOP_SLEEP, GOP_FOREVER));
    return arg;
}

static void *
get(void *sum)
{
    for (int i = 0; i < ITEMS; i++) {
        int item;
        uint64_t length;
        DO(gop_queue_get(&queue, &item, sizeof(item), &length, GOP_SLEEP, GOP_FOREVER));
        CHECK(length == sizeof(item));
        *(long *)sum += item;
    }
    return sum;
}

int
main(void)
{
    alarm(TIME_LIMIT);
    pthread_t threads[2 * THREADS];
    long sums[THREADS] = {0}, sum = 0;
    DO(gop_queue_create(&queue, 8));
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[2 * i], NULL, put, NULL) == 0);
        CHECK(pthread_create(&threads[2 * i + 1], NULL, get, &sums[i]) == 0);
    }
    for (int i = 0; i < 2 * THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        sum += sums[i];
    CHECK(sum == (long)THREADS * ITEMS * (ITEMS - 1) / 2);
    CHECK(gop_queue_len(&queue) == 0);
    gop_queue_close(&queue);
    return 0;
}
