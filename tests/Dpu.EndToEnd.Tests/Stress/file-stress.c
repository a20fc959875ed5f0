// file-stress --file PATH [--host PATH] [--seed N] [--operations N] [--seconds N] [--size BYTES] [--host-writes SETTLE_MS] [--part N]
// Random reads, writes, mappings, truncations, allocations, copies, new opens and syncs of one file, each compared with
// a model in memory. With --host the same file is read where the host has it, after it was synced; with --host-writes it
// is changed there too, and what the DPU then reads may be older for SETTLE_MS at most.
// With --part the file is shared: the process has the N-th --size bytes of it, and others have the rest.
// The same seed plays the same operations: a failure prints it, with the last operations.
#include "file-model.h"

static int open_file(int flags) { return OK(open(path, O_RDWR | O_CLOEXEC | flags)); }

static void reopen(int flags)
{
    OK(close(fd));
    fd = open_file(flags);
}

// After a change by the host: until the open file shows the model, or the time that it may be older is over.
static void settle_down(void)
{
    double end = now() + settle / 1000.0;
    for (;;) {
        struct stat status;
        OK(fstat(fd, &status));
        ssize_t length = OK(pread(fd, buffer, limit, 0));
        if (status.st_size == size && length == size && difference(buffer, 0, length) < 0)
            break;
        if (now() > end) {
            if (status.st_size != size)
                fail("the host's change is unseen: size %ld instead of %ld", (long)status.st_size, (long)size);
            whole("read of what the host changed", length, size);
            compare("read of what the host changed", buffer, 0, length);
        }
    }
    stale = false;
}

static void check_size(void)
{
    struct stat status;
    OK(fstat(fd, &status));
    if (part < 0 ? status.st_size != size : status.st_size < start + size)
        fail("fstat says %ld bytes instead of %ld", (long)status.st_size, (long)size);
}

// A range that lies in the file, or 0 bytes.
static void range_inside(off_t *at, size_t *length)
{
    *at = size ? (off_t)below(&state, size) : 0;
    size_t most = size - *at;
    if (most > 65536 && below(&state, 8))
        most = 65536;
    *length = most ? 1 + below(&state, most) : 0;
}

// A range that may go beyond the end, up to the limit.
static void range_anywhere(off_t *at, size_t *length)
{
    *at = below(&state, 4) && size ? (off_t)below(&state, size) : (off_t)below(&state, limit);
    if (below(&state, 4) == 0)
        *at &= ~4095L;
    size_t most = limit - *at;
    if (most > 65536 && below(&state, 8))
        most = 65536;
    *length = 1 + below(&state, most);
}

static void fill(void *bytes, size_t length)
{
    uint64_t word = next_random(&state) | 0x0101010101010101;
    for (size_t i = 0; i < length; i++)
        ((unsigned char *)bytes)[i] = (word >> (i % 8 * 8)) + i / 8 * 7;
}

static void grow_to(off_t end)
{
    if (end > size) {
        memset(model + size, 0, end - size);
        size = end;
    }
}

static void do_read(void)
{
    off_t at;
    size_t length;
    range_anywhere(&at, &length);
    size_t expected = at >= size ? 0 : (off_t)(at + length) > size ? (size_t)(size - at) : length;
    switch (below(&state, 3)) {
    case 0:
        note("pread %zu at %#lx", length, (long)at);
        whole("pread", pread(fd, buffer, length, start + at), expected);
        break;
    case 1: {
        size_t first = length / 3;
        note("preadv %zu+%zu at %#lx", first, length - first, (long)at);
        struct iovec parts[] = { { buffer, first }, { buffer + first, length - first } };
        whole("preadv", preadv(fd, parts, 2, start + at), expected);
        break;
    }
    default:
        note("lseek, read %zu at %#lx", length, (long)at);
        OK(lseek(fd, start + at, SEEK_SET));
        whole("read", read(fd, buffer, length), expected);
    }
    compare("read", buffer, at, expected);
}

