// tree-stress run [--seed N] [--operations N] [--seconds N] PROCESSES[:REST] DIRECTORY [PROCESSES[:REST] DIRECTORY]…
//     Processes that each do random operations with few names, so that they get in each other's way. All directories are
//     the same tree, seen from different places; each process rests for some microseconds between two. Fails where a call ends with an error that nobody's work explains, where
//     a listing does not tell a name that stays exactly once, or where a file that is open and known to nobody else loses
//     what was written to it.
// tree-stress describe DIRECTORY
//     Prints all that the tree holds, sorted, to compare one place with another.
#include "stress.h"
#include <linux/falloc.h>

void describe_tree(void);

enum { OPEN = 4, LAST = 25, LINE = 200, DEEPEST = 3, STAYS = 10, MOST_STALE = 50 };

static char history[LAST][LINE];
static uint64_t seed, state, done, stale;
static useconds_t rest;
static int self;
static const char *place;
static bool several; // places, each with changes that the others do not make
static char names[2][512];

// A file of this process's own: open, without a name.
static struct {
    int fd;
    unsigned char content[4096];
    size_t size;
} own[OPEN];

static const char *doing = "";

static void note(const char *what) { doing = what; }

// Names are picked after the operation was named.
static void remember(void) { snprintf(history[done % LAST], LINE, "%lu: %s %.80s %.80s", (unsigned long)done, doing, names[0], names[1]); }

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    remember();
    char text[16384];
    int length = snprintf(text, sizeof text, "FAILED: process %d (seed %lu) in %s: ", self, (unsigned long)seed, place);
    va_list arguments;
    va_start(arguments, format);
    length += vsnprintf(text + length, 1000, format, arguments);
    va_end(arguments);
    length += snprintf(text + length, 10, "\n");
    for (uint64_t i = done >= LAST ? done - LAST + 1 : 0; i <= done; i++)
        length += snprintf(text + length, LINE + 4, "  %s\n", history[i % LAST]);
    // One write, so that the words of several processes do not mix.
    if (write(1, text, length) < 0)
        perror("write");
    _exit(1);
}

// What others may have done to the names in the meantime.
static bool is_of_names(int error)
{
    return error == ENOENT || error == EEXIST || error == ENOTDIR || error == EISDIR || error == ENOTEMPTY || error == ELOOP;
}

// The call's value; the error must be one of names, or one of these two.
static long expect(const char *text, long result, int also, int too)
{
    if (result < 0 && !is_of_names(errno) && (errno != also || also == 0) && (errno != too || too == 0))
        fail("%s: %s", text, strerrorname_np(errno));
    return result;
}

// A directory that was moved by somebody elsewhere, and that this side still knows by its old name, cannot be looked up
// while names change here: Linux then says ESTALE (d_splice_alias). Who looks its name up by itself finds it.
static bool again(long result, int *tries)
{
    struct stat status;
    if (result >= 0 || errno != ESTALE || !several || ++*tries > MOST_STALE)
        return false;
    stale++;
    lstat(names[0], &status);
    lstat(names[1], &status);
    return true;
}

