/*
 * dlopen() loads a library once per inode, and once per name: in a forked child
 * it would return the copy whose Go runtime died in the fork. So each generation
 * loads the same bytes from another file.
 *
 * The usual one is a sealed memfd that the parent makes before it forks: all its
 * children share that file's page cache. It may be out of reach in the child: a
 * daemon closes all descriptors, a chroot has no /proc, vm.memfd_noexec or a
 * security module forbids executable memfds. Then the child writes the bytes,
 * which stay mapped since the first load, to a file of its own.
 *
 * The dead copies stay loaded. Each holds 8 bytes of what glibc sets aside for
 * the static TLS of such libraries (rtld.optional_static_tls and its like): that
 * suffices for about 200 nested generations, of which each used the engine.
 */
#define _GNU_SOURCE
#include "image.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

static struct {
    void *bytes;
    size_t size;
} image;

/* The memfd for the next generation. Its number may have been closed, and used
 * again, behind our back: the inode tells. */
static struct {
    int fd;
    bool loaded; /* by this process: of no use to its children */
    dev_t dev;
    ino_t ino;
} copy = {.fd = -1};

void
failure_add(failure *f, const char *what, const char *why)
{
    int n = snprintf(f->text + f->used, sizeof(f->text) - f->used, "%s%s: %s", f->used ? "; " : "",
                     what, why);
    if (n > 0) {
        f->used += (size_t)n;
        if (f->used >= sizeof(f->text)) {
            f->used = sizeof(f->text) - 1;
        }
    }
}

int
image_map(const char *path, failure *f)
{
    if (image.bytes != NULL) {
        return 0;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        failure_add(f, path, strerror(errno));
        return -1;
    }
    struct stat st;
    void *bytes = MAP_FAILED;
    if (fstat(fd, &st) == 0) {
        bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    int error = errno;
    close(fd);
    if (bytes == MAP_FAILED) {
        failure_add(f, path, strerror(error));
        return -1;
    }
    image.bytes = bytes;
    image.size = (size_t)st.st_size;
    return 0;
}

static int
write_image(int fd)
{
    for (size_t done = 0; done < image.size;) {
        ssize_t n = write(fd, (const char *)image.bytes + done, image.size - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        done += (size_t)n;
    }
    return 0;
}

/* A sealed memfd with the library's bytes, or -1 with errno set. */
static int
make_memfd(void)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create("libgoprocessing.so", flags | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) {
        fd = memfd_create("libgoprocessing.so", flags);
    }
    if (fd < 0) {
        return -1;
    }
    const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (write_image(fd) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static bool
same_inode(const struct stat *st, dev_t dev, ino_t ino)
{
    return st->st_dev == dev && st->st_ino == ino;
}

static bool
copy_is_open(void)
{
    struct stat st;
    return copy.fd >= 0 && fstat(copy.fd, &st) == 0 && same_inode(&st, copy.dev, copy.ino);
}

void
image_prepare_fork(void)
{
    bool open = copy_is_open();
    if (image.bytes == NULL || (open && !copy.loaded)) {
        return;
    }
    if (open) {
        close(copy.fd);
    }
    copy.loaded = false;
    copy.fd = make_memfd();
    struct stat st;
    if (copy.fd >= 0 && fstat(copy.fd, &st) == 0) {
        copy.dev = st.st_dev;
        copy.ino = st.st_ino;
    }
}

/* dlopen, unless this very name, or inode, is loaded already: then the handle
 * would be that of a dead engine. */
static void *
open_new(const char *path, failure *f)
{
    void *stale = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (stale != NULL) {
        dlclose(stale);
        failure_add(f, path, "is the engine of a process before the fork");
        return NULL;
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        failure_add(f, "dlopen", dlerror());
    }
    return handle;
}

/* The name holds the pid, because dlopen() knows "/proc/self/fd/N" from the
 * parent. In a pid namespace that is not /proc's, the name may be that of
 * another process's file. */
static void *
open_descriptor(int fd, failure *f)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/fd/%d", (long)getpid(), fd);
    struct stat named, own;
    if (stat(path, &named) < 0) {
        failure_add(f, path, strerror(errno));
        return NULL;
    }
    if (fstat(fd, &own) < 0 || !same_inode(&named, own.st_dev, own.st_ino)) {
        failure_add(f, path, "is not this process's file");
        return NULL;
    }
    return open_new(path, f);
}

static void *
load_own_memfd(failure *f)
{
    int fd = make_memfd();
    if (fd < 0) {
        failure_add(f, "memfd_create", strerror(errno));
        return NULL;
    }
    void *handle = open_descriptor(fd, f);
    close(fd);
    return handle;
}

static void *
load_temporary_file(const char *directory, failure *f)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/libgoprocessing.XXXXXX", directory);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        failure_add(f, directory, strerror(ENAMETOOLONG));
        return NULL;
    }
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        failure_add(f, directory, strerror(errno));
        return NULL;
    }
    void *handle = NULL;
    if (write_image(fd) < 0) {
        failure_add(f, path, strerror(errno));
    }
    else {
        handle = open_new(path, f);
    }
    close(fd);
    unlink(path);
    return handle;
}

void *
image_load_copy(failure *f)
{
    if (copy_is_open() && !copy.loaded) {
        void *handle = open_descriptor(copy.fd, f);
        if (handle != NULL) {
            copy.loaded = true;
            return handle;
        }
    }
    if (image.bytes == NULL) {
        failure_add(f, "libgoprocessing.so", "was not mapped before the fork");
        return NULL;
    }
    void *handle = load_own_memfd(f);
    const char *directories[] = {getenv("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"};
    for (size_t i = 0; handle == NULL && i < sizeof(directories) / sizeof(*directories); i++) {
        if (directories[i] != NULL && directories[i][0] != '\0') {
            handle = load_temporary_file(directories[i], f);
        }
    }
    return handle;
}
