// What a tree holds, a line a name, sorted.
#include "stress.h"

void describe_tree(void);

static void print_name(const char *name)
{
    for (; *name; name++)
        printf(*name > ' ' && *name < 127 && *name != '\\' ? "%c" : "\\x%02x", (unsigned char)*name);
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void print_content(const char *path)
{
    static unsigned char bytes[1 << 16];
    uint64_t hash = 14695981039346656037u;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        printf(" (%s)", strerrorname_np(errno));
        return;
    }
    ssize_t size;
    while ((size = read(fd, bytes, sizeof bytes)) > 0)
        hash = hash_bytes(hash, bytes, size);
    if (size < 0)
        printf(" (%s)", strerrorname_np(errno));
    close(fd);
    printf(" %016lx", (unsigned long)hash);
}

static void print_attributes(const char *path)
{
    static char list[1 << 16], content[1 << 16];
    char *names[256];
    int count = 0;
    ssize_t size = llistxattr(path, list, sizeof list);
    for (char *at = list; size > 0 && at < list + size && count < 256; at += strlen(at) + 1)
        names[count++] = at;
    qsort(names, count, sizeof *names, compare_names);
    for (int i = 0; i < count; i++) {
        ssize_t length = lgetxattr(path, names[i], content, sizeof content);
        printf(" %s=%016lx", names[i], (unsigned long)hash_bytes(1, content, length > 0 ? length : 0));
    }
}

// Everything but access times, blocks and device numbers.
static int print_entry(const char *shown, const char *path)
{
    struct stat status;
    print_name(shown);
    if (lstat(path, &status) < 0) {
        printf(" %s\n", strerrorname_np(errno));
        return 0;
    }
    printf(" inode %lu %06o %u:%u links %lu size %ld mtime %ld.%09ld ctime %ld.%09ld", (unsigned long)status.st_ino, status.st_mode, status.st_uid,
        status.st_gid, (unsigned long)status.st_nlink, (long)status.st_size, (long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
        (long)status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
        printf(" device %u:%u", major(status.st_rdev), minor(status.st_rdev));
    if (S_ISREG(status.st_mode))
        print_content(path);
    if (S_ISLNK(status.st_mode)) {
        char target[4096] = "";
        if (readlink(path, target, sizeof target - 1) < 0)
            printf(" (%s)", strerrorname_np(errno));
        printf(" -> ");
        print_name(target);
    }
    print_attributes(path);
    printf("\n");
    return S_ISDIR(status.st_mode);
}

// Goes into each directory: trees grow deeper than a path may be long, and where nothing is cached each name of a path costs a message.
static void describe(const char *shown, const char *path)
{
    if (!print_entry(shown, path))
        return;
    DIR *stream = opendir(path);
    if (!stream || chdir(path) < 0) {
        print_name(shown);
        printf(" (%s)\n", strerrorname_np(errno));
        if (stream)
            closedir(stream);
        return;
    }
    size_t count = 0, room = 0;
    char **names = NULL;
    for (struct dirent *entry; (entry = readdir(stream));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (count == room && !(names = realloc(names, (room = room ? 2 * room : 64) * sizeof *names)))
            abort();
        names[count++] = strdup(entry->d_name);
    }
    closedir(stream);
    if (names)
        qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        char *next;
        if (asprintf(&next, "%s/%s", shown, names[i]) < 0)
            abort();
        describe(next, names[i]);
        free(next);
        free(names[i]);
    }
    free(names);
    if (strcmp(path, ".") != 0 && chdir("..") < 0) {
        printf("%s: no way back (%s)\n", shown, strerrorname_np(errno));
        exit(1);
    }
}

void describe_tree(void) { describe(".", "."); }
