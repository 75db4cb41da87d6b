/* Two processes with a pipe between them: the second is this program again, which
 * sends what it receives back until it is told to leave. */
#include <spawn.h>
#include <sys/wait.h>

#include "program.h"

#define LONGEST (3 << 20) /* does not fit what is first mapped of a segment */

extern char **environ;

static char message[LONGEST], answer[LONGEST];

static int
echo(char **argv)
{
    gop_conn c;
    DO(gop_conn_open(&c, atoi(argv[1]), atoi(argv[2]), 1, GOP_READABLE | GOP_WRITABLE));
    uint64_t length;
    for (;;) {
        DO(gop_conn_recv(&c, message, sizeof(message), &length, GOP_SLEEP, GOP_FOREVER));
        if (length == 5 && memcmp(message, "leave", 5) == 0) break;
        DO(gop_conn_send(&c, message, length, GOP_SLEEP, GOP_FOREVER));
    }
    gop_conn_close(&c);
    return 0;
}

static pid_t
start_echo(const gop_conn *c, char *program)
{
    char memory[16], sock[16];
    snprintf(memory, sizeof(memory), "%d", c->seg.fd);
    snprintf(sock, sizeof(sock), "%d", c->sock);
    char *argv[] = {program, memory, sock, NULL};
    posix_spawn_file_actions_t actions;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, c->seg.fd, c->seg.fd) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, c->sock, c->sock) == 0);
    pid_t child;
    CHECK(posix_spawn(&child, "/proc/self/exe", &actions, NULL, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    return child;
}

int
main(int argc, char **argv)
{
    alarm(TIME_LIMIT);
    if (argc == 3) return echo(argv);

    gop_conn mine, theirs;
    DO(gop_pipe_create(&mine, &theirs, 1));
    pid_t child = start_echo(&theirs, argv[0]);
    gop_conn_close(&theirs);

    for (uint64_t length = 1; length <= LONGEST; length = length * 3 + 1) {
        memset(message, (int)(length % 251), length);
        DO(gop_conn_send(&mine, message, length, GOP_SLEEP, GOP_FOREVER));
        uint64_t n = 0;
        DO(gop_conn_recv(&mine, answer, sizeof(answer), &n, GOP_SLEEP, GOP_FOREVER));
        CHECK(n == length && memcmp(message, answer, length) == 0);
    }

    DO(gop_conn_send(&mine, "leave", 5, GOP_SLEEP, GOP_FOREVER));
    int rc;
    uint64_t n;
    while ((rc = gop_conn_recv(&mine, answer, sizeof(answer), &n, GOP_SLEEP, GOP_FOREVER)) ==
           -EINTR)
    {
    }
    CHECK(rc == -EPIPE);
    CHECK(gop_conn_send(&mine, "anybody?", 8, GOP_SLEEP, GOP_FOREVER) == -EPIPE);
    gop_conn_close(&mine);

    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}