static void do_write(void)
{
    off_t at;
    size_t length;
    range_anywhere(&at, &length);
    fill(buffer, length);
    switch (part < 0 ? below(&state, 4) : below(&state, 2) * 2) {
    case 0:
        note("lseek, writev %zu at %#lx", length, (long)at);
        OK(lseek(fd, start + at, SEEK_SET));
        struct iovec parts[] = { { buffer, length / 2 }, { buffer + length / 2, length - length / 2 } };
        whole("writev", writev(fd, parts, 2), length);
        break;
    case 1:
        at = size;
        if (length > (size_t)(limit - size))
            length = limit - size;
        note("append %zu at %#lx", length, (long)at);
        OK(fcntl(fd, F_SETFL, O_APPEND));
        whole("write with O_APPEND", write(fd, buffer, length), length);
        OK(fcntl(fd, F_SETFL, 0));
        break;
    default:
        note("pwrite %zu at %#lx", length, (long)at);
        whole("pwrite", pwrite(fd, buffer, length, start + at), length);
    }
    if (length == 0)
        return;
    grow_to(at + length);
    memcpy(model + at, buffer, length);
}

static void do_direct(void)
{
    off_t at = below(&state, limit) & ~4095L;
    size_t length = (1 + below(&state, 16)) * 4096;
    if (at + (off_t)length > limit)
        length = limit - at;
    if (direct_fd < 0)
        direct_fd = open_file(O_DIRECT);
    if (below(&state, 2)) {
        note("O_DIRECT pwrite %zu at %#lx", length, (long)at);
        fill(buffer, length);
        whole("O_DIRECT pwrite", pwrite(direct_fd, buffer, length, start + at), length);
        grow_to(at + length);
        memcpy(model + at, buffer, length);
    } else {
        note("O_DIRECT pread %zu at %#lx", length, (long)at);
        size_t expected = at >= size ? 0 : (off_t)(at + length) > size ? (size_t)(size - at) : length;
        whole("O_DIRECT pread", pread(direct_fd, buffer, length, start + at), expected);
        compare("O_DIRECT pread", buffer, at, expected);
    }
}

static void do_map(bool writes)
{
    off_t at;
    size_t length;
    range_inside(&at, &length);
    if (length == 0) {
        note("nothing to map");
        return;
    }
    off_t base = at & ~4095L;
    size_t mapped = length + (at - base);
    bool shared = writes || below(&state, 4);
    note("%s mapping: %s %zu at %#lx", shared ? "shared" : "private", writes ? "write" : "read", length, (long)at);
    unsigned char *map = mmap(NULL, mapped, writes ? PROT_READ | PROT_WRITE : PROT_READ, shared ? MAP_SHARED : MAP_PRIVATE, fd, start + base);
    if (map == MAP_FAILED)
        fail("mmap: %s", strerrorname_np(errno));
    if (writes) {
        fill(buffer, length);
        memcpy(map + (at - base), buffer, length);
        memcpy(model + at, buffer, length);
        if (below(&state, 2))
            OK(msync(map, mapped, MS_SYNC));
    } else {
        compare("mapped read", map + (at - base), at, length);

        // Behind the end the last page has zeros.
        for (off_t i = at + length; part < 0 && at + (off_t)length == size && i & 4095; i++)
            if (map[i - base])
                fail("the mapped byte %#lx behind the end is %02x", (long)i, map[i - base]);
    }
    OK(munmap(map, mapped));
}

static void do_truncate(void)
{
    off_t to = below(&state, 3) ? (off_t)below(&state, limit + 1) : size ? (off_t)below(&state, size) : 0;
    bool by_name = below(&state, 3) == 0;
    note("%s from %#lx to %#lx", by_name ? "truncate" : "ftruncate", (long)size, (long)to);
    if (by_name)
        OK(truncate(path, to));
    else
        OK(ftruncate(fd, to));
    grow_to(to);
    size = to;
}

