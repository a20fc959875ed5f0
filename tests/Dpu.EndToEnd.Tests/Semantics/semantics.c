#include "semantics.h"
#include <grp.h>
#include <sys/syscall.h>

long report(const char *text, long result)
{
    int error = errno;
    printf("%s: %s\n", text, result >= 0 ? "ok" : strerrorname_np(error));
    fflush(stdout);
    errno = error;
    return result;
}

long value(const char *text, long result)
{
    int error = errno;
    if (result >= 0)
        printf("%s = %ld\n", text, result);
    else
        printf("%s: %s\n", text, strerrorname_np(error));
    fflush(stdout);
    errno = error;
    return result;
}

long must(const char *text, const char *file, int line, long result)
{
    if (result < 0) {
        printf("%s:%d: %s: %s\n", file, line, text, strerrorname_np(errno));
        fflush(stdout);
        _exit(3);
    }
    return result;
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
    return hash;
}

uint64_t hash_of(int fd)
{
    static char buffer[1 << 16];
    uint64_t hash = 14695981039346656037u;
    off_t at = 0;
    for (ssize_t size; (size = MUST(pread(fd, buffer, sizeof buffer, at))) > 0; at += size)
        hash = hash_bytes(hash, buffer, size);
    return hash;
}

static void print_name(const char *name)
{
    for (; *name; name++)
        printf(*name > ' ' && *name < 127 && *name != '\\' ? "%c" : "\\x%02x", (unsigned char)*name);
}

// Everything of an inode but numbers and times; the size of directories depends on the file system's history.
static void print_inode(int directory, const char *name)
{
    struct stat status;
    MUST(fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW));
    printf(" %o %u:%u %lu", status.st_mode, status.st_uid, status.st_gid, (unsigned long)status.st_nlink);
    if (S_ISREG(status.st_mode))
        printf(" %ld", (long)status.st_size);
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
        printf(" %u:%u", major(status.st_rdev), minor(status.st_rdev));
    if (S_ISLNK(status.st_mode)) {
        char target[4096] = "";
        MUST(readlinkat(directory, name, target, sizeof target - 1));
        printf(" -> ");
        print_name(target);
    }
    if (S_ISREG(status.st_mode)) {
        int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW);
        if (fd >= 0) {
            printf(" %016lx", hash_of(fd));
            close(fd);
        } else {
            printf(" (%s)", strerrorname_np(errno));
        }
    }
    printf("\n");
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_xattrs(int directory, const char *name)
{
    static char list[1 << 16], content[1 << 16];
    char path[64 + 256];
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", directory, name);
    ssize_t size = llistxattr(path, list, sizeof list);
    char *names[256];
    int count = 0;
    for (char *at = list; size > 0 && at < list + size && count < 256; at += strlen(at) + 1)
        names[count++] = at;
    qsort(names, count, sizeof *names, compare_names);
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], "security.selinux") == 0)
            continue;
        ssize_t length = lgetxattr(path, names[i], content, sizeof content);
        printf("    %s %zd %016lx\n", names[i], length, hash_bytes(1, content, length > 0 ? length : 0));
    }
}

// Prints a whole tree, sorted: what the host holds after a case.
static void describe(int directory, const char *prefix)
{
    DIR *stream = fdopendir(MUST(dup(directory)));
    rewinddir(stream);
    char *names[8192];
    int count = 0;
    for (struct dirent *entry; (entry = readdir(stream)) && count < 8192;)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            names[count++] = strdup(entry->d_name);
    closedir(stream);
    qsort(names, count, sizeof *names, compare_names);
    for (int i = 0; i < count; i++) {
        print_name(prefix);
        print_name(names[i]);
        print_inode(directory, names[i]);
        print_xattrs(directory, names[i]);
        int below = openat(directory, names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (below >= 0) {
            char next[4096];
            snprintf(next, sizeof next, "%s%s/", prefix, names[i]);
            describe(below, next);
            close(below);
        }
        free(names[i]);
    }
}

static void describe_all(void)
{
    describe(MUST(open(".", O_RDONLY | O_DIRECTORY)), "");
}

void show(const char *name)
{
    print_name(name);
    struct stat status;
    if (lstat(name, &status) < 0)
        printf(": %s\n", strerrorname_np(errno));
    else
        print_inode(AT_FDCWD, name);
    fflush(stdout);
}

void make(const char *name, const char *content, mode_t mode, uid_t uid, gid_t gid)
{
    int fd = MUST(open(name, O_CREAT | O_EXCL | O_WRONLY, 0600));
    MUST(write(fd, content, strlen(content)));
    MUST(fchown(fd, uid, gid));
    MUST(fchmod(fd, mode));
    close(fd);
}

void as(uid_t uid, gid_t gid, int group_count, const gid_t *groups, mode_t mask, void (*run)(void))
{
    printf("as %u:%u", uid, gid);
    for (int i = 0; i < group_count; i++)
        printf(" +%u", groups[i]);
    printf(" umask %03o\n", mask);
    fflush(stdout);
    pid_t child = MUST(fork());
    if (child == 0) {
        MUST(setgroups(group_count, groups));
        MUST(setresgid(gid, gid, gid));
        MUST(setresuid(uid, uid, uid));
        umask(mask);
        run();
        fflush(stdout);
        _exit(0);
    }
    int status;
    MUST(waitpid(child, &status, 0));
    if (status != 0)
        printf("the child ended with %x\n", status);
}

int main(int count, char **arguments)
{
    static const struct semantics_case own[] = {{"describe", describe_all}, {0}};
    const struct semantics_case *all[] = {
        own, create_cases, data_cases, space_cases, attribute_cases, privilege_cases, directory_cases, identity_cases,
    };
    if (count != 3 || chdir(arguments[2]) < 0) {
        fprintf(stderr, "semantics CASE DIRECTORY\n");
        return 2;
    }
    // A case that waits for ever says so.
    alarm(25);
    umask(0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (const struct semantics_case *one = all[i]; one->name; one++)
            if (strcmp(one->name, arguments[1]) == 0) {
                one->run();
                return 0;
            }
    fprintf(stderr, "no case is named %s\n", arguments[1]);
    return 2;
}