#define TRY_OR2(call, also, too)                                                                                                 \
    ({                                                                                                                           \
        int tries = 0;                                                                                                           \
        long result;                                                                                                             \
        do                                                                                                                       \
            result = (long)(call);                                                                                               \
        while (again(result, &tries));                                                                                           \
        expect(#call, result, also, too);                                                                                        \
    })
#define TRY_OR(call, also) TRY_OR2(call, also, 0)
#define TRY(call) TRY_OR2(call, 0, 0)

static long must(const char *text, long result)
{
    if (result < 0)
        fail("%s: %s", text, strerrorname_np(errno));
    return result;
}
#define MUST(call) must(#call, (long)(call))

// A name of a few, in a directory of a few.
static void pick(char *name)
{
    int depth = below(&state, DEEPEST + 1), length = 0;
    for (int i = 0; i < depth; i++)
        length += sprintf(name + length, "d%d/", (int)below(&state, 3));
    sprintf(name + length, "%c%d", "fffdds"[below(&state, 6)], (int)below(&state, 6));
}

static int open_some(int flags)
{
    // Not for ever: a name may be a FIFO's, and then nobody is at its other end.
    return TRY_OR2(open(names[0], flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0600 | below(&state, 0200)), ENXIO, 0);
}

static bool is_file(int fd)
{
    struct stat status;
    MUST(fstat(fd, &status));
    return S_ISREG(status.st_mode);
}

static void fill(unsigned char *bytes, size_t size)
{
    uint64_t word = next_random(&state);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (word >> (i % 8 * 8)) + i;
}

static void do_make(void)
{
    int fd;
    switch (below(&state, 8)) {
    case 0:
        note("mkdir");
        TRY(mkdir(names[0], 0700 | below(&state, 0100)));
        break;
    case 1:
        note("symlink");
        TRY(symlink(below(&state, 2) ? "f1" : "../d1/f2", names[0]));
        break;
    case 2:
        note("mknod");
        TRY(mknod(names[0], (below(&state, 2) ? S_IFIFO : S_IFSOCK) | 0640, 0));
        break;
    case 3:
        note("link");
        TRY_OR(linkat(AT_FDCWD, names[0], AT_FDCWD, names[1], 0), EPERM);
        break;
    case 4:
        note("O_TMPFILE, linkat");
        fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
        MUST(fd);
        MUST(write(fd, names, 100));
        TRY(linkat(fd, "", AT_FDCWD, names[0], AT_EMPTY_PATH));
        MUST(close(fd));
        break;
    default:
        note("create");
        fd = open_some(O_CREAT | O_RDWR | (below(&state, 2) ? O_EXCL : 0) | (below(&state, 4) ? 0 : O_TRUNC));
        if (fd >= 0)
            MUST(close(fd));
    }
}

static void do_remove(void)
{
    if (below(&state, 3)) {
        note("unlink");
        TRY(unlink(names[0]));
    } else {
        note("rmdir");
        TRY(rmdir(names[0]));
    }
}

static void do_rename(void)
{
    static const unsigned flags[] = { 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
    note("rename");
    unsigned how = flags[below(&state, 5)];
    TRY_OR(renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], how), EINVAL);
}

static void do_write(void)
{
    static unsigned char bytes[65536];
    note("open to write");
    bool appends = below(&state, 4) == 0;
    int fd = open_some(O_RDWR | (appends ? O_APPEND : 0));
    if (fd < 0)
        return;
    if (is_file(fd)) {
        size_t size = 1 + below(&state, below(&state, 4) ? 5000 : sizeof bytes);
        off_t at = below(&state, 100000);
        fill(bytes, size);
        switch (below(&state, 8)) {
        case 0:
            note("ftruncate");
            MUST(ftruncate(fd, at));
            break;
        case 1:
            note("punch");
            MUST(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, size));
            break;
        case 2:
            note("fallocate");
            MUST(fallocate(fd, 0, at, size));
            break;
        case 3: {
            note("copy_file_range");
            if (appends)
                break; // Nobody copies into what only grows.
            off_t from = below(&state, 5000), to = 10000 + below(&state, 50000);
            if (copy_file_range(fd, &from, fd, &to, size % 5000 + 1, 0) < 0)
                fail("copy_file_range: %s", strerrorname_np(errno));
            break;
        }
        case 4:
            note("fsync");
            MUST(fsync(fd));
            break;
        default:
            note("pwrite");
            if (MUST(pwrite(fd, bytes, size, at)) != (long)size)
                fail("a short write");
        }
    }
    MUST(close(fd));
}