static void do_allocate(void)
{
    static const struct {
        int mode;
        const char *name;
    } modes[] = {
        { 0, "0" },
        { FALLOC_FL_KEEP_SIZE, "KEEP_SIZE" },
        { FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, "PUNCH_HOLE" },
        { FALLOC_FL_ZERO_RANGE, "ZERO_RANGE" },
        { FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, "ZERO_RANGE|KEEP_SIZE" },
    };
    int mode = below(&state, 5);
    off_t at;
    size_t length;
    range_anywhere(&at, &length);
    note("fallocate %s %zu at %#lx", modes[mode].name, length, (long)at);
    OK(fallocate(fd, modes[mode].mode, at, length));
    off_t end = at + length;
    if (!(modes[mode].mode & FALLOC_FL_KEEP_SIZE))
        grow_to(end);
    if (mode >= 2 && at < size)
        memset(model + at, 0, (end < size ? end : size) - at);
}

static void do_copy(void)
{
    off_t from, to;
    size_t length, most;
    range_inside(&from, &length);
    range_anywhere(&to, &most);
    if (length > most)
        length = most;
    if (length == 0 || (from < to + (off_t)length && to < from + (off_t)length)) {
        note("nothing to copy");
        return;
    }
    note("copy_file_range %zu from %#lx to %#lx", length, (long)from, (long)to);
    off_t source = from, target = to;
    for (size_t left = length; left > 0;) {
        ssize_t copied = OK(copy_file_range(fd, &source, fd, &target, left, 0));
        if (copied == 0)
            fail("copy_file_range copied %zu of %zu", length - left, length);
        left -= copied;
    }
    grow_to(to + length);
    memmove(model + to, model + from, length);
}

// What SEEK_HOLE and SEEK_DATA leave out must be zeros.
static void do_seek(void)
{
    note("SEEK_DATA, SEEK_HOLE");
    for (off_t at = 0; at < size;) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0 && errno != ENXIO)
            fail("SEEK_DATA from %#lx: %s", (long)at, strerrorname_np(errno));
        off_t end = data < 0 ? size : data;
        for (off_t i = at; i < end; i++)
            if (model[i])
                fail("SEEK_DATA from %#lx says %ld: a hole at %#lx, where there is %02x", (long)at, (long)data, (long)i, model[i]);
        if (data < 0)
            break;
        at = OK(lseek(fd, data, SEEK_HOLE));
        if (at <= data || at > size)
            fail("SEEK_HOLE from %#lx says %#lx", (long)data, (long)at);
    }
}

