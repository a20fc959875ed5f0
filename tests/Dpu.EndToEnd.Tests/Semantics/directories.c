// Reading directories, also while they change.
#include "semantics.h"
#include <sys/syscall.h>

struct entry {
    uint64_t ino;
    int64_t next;
    uint16_t size;
    uint8_t type;
    char name[];
};

// Long names, so that a directory takes several of the agent's reads.
enum { FILES = 600, CHANGES = FILES / 20 };

static const char *name_of(const char *kind, int number)
{
    static char name[128];
    snprintf(name, sizeof name, "%s-%d-%060d", kind, number, 0);
    return name;
}

static void create(const char *name)
{
    MUST(close(MUST(open(name, O_CREAT | O_WRONLY, 0600))));
}


static long read_entries(int fd, char *buffer, size_t size)
{
    return MUST(syscall(SYS_getdents64, fd, buffer, size));
}

static void fill(void)
{
    for (int i = 0; i < FILES; i++) {
        create(name_of("stays", i));
        if (i % 2 == 0)
            create(name_of("goes", i));
    }
}

// Takes away and adds, as many as there are.
static void disturb(int round)
{
    for (int i = round * CHANGES; i < (round + 1) * CHANGES && i < FILES; i++) {
        unlink(name_of("goes", i));
        create(name_of("comes", i));
        if (i % 3 == 0)
            unlink(name_of("comes", i));
    }
}

static void count_stays(const int *seen)
{
    int missed = 0, doubled = 0;
    for (int i = 0; i < FILES; i++) {
        missed += seen[i] == 0;
        doubled += seen[i] > 1;
    }
    printf("of %d that stayed: missed %d, doubled %d\n", FILES, missed, doubled);
}

static void note(int *seen, const char *name)
{
    int number;
    if (sscanf(name, "stays-%d", &number) == 1)
        seen[number]++;
}

// A listing in small pieces, between which the directory changes.
static void changing(void)
{
    static int seen[FILES];
    char buffer[1024];
    fill();
    int fd = MUST(open(".", O_RDONLY | O_DIRECTORY)), round = 0;
    for (long size; (size = read_entries(fd, buffer, sizeof buffer)) > 0;) {
        for (long at = 0; at < size; at += ((struct entry *)(buffer + at))->size)
            note(seen, ((struct entry *)(buffer + at))->name);
        disturb(round++);
    }
    printf("changed while it was listed %d\n", round > 10);
    count_stays(seen);
}

// Every position that was ever told is gone to again, after the directory has changed.
static void positions(void)
{
    static long told[2 * FILES];
    static int after[2 * FILES], seen[FILES];
    fill();
    DIR *stream = opendir(".");
    int count = 0, wrong = 0;
    for (;;) {
        long position = telldir(stream);
        struct dirent *entry = readdir(stream);
        if (!entry)
            break;
        if (sscanf(entry->d_name, "stays-%d", &after[count]) == 1)
            told[count++] = position;
    }
    printf("%d positions\n", count);
    for (int round = 0; round < 20; round++)
        disturb(round);
    // What was to come next and is still there comes next, or after what is new.
    for (int i = count - 1; i >= 0; i -= 7) {
        seekdir(stream, told[i]);
        int number = -1;
        for (struct dirent *entry; (entry = readdir(stream)) && sscanf(entry->d_name, "stays-%d", &number) != 1;)
            ;
        wrong += number != after[i];
    }
    printf("wrong %d\n", wrong);

    // From the middle to the end, and from the beginning to the middle: each one once.
    seekdir(stream, told[count / 2]);
    for (struct dirent *entry; (entry = readdir(stream));)
        note(seen, entry->d_name);
    rewinddir(stream);
    for (struct dirent *entry; (entry = readdir(stream));) {
        int number;
        if (sscanf(entry->d_name, "stays-%d", &number) == 1 && number == after[count / 2])
            break;
        note(seen, entry->d_name);
    }
    count_stays(seen);
    closedir(stream);
}

static void entries(void)
{
    char buffer[8192];
    struct stat status, own;
    make("file", "", 0600, 0, 0);
    MUST(mkdir("dir", 0700));
    MUST(mkdir("dir/below", 0700));
    MUST(symlink("file", "link"));
    MUST(mkfifo("pipe", 0600));
    MUST(mknod("socket", S_IFSOCK | 0600, 0));
    MUST(chdir("dir"));
    for (int up = 0; up < 2; up++) {
        int fd = MUST(open(".", O_RDONLY | O_DIRECTORY)), found = 0, types = 0;
        MUST(fstat(fd, &own));
        for (long size; (size = read_entries(fd, buffer, sizeof buffer)) > 0;)
            for (long at = 0; at < size;) {
                struct entry *entry = (struct entry *)(buffer + at);
                at += entry->size;
                MUST(fstatat(fd, entry->name, &status, AT_SYMLINK_NOFOLLOW));
                found += status.st_ino == entry->ino;
                types += entry->type == DT_UNKNOWN || entry->type == (status.st_mode >> 12);
                if (strcmp(entry->name, ".") == 0)
                    printf("itself %d\n", entry->ino == own.st_ino);
            }
        printf("numbers as of stat %d, types %d\n", found, types);
        VALUE(read_entries(fd, buffer, sizeof buffer));
        VALUE(lseek(fd, 0, SEEK_SET));
        TRY(syscall(SYS_getdents64, fd, buffer, 20));
        TRY(syscall(SYS_getdents64, MUST(open("/dev/null", O_RDONLY)), buffer, 100));
        if (up == 0)
            MUST(chdir(".."));
    }

    // What was removed while it was open is empty, and what was made after a rewind is there.
    DIR *stream = opendir("dir");
    MUST(mkdir("dir/new", 0700));
    rewinddir(stream);
    int count = 0;
    while (readdir(stream))
        count++;
    printf("%d entries after rewinding\n", count);
    TRY(rmdir("dir"));
    MUST(rmdir("dir/new"));
    MUST(rmdir("dir/below"));
    TRY(rmdir("dir"));
    rewinddir(stream);
    errno = 0;
    printf("an entry of a removed directory: %d\n", readdir(stream) != NULL);
    TRY(opendir("dir") ? 0 : -1);
    TRY(opendir("file") ? 0 : -1);
}

const struct semantics_case directory_cases[] = {
    {"changing", changing}, {"positions", positions}, {"entries", entries}, {0},
};
