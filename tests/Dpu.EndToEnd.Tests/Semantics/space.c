// The space that files take: holes, allocation, truncation, copies.
#include "semantics.h"

// Size, hash, and blocks as they are once nothing is delayed any more.
static void shape(int fd)
{
    struct stat status;
    MUST(fsync(fd));
    MUST(fstat(fd, &status));
    printf("    size %ld blocks %ld %016lx\n", (long)status.st_size, (long)status.st_blocks, hash_of(fd));
}

static int pattern(const char *name, int blocks)
{
    static char buffer[4096];
    int fd = MUST(open(name, O_CREAT | O_TRUNC | O_RDWR, 0644));
    for (int i = 0; i < blocks; i++) {
        memset(buffer, 'a' + i, sizeof buffer);
        MUST(write(fd, buffer, sizeof buffer));
    }
    MUST(fsync(fd));
    return fd;
}

static void sparse(void)
{
    int fd = MUST(open("f", O_CREAT | O_RDWR, 0644));
    VALUE(lseek(fd, 0, SEEK_DATA));
    VALUE(lseek(fd, 0, SEEK_HOLE));
    TRY(ftruncate(fd, 1 << 20));
    VALUE(lseek(fd, 0, SEEK_DATA));
    VALUE(lseek(fd, 0, SEEK_HOLE));
    VALUE(pwrite(fd, "x", 1, 65536));
    VALUE(pwrite(fd, "y", 1, 600000));
    shape(fd);
    VALUE(pwrite(fd, "z", 1, (1l << 32) + 5));
    for (off_t at = 0; at >= 0;) {
        off_t data = VALUE(lseek(fd, at, SEEK_DATA));
        if (data < 0)
            break;
        at = VALUE(lseek(fd, data, SEEK_HOLE));
    }
    VALUE(lseek(fd, 65540, SEEK_DATA));
    VALUE(lseek(fd, 1l << 32, SEEK_HOLE));
    VALUE(lseek(fd, (1l << 32) + 6, SEEK_HOLE));
    VALUE(lseek(fd, 1l << 40, SEEK_DATA));
    VALUE(lseek(fd, -1, SEEK_DATA));
    VALUE(lseek(fd, -1, SEEK_HOLE));
    VALUE(lseek(fd, 0, 5));
    VALUE(lseek(fd, -3, SEEK_END));
    VALUE(lseek(fd, 10, SEEK_CUR));
    int reader = MUST(open("f", O_RDONLY));
    VALUE(lseek(reader, 0, SEEK_DATA));
    char byte;
    VALUE(pread(reader, &byte, 1, 599999));
    printf("%d\n", byte);
    TRY(ftruncate(fd, 1 << 20));
    shape(fd);
}

static void truncation(void)
{
    int fd = pattern("f", 3), reader = MUST(open("f", O_RDONLY));
    TRY(ftruncate(fd, 5000));
    shape(fd);
    TRY(ftruncate(fd, 12288));
    shape(fd);
    TRY(ftruncate(reader, 0));
    TRY(ftruncate(fd, -1));
    TRY(truncate("f", -1));
    TRY(truncate("f", 4096));
    shape(fd);
    TRY(truncate("f", 1l << 62));
    TRY(truncate(".", 0));
    TRY(truncate("missing", 0));
    TRY(ftruncate(MUST(open(".", O_RDONLY)), 0));
    VALUE(pwrite(fd, "x", 1, 1l << 62));
    VALUE(pwrite(fd, "x", 1, -1));
    VALUE(pread(fd, &(char){0}, 1, 1l << 62));
    TRY(open("f", O_RDONLY | O_TRUNC));
    shape(fd);
}

#define ALLOCATE(mode, offset, length)                                     \
    do {                                                                   \
        TRY(fallocate(fd, mode, offset, length));                          \
        shape(fd);                                                         \
    } while (0)