static void do_open(void)
{
    char other[4096];
    snprintf(other, sizeof other, "%s.other", path);
    switch (below(&state, 7)) {
    case 0:
        note("open with O_TRUNC");
        reopen(O_TRUNC);
        size = 0;
        break;
    case 1:
        note("rename and back, while open");
        OK(rename(path, other));
        whole("pread between", pread(fd, buffer, size, 0), size);
        compare("pread between", buffer, 0, size);
        OK(rename(other, path));
        break;
    case 2:
        note("link, unlink, reopen");
        OK(link(path, other));
        OK(unlink(path));
        OK(rename(other, path));
        reopen(0);
        break;
    case 3:
        note("close the O_DIRECT one");
        if (direct_fd >= 0)
            OK(close(direct_fd));
        direct_fd = -1;
        break;
    case 4:
        note("forget pages");
        OK(fsync(fd));
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        break;
    case 5: {
        note("mode, times");
        struct timespec times[2] = { { 1000000000 + (long)below(&state, 1000000), 1 }, { 1000000000 + (long)below(&state, 1000000), 2 } };
        OK(fchmod(fd, 0600 | below(&state, 0100)));
        OK(futimens(fd, times));
        struct stat status;
        OK(stat(path, &status));
        if (status.st_mtim.tv_sec != times[1].tv_sec || status.st_mtim.tv_nsec != 2)
            fail("the time that was set is not there: %ld.%09ld", (long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
        break;
    }
    default:
        note("reopen");
        reopen(0);
    }
}

static void do_sync(void)
{
    bool data = below(&state, 2);
    note(data ? "fdatasync" : "fsync");
    OK(data ? fdatasync(fd) : fsync(fd));
    if (!host_path)
        return;
    int host = OK(open(host_path, O_RDONLY | O_CLOEXEC));
    ssize_t length = OK(pread(host, buffer, part < 0 ? limit + 1 : limit, start));
    OK(close(host));
    whole("the host's read after a sync", length, size);
    compare("the host's read after a sync", buffer, 0, size);
}

// A change on the host, by a descriptor of its own that it closes.
static void do_host(void)
{
    // Pages that the DPU's mappings made dirty would come later, and win.
    OK(fsync(fd));
    int host = OK(open(host_path, O_RDWR | O_CLOEXEC));
    off_t at;
    size_t length;
    switch (below(&state, 4)) {
    case 0: {
        off_t to = below(&state, limit + 1);
        note("HOST ftruncate from %#lx to %#lx", (long)size, (long)to);
        OK(ftruncate(host, to));
        grow_to(to);
        size = to;
        break;
    }
    case 1:
        range_inside(&at, &length);
        note("HOST punch %zu at %#lx", length, (long)at);
        if (length == 0)
            break;
        OK(fallocate(host, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length));
        memset(model + at, 0, length);
        break;
    default:
        range_anywhere(&at, &length);
        note("HOST pwrite %zu at %#lx", length, (long)at);
        fill(buffer, length);
        whole("the host's pwrite", pwrite(host, buffer, length, at), length);
        grow_to(at + length);
        memcpy(model + at, buffer, length);
    }
    OK(close(host));
    stale = true;
}

static void step(void)
{
    if (stale)
        settle_down();
    if (settle >= 0 && below(&state, 6) == 0) {
        do_host();
        return;
    }
    // Of a part only what leaves the other ones alone.
    uint64_t what = part < 0 ? below(&state, 100) : below(&state, 72);
    if (part >= 0 && what >= 70)
        what = 99;
    if (what < 22)
        do_read();
    else if (what < 42)
        do_write();
    else if (what < 50)
        do_direct();
    else if (what < 60)
        do_map(false);
    else if (what < 70)
        do_map(true);
    else if (what < 77)
        do_truncate();
    else if (what < 85)
        do_allocate();
    else if (what < 90)
        do_copy();
    else if (what < 92)
        do_seek();
    else if (what < 97)
        do_open();
    else
        do_sync();
    check_size();
}

int main(int count, char **arguments)
{
    uint64_t operations = UINT64_MAX;
    double seconds = 1e9;
    seed = time(NULL) * 1000003u + getpid();
    for (int i = 1; i < count; i += 2) {
        const char *name = arguments[i], *value = i + 1 < count ? arguments[i + 1] : "";
        if (strcmp(name, "--file") == 0)
            path = value;
        else if (strcmp(name, "--host") == 0)
            host_path = value;
        else if (strcmp(name, "--seed") == 0)
            seed = strtoull(value, NULL, 10);
        else if (strcmp(name, "--operations") == 0)
            operations = strtoull(value, NULL, 10);
        else if (strcmp(name, "--seconds") == 0)
            seconds = strtod(value, NULL);
        else if (strcmp(name, "--size") == 0)
            limit = strtol(value, NULL, 10) & ~4095L;
        else if (strcmp(name, "--host-writes") == 0)
            settle = atoi(value);
        else if (strcmp(name, "--part") == 0)
            part = atoi(value);
        else {
            fprintf(stderr, "file-stress does not know '%s'\n", name);
            return 2;
        }
    }
    if (!path || limit <= 0 || (settle >= 0 && (!host_path || part >= 0))) {
        fprintf(stderr, "file-stress --file PATH [--host PATH] [--seed N] [--operations N] [--seconds N] [--size BYTES] [--host-writes SETTLE_MS] [--part N]\n");
        return 2;
    }
    state = seed;
    printf("seed %lu\n", (unsigned long)seed);
    fflush(stdout);
    model = calloc(1, limit + 4096);
    buffer = aligned_alloc(4096, limit + 4096);
    fd = open_file(O_CREAT | (part < 0 ? O_TRUNC : 0));
    if (part >= 0) {
        // Others write beside it meanwhile: as large as it must be at least, and zeros in this part.
        start = part * limit;
        size = limit;
        whole("first write", pwrite(fd, model, limit, start), limit);
    }
    double end = now() + seconds;
    while (done < operations && now() < end) {
        step();
        done++;
    }
    done--;
    if (stale)
        settle_down();
    do_sync();
    printf("%lu operations\n", (unsigned long)done + 1);
    return 0;
}
