/* Two processes hand a word to each other, spinning: the least a round trip can take.
 *
 *   spin ROUNDS CPU CPU     prints the seconds
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void
pin(const char *cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(atoi(cpu), &set);
    if (sched_setaffinity(0, sizeof set, &set)) {
        perror("sched_setaffinity");
        _exit(1);
    }
}

static void
pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void
await(_Atomic long *word, long value)
{
    while (atomic_load_explicit(word, memory_order_acquire) != value)
        pause_cpu();
}

int
main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s ROUNDS CPU CPU\n", argv[0]);
        return 2;
    }
    long rounds = atol(argv[1]);
    _Atomic long *word =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (word == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        return 1;
    }
    if (child == 0) {
        pin(argv[3]);
        for (long i = 0; i <= rounds; i++) {
            await(word, 2 * i + 1);
            atomic_store_explicit(word, 2 * i + 2, memory_order_release);
        }
        _exit(0);
    }
    pin(argv[2]);
    struct timespec start, end;
    for (long i = 0; i <= rounds; i++) {
        if (i == 1) /* the first round waits for the child to start */
            clock_gettime(CLOCK_MONOTONIC, &start);
        atomic_store_explicit(word, 2 * i + 1, memory_order_release);
        await(word, 2 * i + 2);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    int status;
    if (waitpid(child, &status, 0) != child || status) {
        fprintf(stderr, "the child failed\n");
        return 1;
    }
    printf("%.9f\n", (double)(end.tv_sec - start.tv_sec) + 1e-9 * (end.tv_nsec - start.tv_nsec));
    return 0;
}