static void allocation(void)
{
    int fd = pattern("f", 8);
    ALLOCATE(0, 0, 4096);
    ALLOCATE(0, 40000, 5000);
    ALLOCATE(FALLOC_FL_KEEP_SIZE, 0, 100000);
    ALLOCATE(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096);
    ALLOCATE(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 9000, 3000);
    ALLOCATE(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 44000, 100000);
    ALLOCATE(FALLOC_FL_ZERO_RANGE, 16384, 4096);
    ALLOCATE(FALLOC_FL_ZERO_RANGE, 21000, 100);
    ALLOCATE(FALLOC_FL_ZERO_RANGE, 60000, 10000);
    ALLOCATE(FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 60000, 100000);
    VALUE(lseek(fd, 0, SEEK_HOLE));
    TRY(fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, 4096));
    TRY(fallocate(fd, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096));

    // What the calls refuse.
    TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
    TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    TRY(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    TRY(fallocate(fd, FALLOC_FL_INSERT_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    TRY(fallocate(fd, 0x1000, 0, 4096));
    TRY(fallocate(fd, 0, -1, 4096));
    TRY(fallocate(fd, 0, 0, 0));
    TRY(fallocate(fd, 0, 0, -1));
    TRY(fallocate(fd, 0, 1l << 62, 1l << 62));
    TRY(fallocate(fd, 0, INT64_MAX, 1));
    TRY(fallocate(MUST(open("f", O_RDONLY)), 0, 0, 4096));
    TRY(fallocate(MUST(open(".", O_RDONLY)), 0, 0, 4096));
    int ends[2];
    MUST(pipe(ends));
    TRY(fallocate(ends[1], 0, 0, 4096));
    TRY(posix_fallocate(fd, 0, 4096) ? (errno = posix_fallocate(fd, 0, 4096), -1) : 0);
    shape(fd);
}

// The kernel's FUSE refuses these two before it asks anyone.
static void allocation_shift(void)
{
    int fd = pattern("f", 4);
    TRY(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 4096, 4096));
    TRY(fallocate(fd, FALLOC_FL_INSERT_RANGE, 4096, 4096));
    shape(fd);
}

static void copies(void)
{
    int from = pattern("f", 6), to = MUST(open("g", O_CREAT | O_RDWR, 0644)), reader = MUST(open("f", O_RDONLY));
    loff_t a = 0, b = 0;
    VALUE(copy_file_range(from, &a, to, &b, 10000, 0));
    printf("    %ld %ld\n", (long)a, (long)b);
    shape(to);
    VALUE(copy_file_range(from, &a, to, &b, 1 << 20, 0));
    printf("    %ld %ld\n", (long)a, (long)b);
    shape(to);
    VALUE(copy_file_range(from, &a, to, &b, 100, 0));
    VALUE((a = 5000, b = 3, copy_file_range(from, &a, to, &b, 5000, 0)));
    shape(to);
    VALUE((a = 0, b = 100000, copy_file_range(from, &a, to, &b, 5000, 0)));
    shape(to);
    VALUE((a = 0, b = 16384, copy_file_range(from, &a, from, &b, 4096, 0)));
    shape(from);
    VALUE((a = 0, b = 100, copy_file_range(from, &a, from, &b, 4096, 0)));
    VALUE((a = 0, b = 0, copy_file_range(from, &a, to, &b, 100, 1)));
    VALUE((a = -1, b = 0, copy_file_range(from, &a, to, &b, 100, 0)));
    VALUE((a = 0, b = 0, copy_file_range(from, &a, reader, &b, 100, 0)));
    VALUE((a = 0, b = 0, copy_file_range(MUST(open("g", O_WRONLY)), &a, to, &b, 100, 0)));
    VALUE((a = 0, b = 0, copy_file_range(from, &a, MUST(open("g", O_WRONLY | O_APPEND)), &b, 100, 0)));
    VALUE((a = 0, b = 0, copy_file_range(MUST(open(".", O_RDONLY)), &a, to, &b, 100, 0)));
    VALUE((a = 0, b = 0, copy_file_range(from, &a, to, &b, 0, 0)));
    VALUE((lseek(from, 4096, SEEK_SET), lseek(to, 0, SEEK_SET), copy_file_range(from, NULL, to, NULL, 4096, 0)));
    printf("    %ld %ld\n", (long)lseek(from, 0, SEEK_CUR), (long)lseek(to, 0, SEEK_CUR));
    shape(to);

    // A hole may become zeroes; the content is the same.
    MUST(ftruncate(from, 1 << 20));
    VALUE((a = 20000, b = 0, copy_file_range(from, &a, to, &b, 1 << 19, 0)));
    printf("%016lx\n", hash_of(to));
}

// Sharing of extents: by these two calls never, whatever the host's file system can.
static void clones(void)
{
    int from = pattern("f", 2), to = MUST(open("g", O_CREAT | O_RDWR, 0644));
    struct file_clone_range range = {.src_fd = from, .src_length = 4096};
    TRY(ioctl(to, FICLONE, from));
    TRY(ioctl(to, FICLONERANGE, &range));
    TRY(ioctl(MUST(open("g", O_RDONLY)), FICLONE, from));
    TRY(ioctl(to, FICLONE, -1));
    TRY(ioctl(to, FICLONE, MUST(open(".", O_RDONLY))));
    show("g");
}

const struct semantics_case space_cases[] = {
    {"sparse", sparse}, {"truncation", truncation}, {"allocation", allocation}, {"allocation-shift", allocation_shift},
    {"copies", copies}, {"clones", clones}, {0},
};
