// prober DIRECTORY STATE LOG
// Small operations of three kinds, each of a thread and every 2 ms, until it is killed: how long do they stand still, and
// is each as it must be? STATE is mapped: for each kind its times (CLOCK_MONOTONIC, ns) and counts. LOG gets a line for
// each operation of 1 ms or more, or that failed: kind, begin, nanoseconds, errno or 0, and what was wrong or "-".
#include "stress.h"
#include <pthread.h>
#include <stdatomic.h>

enum { KINDS = 3, BLOCK = 4096, BLOCKS = 16 };

static const long pause_ns = 2000000, worth_a_line_ns = 1000000;

// The reader has the same: 64 bytes a kind.
static struct {
    _Atomic uint64_t begun, ended, count, failed, nanoseconds;
    uint64_t unused[3];
} *kinds;

static const char *directory;
static int log_fd;

static uint64_t nanoseconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static int open_in(const char *name, int flags)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return open(path, flags | O_CLOEXEC, 0600);
}

// Each says what was wrong, with errno, or returns NULL.
static const char *do_stat(uint64_t turn)
{
    static int fd = -1;
    (void)turn;
    if (fd < 0 && (fd = open_in("probed", O_RDONLY)) < 0)
        return "open";
    struct stat status;
    if (fstat(fd, &status) < 0) {
        int error = errno;
        close(fd);
        fd = -1;
        errno = error;
        return "fstat";
    }
    errno = 0;
    return status.st_size == BLOCKS * BLOCK ? NULL : "size";
}

static const char *do_read(uint64_t turn)
{
    static int fd = -1;
    static _Alignas(BLOCK) unsigned char buffer[BLOCK];
    if (fd < 0 && (fd = open_in("probed", O_RDONLY | O_DIRECT)) < 0)
        return "open";
    int block = turn % BLOCKS;
    ssize_t length = pread(fd, buffer, BLOCK, (off_t)block * BLOCK);
    if (length < 0) {
        int error = errno;
        close(fd);
        fd = -1;
        errno = error;
        return "pread";
    }
    errno = 0;
    if (length != BLOCK)
        return "length";
    for (int i = 0; i < BLOCK; i++)
        if (buffer[i] != 'a' + block)
            return "content";
    return NULL;
}

// A name of its own each time: who finds it there was executed twice, who does not find it again was not.
static const char *do_create(uint64_t turn)
{
    char name[64], path[4200];
    snprintf(name, sizeof name, "made-%lu", (unsigned long)turn);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open_in(name, O_CREAT | O_EXCL | O_RDWR);
    if (fd < 0)
        return errno == EEXIST ? "doubled" : "create";
    if (close(fd) < 0)
        return "close";
    if (unlink(path) < 0)
        return errno == ENOENT ? "lost" : "unlink";
    errno = 0;
    return NULL;
}

static const char *(*const operations[KINDS])(uint64_t) = { do_stat, do_read, do_create };
static const char *const names[KINDS] = { "getattr", "read", "create" };

static void *work(void *argument)
{
    int kind = (int)(intptr_t)argument;
    for (uint64_t turn = 0;; turn++) {
        uint64_t begin = nanoseconds();
        kinds[kind].begun = begin;
        const char *wrong = operations[kind](turn);
        int error = wrong ? errno : 0;
        uint64_t end = nanoseconds();
        kinds[kind].count++;
        kinds[kind].failed += wrong != NULL;
        kinds[kind].nanoseconds += end - begin;
        if (wrong || end - begin >= (uint64_t)worth_a_line_ns) {
            char line[200];
            int length = snprintf(line, sizeof line, "%s %lu %lu %s %s\n", names[kind], (unsigned long)begin, (unsigned long)(end - begin),
                error ? strerrorname_np(error) : "0", wrong ? wrong : "-");
            if (write(log_fd, line, length) != length)
                exit(3);
        }
        kinds[kind].ended = end;
        nanosleep(&(struct timespec){ .tv_nsec = pause_ns }, NULL);
    }
    return NULL;
}

int main(int count, char **arguments)
{
    if (count != 4) {
        fprintf(stderr, "prober DIRECTORY STATE LOG\n");
        return 2;
    }
    directory = arguments[1];
    int state = open(arguments[2], O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
    log_fd = open(arguments[3], O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    int file = open_in("probed", O_CREAT | O_WRONLY | O_TRUNC);
    if (state < 0 || log_fd < 0 || file < 0 || ftruncate(state, KINDS * sizeof *kinds) < 0) {
        perror("prober");
        return 2;
    }
    kinds = mmap(NULL, KINDS * sizeof *kinds, PROT_READ | PROT_WRITE, MAP_SHARED, state, 0);
    char block[BLOCK];
    for (int i = 0; i < BLOCKS; i++) {
        memset(block, 'a' + i, BLOCK);
        if (write(file, block, BLOCK) != BLOCK) {
            perror("prober");
            return 2;
        }
    }
    if (kinds == MAP_FAILED || close(file) < 0)
        return 2;
    pthread_t thread;
    for (intptr_t kind = 1; kind < KINDS; kind++)
        if (pthread_create(&thread, NULL, work, (void *)kind) != 0)
            return 2;
    work((void *)0);
}
