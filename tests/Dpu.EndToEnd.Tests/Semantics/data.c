// What changes the content of files: appending, mapping, bringing to disk.
#include "semantics.h"

// Two writers append lines of their own to one file; a line that was lost, torn or overwritten would be missed.
static void append_lines(const char *name, char who, int count)
{
    int fd = MUST(open(name, O_WRONLY | O_APPEND | O_CREAT, 0644));
    for (int i = 0; i < count; i++) {
        char line[64];
        int size = snprintf(line, sizeof line, "%c%04d %.*s\n", who, i, i % 40, "........................................");
        if (write(fd, line, size) != size)
            MUST(-1);
    }
    close(fd);
}

static void count_lines(const char *name)
{
    int seen[256] = {0}, bad = 0, disorder = 0;
    FILE *file = fopen(name, "r");
    for (char line[128]; fgets(line, sizeof line, file);) {
        char who;
        int number, dots = 0;
        char *at = strchr(line, ' ');
        if (at)
            dots = strspn(at + 1, ".");
        if (!at || sscanf(line, "%c%4d", &who, &number) != 2 || dots != number % 40 || at[1 + dots] != '\n') {
            bad++;
            continue;
        }
        if (number != seen[(unsigned char)who])
            disorder++;
        seen[(unsigned char)who]++;
    }
    fclose(file);
    for (int who = 0; who < 256; who++)
        if (seen[who])
            printf("%c wrote %d lines\n", who, seen[who]);
    printf("bad %d, out of order %d\n", bad, disorder);
}

static void append_two(void)
{
    for (int child = 0; child < 2; child++)
        if (MUST(fork()) == 0) {
            append_lines("log", (char)('a' + child), 400);
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
    count_lines("log");
    MUST(unlink("log"));
}

// One writer of a pair that runs in two places at once; each waits until the other has begun.
static void append_here(char who, const char *own, const char *other)
{
    make(own, "", 0600, 0, 0);
    while (access(other, F_OK) < 0)
        usleep(1000);
    append_lines("log", who, 600);
}

static void append_first(void)
{
    append_here('1', "first", "second");
}

static void append_second(void)
{
    append_here('2', "second", "first");
}

static void append_counted(void)
{
    count_lines("log");
}

static void append(void)
{
    int a = MUST(open("f", O_CREAT | O_RDWR | O_APPEND, 0644)), b = MUST(open("f", O_WRONLY | O_APPEND));
    int plain = MUST(open("f", O_RDWR));
    VALUE(write(a, "one ", 4));
    VALUE(write(b, "two ", 4));
    VALUE(lseek(a, 0, SEEK_SET));
    VALUE(write(a, "three ", 6));
    VALUE(lseek(a, 0, SEEK_CUR));
    VALUE(pwrite(a, "four ", 5, 1));
    VALUE(write(plain, "ONE", 3));
    VALUE(write(b, "five ", 5));
    show("f");

    // fcntl(2) turns it on and off.
    TRY(fcntl(plain, F_SETFL, O_APPEND));
    VALUE(write(plain, "six ", 4));
    VALUE(pwrite(plain, "seven ", 6, 0));
    TRY(fcntl(plain, F_SETFL, 0));
    VALUE(pwrite(plain, "ONE-", 4, 0));
    TRY(fcntl(a, F_SETFL, 0));
    VALUE(pwrite(a, "TWO-", 4, 4));
    show("f");

    // For one write only.
    struct iovec piece = {"eight ", 6};
    VALUE(pwritev2(plain, &piece, 1, 0, RWF_APPEND));
    VALUE(pwritev2(plain, &piece, 1, 0, RWF_DSYNC));
    VALUE(pwritev2(plain, &piece, 1, 20, RWF_SYNC));
    show("f");

    // What a mapping has changed stays where it was mapped, though the descriptor appends.
    TRY(fcntl(a, F_SETFL, O_APPEND));
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, a, 0);
    map[0] = 'M';
    TRY(msync(map, 4096, MS_SYNC));
    munmap(map, 4096);
    show("f");
    TRY(open("f", O_WRONLY | O_APPEND | O_TRUNC));
    VALUE(write(b, "after", 5));
    show("f");
}