static void do_read(void)
{
    static unsigned char bytes[65536];
    struct stat status;
    char target[256];
    switch (below(&state, 4)) {
    case 0:
        note("stat");
        TRY(stat(names[0], &status));
        break;
    case 1:
        note("readlink");
        TRY_OR(readlink(names[0], target, sizeof target), EINVAL);
        break;
    case 2:
        note("getxattr");
        TRY_OR2(lgetxattr(names[0], "user.one", bytes, sizeof bytes), ENODATA, 0);
        TRY(llistxattr(names[0], target, 0));
        break;
    default: {
        note("read");
        int fd = open_some(O_RDONLY);
        if (fd < 0)
            return;
        if (is_file(fd))
            MUST(pread(fd, bytes, sizeof bytes, below(&state, 50000)));
        MUST(close(fd));
    }
    }
}

static void do_change(void)
{
    switch (below(&state, 5)) {
    case 0:
        note("chmod");
        TRY(chmod(names[0], 0600 | below(&state, 0200)));
        break;
    case 1:
        note("chown");
        TRY(lchown(names[0], below(&state, 3), below(&state, 3)));
        break;
    case 2: {
        note("utimens");
        struct timespec times[2] = { { (long)below(&state, 2000000000), 5 }, { (long)below(&state, 2000000000), 6 } };
        TRY(utimensat(AT_FDCWD, names[0], times, AT_SYMLINK_NOFOLLOW));
        break;
    }
    case 3:
        note("removexattr");
        TRY_OR2(lremovexattr(names[0], below(&state, 2) ? "user.one" : "user.two"), ENODATA, EPERM);
        break;
    default: {
        note("setxattr");
        unsigned char content[300];
        size_t size = below(&state, sizeof content);
        fill(content, size);
        TRY_OR2(lsetxattr(names[0], below(&state, 2) ? "user.one" : "user.two", content, size, 0), EPERM, ENOSPC);
    }
    }
}

