// What dpu-stub has, as its parent made it: the program is to have the same on the host.
#include "stub.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { LIMITS = 16, GROUPS_MAX = 65536 };

static struct {
    char *bytes;
    size_t size, room;
    bool failed;
} content;

static void put(uint16_t kind, const void *bytes, size_t size)
{
    struct process_record head = {.kind = kind, .size = (uint32_t)size};
    size_t step = sizeof head + ((size + 7) & ~(size_t)7);
    if (content.size + step > content.room) {
        size_t room = (content.size + step) * 2 + 4096;
        char *more = realloc(content.bytes, room);
        content.failed |= !more;
        if (!more)
            return;
        content.bytes = more;
        content.room = room;
    }
    memset(content.bytes + content.size, 0, step);
    memcpy(content.bytes + content.size, &head, sizeof head);
    memcpy(content.bytes + content.size + sizeof head, bytes, size);
    content.size += step;
}

static void put_text(uint16_t kind, const char *text) { put(kind, text, strlen(text)); }

static char *working_directory(void)
{
    char *directory = getcwd(NULL, 0);
    // One that was removed, or is not below the root.
    if (directory && *directory == '/')
        return directory;
    free(directory);
    return NULL;
}

const char *absolute(const char *path)
{
    if (*path == '/')
        return path;
    const char *directory = working_directory();
    char *whole = NULL;
    while (strncmp(path, "./", 2) == 0)
        path += 2;
    return directory && asprintf(&whole, "%s/%s", directory, path) >= 0 ? whole : NULL;
}

int *list_descriptors(size_t *count)
{
    // Like getdents64(2) itself, which opendir(3) would bring memory for.
    struct entry {
        uint64_t inode;
        int64_t offset;
        uint16_t size;
        uint8_t type;
        char name[];
    };
    static char room[4096] __attribute__((aligned(8)));
    int *numbers = NULL, folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *count = 0;
    if (folder < 0)
        return NULL;
    for (long got; (got = syscall(SYS_getdents64, folder, room, sizeof room)) > 0;) {
        numbers = realloc(numbers, (*count + got / 24 + 1) * sizeof *numbers);
        if (!numbers)
            return NULL;
        for (long at = 0; at < got; at += ((struct entry *)(room + at))->size) {
            const struct entry *entry = (struct entry *)(room + at);
            int number = atoi(entry->name);
            if (entry->name[0] != '.' && number != folder)
                numbers[(*count)++] = number;
        }
    }
    close(folder);
    return numbers;
}

uint64_t ignored_signals(void)
{
    uint64_t ignored = 0;
    for (int i = 1; i <= 64; i++) {
        struct action action = {0};
        if (syscall(SYS_rt_sigaction, i, NULL, &action, sizeof action.mask) == 0 && action.handler == (uintptr_t)SIG_IGN)
            ignored |= signal_bit(i);
    }
    return ignored;
}

static void put_user(void)
{
    uint32_t who[] = {geteuid(), getegid()};
    put(PROCESS_IDENTITY, who, sizeof who);
    gid_t *groups = malloc(GROUPS_MAX * sizeof *groups);
    int count = groups ? getgroups(GROUPS_MAX, groups) : -1;
    content.failed |= count < 0;
    if (count >= 0)
        put(PROCESS_GROUPS, groups, count * sizeof *groups);
    free(groups);
}

static void put_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &head, data) < 0)
        return;
    uint64_t sets[] = {data[0].effective | (uint64_t)data[1].effective << 32, data[0].permitted | (uint64_t)data[1].permitted << 32,
        data[0].inheritable | (uint64_t)data[1].inheritable << 32, 0, 0};
    for (int i = 0, there; i < 64 && (there = prctl(PR_CAPBSET_READ, i, 0, 0, 0)) >= 0; i++) {
        sets[3] |= (uint64_t)(there != 0) << i;
        sets[4] |= (uint64_t)(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1) << i;
    }
    put(PROCESS_CAPABILITIES, sets, sizeof sets);
}

static void put_limits(void)
{
    struct limit {
        uint32_t resource, zero;
        uint64_t soft, hard;
    } limits[LIMITS];
    size_t count = 0;
    struct rlimit limit;
    for (uint32_t i = 0; i < LIMITS; i++)
        if (getrlimit(i, &limit) == 0)
            limits[count++] = (struct limit){i, 0, limit.rlim_cur, limit.rlim_max};
    put(PROCESS_LIMITS, limits, count * sizeof *limits);
}

static void put_oom(void)
{
    char text[16] = {0};
    int file = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
    int32_t value = read(file, text, sizeof text - 1) > 0 ? atoi(text) : 0;
    close(file);
    put(PROCESS_OOM, &value, sizeof value);
}

static void put_session(void)
{
    int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    pid_t foreground = 0;
    if (ioctl(terminal, TIOCGPGRP, &foreground) < 0)
        foreground = 0;
    if (terminal >= 0)
        close(terminal);
    int32_t session[] = {getpid(), getppid(), getpgrp(), getsid(0), foreground};
    put(PROCESS_SESSION, session, sizeof session);
}

char *gather(const struct wish *wish, size_t *size)
{
    put_text(PROCESS_PROGRAM, wish->program);
    for (char **argument = wish->arguments; *argument; argument++)
        put_text(PROCESS_ARGUMENT, *argument);
    // The one that is for the stub alone is not for the program.
    for (char **variable = environ; *variable; variable++)
        if (strncmp(*variable, "DPU_STUB_SOCKET=", 16) != 0)
            put_text(PROCESS_ENVIRONMENT, *variable);
    char *directory = working_directory();
    if (directory)
        put_text(PROCESS_DIRECTORY, directory);
    free(directory);
    put_user();
    uint32_t mask = umask(0);
    (void)umask(mask);
    put(PROCESS_UMASK, &mask, sizeof mask);
    put_limits();
    put_capabilities();
    uint64_t signals[] = {wish->blocked, wish->ignored};
    put(PROCESS_SIGNALS, signals, sizeof signals);
    put_oom();
    struct sched_param priority = {0};
    (void)sched_getparam(0, &priority);
    int32_t scheduling[] = {sched_getscheduler(0), priority.sched_priority, getpriority(PRIO_PROCESS, 0)};
    put(PROCESS_SCHEDULING, scheduling, sizeof scheduling);
    put_session();
    if (wish->terminal >= 0) {
        int32_t terminal[] = {wish->terminal, (int32_t)job_now(true).kind, wish->beside};
        put(PROCESS_OWN_TERMINAL, terminal, sizeof terminal);
    }
    if (wish->host)
        put_text(PROCESS_HOST, wish->host);
    uint32_t flags = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? PROCESS_NO_NEW_PRIVILEGES : 0;
    put(PROCESS_FLAGS, &flags, sizeof flags);
    *size = content.size;
    return content.failed ? NULL : content.bytes;
}