static void map(void)
{
    char buffer[16];
    make("f", "", 0644, 0, 0);
    int fd = MUST(open("f", O_RDWR));
    MUST(ftruncate(fd, 3 * 4096 + 100));
    char *shared = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    strcpy(shared + 4090, "across pages");
    strcpy(shared + 3 * 4096 + 90, "at the very end, and behind it");
    TRY(msync(shared, 4 * 4096, MS_SYNC));
    show("f");
    VALUE(pread(fd, buffer, 12, 4090));
    printf("%.12s\n", buffer);

    // Written beside the mapping, and seen in it.
    VALUE(pwrite(fd, "WRITTEN", 7, 4092));
    printf("%.12s\n", shared + 4090);
    int other = MUST(open("f", O_RDWR));
    VALUE(pwrite(other, "other", 5, 8192));
    printf("%.5s\n", shared + 8192);
    shared[8192] = 'O';
    VALUE(pread(other, buffer, 5, 8192));
    printf("%.5s\n", buffer);

    // A private mapping changes nothing.
    char *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096);
    private[0] = 'P';
    TRY(msync(private, 4096, MS_SYNC));
    TRY(msync(shared, 4 * 4096, MS_ASYNC));

    // Behind the end of the file there is nothing.
    TRY(ftruncate(fd, 100));
    pid_t child = MUST(fork());
    if (child == 0) {
        signal(SIGBUS, SIG_DFL);
        printf("%d", shared[8192]);
        _exit(0);
    }
    int status;
    MUST(waitpid(child, &status, 0));
    printf("reading behind the end: signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    TRY(ftruncate(fd, 8192));
    printf("grown again: %d\n", shared[4092]);
    munmap(shared, 4 * 4096);

    int reader = MUST(open("f", O_RDONLY)), writer = MUST(open("f", O_WRONLY));
    TRY_AS("shared for writing, of a reader", mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0) == MAP_FAILED ? -1 : 0);
    TRY_AS("private for writing, of a reader", mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, 0) == MAP_FAILED ? -1 : 0);
    TRY_AS("of a writer", mmap(NULL, 4096, PROT_READ, MAP_SHARED, writer, 0) == MAP_FAILED ? -1 : 0);
    TRY_AS("of a directory", mmap(NULL, 4096, PROT_READ, MAP_SHARED, MUST(open(".", O_RDONLY)), 0) == MAP_FAILED ? -1 : 0);

    // Shared by two processes, and of a file that was opened for direct I/O.
    int direct = MUST(open("g", O_CREAT | O_RDWR | O_DIRECT, 0600));
    MUST(ftruncate(direct, 4096));
    char *both = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, direct, 0);
    TRY_AS("opened with O_DIRECT", both == MAP_FAILED ? -1 : 0);
    if (both == MAP_FAILED)
        return;
    if (MUST(fork()) == 0) {
        strcpy(both, "of the child");
        _exit(0);
    }
    wait(NULL);
    printf("%s\n", both);
    TRY(msync(both, 4096, MS_SYNC));
    show("g");
}

static void sync_calls(void)
{
    int fd = MUST(open("f", O_CREAT | O_RDWR, 0644)), reader = MUST(open("f", O_RDONLY));
    int directory = MUST(open(".", O_RDONLY | O_DIRECTORY)), path = MUST(open("f", O_PATH));
    VALUE(write(fd, "content", 7));
    TRY(fsync(fd));
    TRY(fdatasync(fd));
    TRY(fsync(reader));
    TRY(fsync(directory));
    TRY(fdatasync(directory));
    TRY(fsync(path));
    TRY(fsync(-1));
    TRY(syncfs(fd));
    TRY(sync_file_range(fd, 0, 7, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
    int now = TRY(open("f", O_WRONLY | O_SYNC));
    VALUE(pwrite(now, "C", 1, 0));
    now = TRY(open("f", O_WRONLY | O_DSYNC | O_APPEND));
    VALUE(write(now, "!", 1));
    show("f");
}

// What the agent must bring to disk, in this order; the test looks at its system calls.
static void sync_proof(void)
{
    int fd = MUST(open("f", O_CREAT | O_RDWR, 0644));
    MUST(write(fd, "content", 7));
    MUST(fsync(fd));
    MUST(write(fd, "content", 7));
    MUST(fdatasync(fd));
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    map[0] = 'C';
    MUST(msync(map, 4096, MS_SYNC));
    MUST(fsync(MUST(open(".", O_RDONLY | O_DIRECTORY))));
    int now = MUST(open("f", O_WRONLY | O_DSYNC));
    MUST(pwrite(now, "!", 1, 0));
}

const struct semantics_case data_cases[] = {
    {"append", append}, {"append-two", append_two}, {"append-first", append_first}, {"append-second", append_second},
    {"append-counted", append_counted}, {"map", map}, {"sync", sync_calls}, {"sync-proof", sync_proof}, {0},
};