// Names of the root that nobody touches: every listing has each of them once, whatever others do meanwhile.
static void do_list(void)
{
    char *slash = strrchr(names[0], '/');
    strcpy(slash ? slash : names[0], slash ? "" : ".");
    note("list");
    int fd = TRY(open(names[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0)
        return;
    DIR *stream = fdopendir(fd);
    int seen[STAYS] = { 0 }, i;
    errno = 0;
    for (struct dirent *entry; (entry = readdir(stream));)
        if (sscanf(entry->d_name, ".stays%d", &i) == 1)
            seen[i]++;
    expect("readdir", errno ? -1 : 0, 0, 0);
    closedir(stream);
    for (i = 0; !slash && i < STAYS; i++)
        if (seen[i] != 1)
            fail("'.stays%d' is listed %d times", i, seen[i]);
}

// An open file without a name, which nobody else can know: what was written must stay.
static void do_own(void)
{
    int i = below(&state, OPEN);
    if (own[i].fd < 0) {
        note("own: create, unlink");
        char name[32];
        sprintf(name, "own-%d-%d", self, i);
        own[i].fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        MUST(own[i].fd);
        MUST(unlink(name));
        own[i].size = 0;
        return;
    }
    unsigned char seen[sizeof own[i].content];
    switch (below(&state, 8)) {
    case 0:
        note("own: close");
        MUST(close(own[i].fd));
        own[i].fd = -1;
        return;
    case 1:
    case 2:
        note("own: write");
        own[i].size = 1 + below(&state, sizeof own[i].content);
        fill(own[i].content, own[i].size);
        MUST(ftruncate(own[i].fd, 0));
        if (MUST(pwrite(own[i].fd, own[i].content, own[i].size, 0)) != (long)own[i].size)
            fail("a short write");
        break;
    case 3:
        note("own: write by a mapping");
        if (own[i].size == 0)
            break;
        unsigned char *map = mmap(NULL, own[i].size, PROT_READ | PROT_WRITE, MAP_SHARED, own[i].fd, 0);
        if (map == MAP_FAILED)
            fail("mmap: %s", strerrorname_np(errno));
        map[own[i].size / 2] = own[i].content[own[i].size / 2] = next_random(&state);
        MUST(munmap(map, own[i].size));
        break;
    default:
        note("own: read");
    }
    struct stat status;
    MUST(fstat(own[i].fd, &status));
    if ((size_t)status.st_size != own[i].size || status.st_nlink != 0)
        fail("an open file without a name has %ld bytes and %lu names instead of %zu and 0", (long)status.st_size, (unsigned long)status.st_nlink, own[i].size);
    if (MUST(pread(own[i].fd, seen, sizeof seen, 0)) != (long)own[i].size || memcmp(seen, own[i].content, own[i].size))
        fail("an open file without a name has lost its content");
}

static void work(uint64_t operations, double seconds)
{
    if (chdir(place) < 0)
        fail("chdir: %s", strerrorname_np(errno));
    umask(0);
    for (int i = 0; i < OPEN; i++)
        own[i].fd = -1;
    double end = now() + seconds;
    for (done = 0; done < operations && now() < end; done++) {
        pick(names[0]);
        pick(names[1]);
        uint64_t what = below(&state, 100);
        if (what < 30)
            do_make();
        else if (what < 40)
            do_remove();
        else if (what < 52)
            do_rename();
        else if (what < 67)
            do_write();
        else if (what < 77)
            do_read();
        else if (what < 87)
            do_change();
        else if (what < 92)
            do_list();
        else
            do_own();
        remember();
        if (rest)
            usleep(rest);
    }
    char text[100];
    int length = snprintf(text, sizeof text, "process %d: %lu operations, %lu stale\n", self, (unsigned long)done, (unsigned long)stale);
    _exit(write(1, text, length) < 0);
}

static int run(int count, char **arguments)
{
    uint64_t operations = UINT64_MAX;
    double seconds = 1e9;
    seed = time(NULL) * 1000003u + getpid();
    int i = 2;
    for (; i + 1 < count && arguments[i][0] == '-'; i += 2) {
        if (strcmp(arguments[i], "--seed") == 0)
            seed = strtoull(arguments[i + 1], NULL, 10);
        else if (strcmp(arguments[i], "--operations") == 0)
            operations = strtoull(arguments[i + 1], NULL, 10);
        else if (strcmp(arguments[i], "--seconds") == 0)
            seconds = strtod(arguments[i + 1], NULL);
        else
            return 2;
    }
    printf("seed %lu\n", (unsigned long)seed);
    fflush(stdout);
    several = i + 3 < count;
    for (int stays = 0; i + 1 < count && stays < STAYS; stays++) {
        char name[4200];
        snprintf(name, sizeof name, "%s/.stays%d", arguments[i + 1], stays);
        int fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0 || close(fd) < 0) {
            printf("%s: %s\n", name, strerrorname_np(errno));
            return 1;
        }
    }
    for (; i + 1 < count; i += 2)
        for (int processes = atoi(arguments[i]); processes > 0; processes--, self++)
            if (fork() == 0) {
                place = arguments[i + 1];
                rest = strchr(arguments[i], ':') ? atoi(strchr(arguments[i], ':') + 1) : 0;
                state = seed + self * 1000003u;
                work(operations, seconds);
            }
    int failed = 0;
    for (int status; wait(&status) > 0;)
        failed |= status != 0;
    return failed;
}

int main(int count, char **arguments)
{
    if (count == 3 && strcmp(arguments[1], "describe") == 0 && chdir(arguments[2]) == 0) {
        describe_tree();
        return 0;
    }
    if (count >= 4 && strcmp(arguments[1], "run") == 0) {
        int result = run(count, arguments);
        if (result != 2)
            return result;
    }
    fprintf(stderr, "tree-stress run [--seed N] [--operations N] [--seconds N] PROCESSES[:REST] DIRECTORY [PROCESSES[:REST] DIRECTORY]…\ntree-stress describe DIRECTORY\n");
    return 2;
}
