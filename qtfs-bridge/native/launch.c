// dpu-launch: becomes the program that a host agent tells it of, on descriptor 0 (process.h). dpu-keeper executes it, and is the parent.
//
// What it is told is applied in the order in which each step is still allowed: first what needs root, then the user, then what is to be checked as
// that user. Nothing is left half done: a step that fails is told, and nothing is executed.
#define _GNU_SOURCE
#include "jobs.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are little-endian");

enum { EXIT_AGENT_GONE = 125, EXIT_FAILED = 127, KINDS = 64, CGROUPS_MAX = 64, SIGNALS = 64, NOT_A_RECORD = 0 };
enum { EFFECTIVE, PERMITTED, INHERITABLE, BOUNDING, AMBIENT, SETS };

static int agent = STDIN_FILENO;

static _Noreturn void fail(int error, int32_t kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
static _Noreturn void fail(int error, int32_t kind, const char *format, ...)
{
    struct {
        struct process_frame head;
        int32_t error, kind;
        char text[PATH_MAX + 256];
    } told = {.head.kind = PROCESS_FAILED, .error = error, .kind = kind};
    va_list values;
    va_start(values, format);
    int length = vsnprintf(told.text, sizeof told.text, format, values);
    va_end(values);
    if (length >= (int)sizeof told.text)
        length = sizeof told.text - 1;
    told.head.size = sizeof told.error + sizeof told.kind + length;
    (void)send(agent, &told, sizeof told.head + told.head.size, MSG_NOSIGNAL);
    _exit(EXIT_FAILED);
}

// --- What the agent says ---------------------------------------------------------------------------------------------

// Where descriptors are, and which numbers they are to have.
static struct place {
    int now, wanted;
} *places;
static size_t place_count;

static struct place *find_place(int wanted)
{
    for (size_t i = 0; i < place_count; i++)
        if (places[i].wanted == wanted)
            return &places[i];
    return NULL;
}

static void receive_all(void *into, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = recv(agent, (char *)into + done, size - done, 0);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            _exit(EXIT_AGENT_GONE);
        done += got > 0 ? got : 0;
    }
}

// A frame's head, and the descriptors beside it; how many.
static size_t receive_head(struct process_frame *head, int *descriptors)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(PROCESS_FRAME_DESCRIPTORS * sizeof(int))];
    struct iovec part = {head, sizeof *head};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t got;
    do
        got = recvmsg(agent, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        _exit(EXIT_AGENT_GONE);
    if (message.msg_flags & MSG_CTRUNC)
        fail(EMFILE, NOT_A_RECORD, "more descriptors came than this process may have open: raise the limit of open files of dpu-keeper (LimitNOFILE)");
    size_t count = 0;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    if (rights && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
        count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(descriptors, CMSG_DATA(rights), count * sizeof(int));
    }
    receive_all((char *)head + got, sizeof *head - got);
    return count;
}

static void add_places(const int32_t *numbers, size_t size, const int *descriptors, size_t count)
{
    if (size != count * sizeof *numbers)
        fail(EBADMSG, NOT_A_RECORD, "a frame has %zu descriptors and %zu bytes of numbers for them", count, size);
    struct place *more = realloc(places, (place_count + count) * sizeof *places);
    if (!more && count)
        fail(ENOMEM, NOT_A_RECORD, "there is no memory for %zu descriptors", place_count + count);
    places = count ? more : places;
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] < 0 || find_place(numbers[i]))
            fail(EBADMSG, NOT_A_RECORD, "descriptor %d is no number for a descriptor, or comes twice", numbers[i]);
        places[place_count++] = (struct place){descriptors[i], numbers[i]};
    }
}

// The content of PROCESS_START, when all descriptors are here.
static char *receive_start(size_t *size)
{
    static int descriptors[PROCESS_FRAME_DESCRIPTORS + 8];
    for (;;) {
        struct process_frame head;
        size_t count = receive_head(&head, descriptors);
        if (head.size > PROCESS_FRAME_MAX)
            fail(EMSGSIZE, NOT_A_RECORD, "a frame has %u bytes, more than %d", head.size, PROCESS_FRAME_MAX);
        char *content = malloc(head.size + 1);
        if (!content)
            fail(ENOMEM, NOT_A_RECORD, "there is no memory for a frame of %u bytes", head.size);
        receive_all(content, head.size);
        *size = head.size;
        if (head.kind == PROCESS_START && count == 0)
            return content;
        if (head.kind != PROCESS_DESCRIPTORS)
            fail(EBADMSG, NOT_A_RECORD, "a frame of kind %u with %zu descriptors is not for dpu-launch", head.kind, count);
        add_places((int32_t *)content, head.size, descriptors, count);
        free(content);
    }
}

// What is to be, as records say it. 'size' 0: it was not told.
static struct {
    struct told {
        const void *bytes;
        size_t size;
    } told[KINDS];
    char **arguments, **environment;
    size_t argument_count, variable_count, cgroup_count;
    int cgroups[CGROUPS_MAX];
} start;

// Texts lose their record's head, and get a NUL at their end.
static char *text_of(char *record, size_t size, int kind)
{
    if (memchr(record + sizeof(struct process_record), 0, size))
        fail(EBADMSG, kind, "a text has a NUL in it");
    memmove(record, record + sizeof(struct process_record), size);
    record[size] = 0;
    return record;
}

static void read_record(char *record, uint16_t kind, size_t size)
{
    // Bytes of each kind; where there may be several of them, of one.
    static const struct {
        uint16_t size;
        bool many;
    } shapes[KINDS] = {
        [PROCESS_IDENTITY] = {8, false}, [PROCESS_GROUPS] = {4, true}, [PROCESS_UMASK] = {4, false}, [PROCESS_LIMITS] = {24, true},
        [PROCESS_CAPABILITIES] = {8 * SETS, false}, [PROCESS_SIGNALS] = {16, false}, [PROCESS_OOM] = {4, false}, [PROCESS_SCHEDULING] = {12, false},
        [PROCESS_FLAGS] = {4, false}, [PROCESS_CGROUP] = {4, false}, [PROCESS_TERMINAL] = {8, false},
        [PROCESS_PROCESSORS] = {8, true}, [PROCESS_NODES] = {8, true},
    };
    if (kind >= KINDS)
        return;
    if (shapes[kind].size && (size % shapes[kind].size || (!shapes[kind].many && size != shapes[kind].size)))
        fail(EBADMSG, kind, "a record of kind %u has %zu bytes", kind, size);
    char *bytes = record + sizeof(struct process_record);
    switch (kind) {
    case PROCESS_ARGUMENT: start.arguments[start.argument_count++] = text_of(record, size, kind); break;
    case PROCESS_ENVIRONMENT: start.environment[start.variable_count++] = text_of(record, size, kind); break;
    case PROCESS_PROGRAM:
    case PROCESS_DIRECTORY:
        bytes = text_of(record, size, kind);
        if (*bytes != '/')
            fail(EBADMSG, kind, "'%s' is no absolute path", bytes);
        start.told[kind] = (struct told){bytes, size};
        break;
    case PROCESS_CGROUP:
        if (start.cgroup_count == CGROUPS_MAX)
            fail(E2BIG, kind, "more than %d control groups are told", CGROUPS_MAX);
        memcpy(&start.cgroups[start.cgroup_count++], bytes, sizeof(int));
        break;
    default: start.told[kind] = (struct told){bytes, size}; break;
    }
}

static void read_records(char *content, size_t size)
{
    // Each record has 8 bytes at least.
    start.arguments = calloc(size / 8 + 1, sizeof(char *));
    start.environment = calloc(size / 8 + 1, sizeof(char *));
    if (!start.arguments || !start.environment)
        fail(ENOMEM, NOT_A_RECORD, "there is no memory for %zu bytes of arguments and environment", size);
    for (size_t at = 0; at < size;) {
        struct process_record head;
        if (size - at < sizeof head)
            fail(EBADMSG, NOT_A_RECORD, "the records are cut after %zu bytes", at);
        memcpy(&head, content + at, sizeof head);
        size_t left = size - at - sizeof head, step = ((size_t)head.size + 7) & ~(size_t)7;
        if (step > left)
            fail(EBADMSG, head.kind, "a record of %u bytes is cut: there are %zu", head.size, left);
        read_record(content + at, head.kind, head.size);
        at += sizeof head + step;
    }
    if (!start.told[PROCESS_PROGRAM].bytes)
        fail(EBADMSG, PROCESS_PROGRAM, "no program is told");
}

// --- What needs root --------------------------------------------------------------------------------------------------

static int take(int number, int kind)
{
    struct place *place = find_place(number);
    if (!place)
        fail(EBADF, kind, "descriptor %d is told of and did not come", number);
    return place->now;
}

static void leave(int number)
{
    struct place *place = find_place(number);
    close(place->now);
    *place = places[--place_count];
}

static void enter_cgroups(void)
{
    for (size_t i = 0; i < start.cgroup_count; i++) {
        if (write(take(start.cgroups[i], PROCESS_CGROUP), "0", 1) != 1)
            fail(errno, PROCESS_CGROUP, "cannot enter the control group of descriptor %d: %s", start.cgroups[i], strerror(errno));
        leave(start.cgroups[i]);
    }
}

// dpu-keeper is the last one to go when memory ends; that is not for what it runs.
static void set_oom(void)
{
    const struct told *told = &start.told[PROCESS_OOM];
    char text[16];
    int32_t value = 0;
    if (told->bytes)
        memcpy(&value, told->bytes, sizeof value);
    int length = snprintf(text, sizeof text, "%d", value), file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if ((file < 0 || write(file, text, length) != length) && told->bytes)
        fail(errno, PROCESS_OOM, "cannot set oom_score_adj to %d: %s", value, strerror(errno));
    if (file >= 0)
        close(file);
}

static void set_session(uint32_t flags)
{
    if ((flags & PROCESS_NEW_SESSION) && setsid() < 0)
        fail(errno, PROCESS_FLAGS, "cannot begin a session: %s", strerror(errno));
    if ((flags & PROCESS_NEW_GROUP) && !(flags & PROCESS_NEW_SESSION) && setpgid(0, 0) < 0)
        fail(errno, PROCESS_FLAGS, "cannot begin a process group: %s", strerror(errno));
    if (start.told[PROCESS_TERMINAL].bytes) {
        int32_t numbers[2];
        memcpy(numbers, start.told[PROCESS_TERMINAL].bytes, sizeof numbers);
        int terminal = take(numbers[0], PROCESS_TERMINAL), jobs = take(numbers[1], PROCESS_TERMINAL);
        if (ioctl(terminal, TIOCSCTTY, 0) < 0)
            fail(errno, PROCESS_TERMINAL, "descriptor %d cannot be the controlling terminal: %s", numbers[0], strerror(errno));
        int error = begin_jobs(terminal, jobs);
        if (error)
            fail(error, PROCESS_TERMINAL, "job control cannot be had: %s", strerror(error));
        leave(numbers[0]);
        leave(numbers[1]);
    }
}

// Another number for a descriptor, that none is to have.
static int elsewhere(int descriptor)
{
    for (int from = STDERR_FILENO + 1;;) {
        int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, from);
        if (moved < 0)
            fail(errno, NOT_A_RECORD, "there is no room for descriptors: %s; raise the limit of open files of dpu-keeper (LimitNOFILE)", strerror(errno));
        if (!find_place(moved))
            return moved;
        close(moved);
        from = moved + 1;
    }
}

// What nobody asked for closes with execve(2), and so does the connection to the agent.
static void place_descriptors(void)
{
    if (close_range(0, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        fail(errno, NOT_A_RECORD, "cannot keep other descriptors from the program: %s (Linux 5.11 is needed)", strerror(errno));
    if (find_place(agent))
        agent = elsewhere(agent);
    for (size_t i = 0; i < place_count; i++) {
        struct place *place = &places[i];
        for (size_t j = i + 1; j < place_count && place->now != place->wanted; j++) {
            if (places[j].now == place->wanted) {
                places[j].now = elsewhere(places[j].now);
                break;
            }
        }
        int error = place->now == place->wanted ? fcntl(place->now, F_SETFD, 0) : dup2(place->now, place->wanted);
        if (error < 0)
            fail(errno, NOT_A_RECORD, "cannot have descriptor %d: %s; raise the limit of open files of dpu-keeper (LimitNOFILE)", place->wanted, strerror(errno));
    }
}

// After the descriptors, some of whose numbers may be beyond the limit.
static void set_limits(void)
{
    struct {
        uint32_t resource, zero;
        uint64_t soft, hard;
    } limit;
    const struct told *told = &start.told[PROCESS_LIMITS];
    for (size_t at = 0; at < told->size; at += sizeof limit) {
        memcpy(&limit, (const char *)told->bytes + at, sizeof limit);
        struct rlimit now, next = {limit.soft, limit.hard};
        if (setrlimit(limit.resource, &next) == 0)
            continue;
        // A host that allows less: as far as it does.
        if (errno == EPERM && getrlimit(limit.resource, &now) == 0) {
            next.rlim_max = next.rlim_max < now.rlim_max ? next.rlim_max : now.rlim_max;
            next.rlim_cur = next.rlim_cur < next.rlim_max ? next.rlim_cur : next.rlim_max;
            if (setrlimit(limit.resource, &next) == 0)
                continue;
        }
        fail(errno, PROCESS_LIMITS, "cannot set limit %u to %llu (hard %llu): %s", limit.resource, (unsigned long long)limit.soft,
            (unsigned long long)limit.hard, strerror(errno));
    }
}

static void set_scheduling(void)
{
    int32_t told[3];
    if (!start.told[PROCESS_SCHEDULING].bytes)
        return;
    memcpy(told, start.told[PROCESS_SCHEDULING].bytes, sizeof told);
    struct sched_param priority = {.sched_priority = told[1]};
    // Not where it is so already: that may be forbidden.
    if ((sched_getscheduler(0) != told[0] || told[1]) && sched_setscheduler(0, told[0], &priority) < 0)
        fail(errno, PROCESS_SCHEDULING, "cannot have scheduling policy %d with priority %d: %s", told[0], told[1], strerror(errno));
    if (getpriority(PRIO_PROCESS, 0) != told[2] && setpriority(PRIO_PROCESS, 0, told[2]) < 0)
        fail(errno, PROCESS_SCHEDULING, "cannot have nice value %d: %s", told[2], strerror(errno));
}

// After the control groups: one of cpusets sets both as it is entered.
static void set_place(void)
{
    const struct told *processors = &start.told[PROCESS_PROCESSORS], *nodes = &start.told[PROCESS_NODES];
    if (processors->bytes && sched_setaffinity(0, processors->size, processors->bytes) < 0)
        fail(errno, PROCESS_PROCESSORS, "cannot run on the processors that it is to have alone: %s; does dpu-keeper's own cpuset have them?", strerror(errno));
    // The kernel takes one bit less than it is told.
    if (nodes->bytes && syscall(SYS_set_mempolicy, MPOL_BIND, nodes->bytes, 8 * nodes->size + 1) < 0)
        fail(errno, PROCESS_NODES, "cannot have memory of the NUMA nodes that it is to have alone: %s; does dpu-keeper's own cpuset have them?", strerror(errno));
}

// --- Who it is -------------------------------------------------------------------------------------------------------

static void set_capabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        data[i] = (struct __user_cap_data_struct){(uint32_t)(effective >> 32 * i), (uint32_t)(permitted >> 32 * i), (uint32_t)(inheritable >> 32 * i)};
    if (syscall(SYS_capset, &head, data) < 0)
        fail(errno, PROCESS_CAPABILITIES, "cannot have capabilities: effective %llx, permitted %llx, inheritable %llx: %s; dpu-keeper may lack some",
            (unsigned long long)effective, (unsigned long long)permitted, (unsigned long long)inheritable, strerror(errno));
}

static uint64_t permitted_now(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &head, data) < 0)
        fail(errno, PROCESS_CAPABILITIES, "cannot read capabilities: %s", strerror(errno));
    return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

static void set_user(const uint64_t *sets)
{
    const struct told *identity = &start.told[PROCESS_IDENTITY], *groups = &start.told[PROCESS_GROUPS];
    uint32_t who[2];
    // Never the keeper's own groups with another user.
    if ((identity->bytes || groups->bytes) && setgroups(groups->size / sizeof(gid_t), groups->bytes) < 0)
        fail(errno, PROCESS_GROUPS, "cannot have %zu supplementary groups: %s", groups->size / sizeof(gid_t), strerror(errno));
    if (!identity->bytes)
        return;
    memcpy(who, identity->bytes, sizeof who);
    if (sets && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        fail(errno, PROCESS_CAPABILITIES, "cannot keep capabilities for user %u: %s", who[0], strerror(errno));
    if (setresgid(who[1], who[1], who[1]) < 0)
        fail(errno, PROCESS_IDENTITY, "cannot become group %u: %s", who[1], strerror(errno));
    if (setresuid(who[0], who[0], who[0]) < 0)
        fail(errno, PROCESS_IDENTITY, "cannot become user %u: %s", who[0], strerror(errno));
}

static void become(void)
{
    uint64_t sets[SETS], known = 0;
    bool told = start.told[PROCESS_CAPABILITIES].bytes != NULL;
    if (told) {
        memcpy(sets, start.told[PROCESS_CAPABILITIES].bytes, sizeof sets);
        int last = -1;
        while (last < 63 && prctl(PR_CAPBSET_READ, last + 1, 0, 0, 0) >= 0)
            known |= (uint64_t)1 << ++last;
        // The other machine's kernel may have more of them.
        for (int i = 0; i < SETS; i++)
            sets[i] &= known;
        // Before the bounding set forbids to add to the inheritable one, and while that may be done.
        uint64_t now = permitted_now();
        set_capabilities(now, now, sets[INHERITABLE]);
        for (int i = 0; i <= last; i++)
            if (!(sets[BOUNDING] >> i & 1) && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1 && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
                fail(errno, PROCESS_CAPABILITIES, "cannot give up capability %d: %s", i, strerror(errno));
    }
    set_user(told ? sets : NULL);
    if (!told)
        return;
    set_capabilities(sets[EFFECTIVE], sets[PERMITTED], sets[INHERITABLE]);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int i = 0; i < 64; i++)
        if ((sets[AMBIENT] >> i & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
            fail(errno, PROCESS_CAPABILITIES, "cannot have ambient capability %d: %s; it must be permitted and inheritable", i, strerror(errno));
}

// By the kernel's own calls: glibc keeps two signals for itself.
static void set_signals(void)
{
    uint64_t told[2] = {0};
    if (start.told[PROCESS_SIGNALS].bytes)
        memcpy(told, start.told[PROCESS_SIGNALS].bytes, sizeof told);
    for (int i = 1; i <= SIGNALS; i++) {
        struct {
            uintptr_t handler, flags, restorer;
            uint64_t mask;
        } action = {.handler = (uintptr_t)(told[1] >> (i - 1) & 1 ? SIG_IGN : SIG_DFL)};
        if (i != SIGKILL && i != SIGSTOP && syscall(SYS_rt_sigaction, i, &action, NULL, sizeof action.mask) < 0)
            fail(errno, PROCESS_SIGNALS, "cannot ignore signal %d: %s", i, strerror(errno));
    }
    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &told[0], NULL, sizeof told[0]) < 0)
        fail(errno, PROCESS_SIGNALS, "cannot block signals: %s", strerror(errno));
}

int main(int count, char **values)
{
    if (count > 1) {
        bool version = strcmp(values[1], "--version") == 0;
        printf(version ? "dpu-launch %s\n" : "usage: dpu-launch\n\nBecomes the program that a host agent tells it of; dpu-keeper executes it. See dpu-stub(1), %s.\n", KEEPER_PROGRAM_VERSION);
        return version || strcmp(values[1], "--help") == 0 ? 0 : 2;
    }
    // The numbers that descriptors are to have may be high ones.
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max)
        (void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){files.rlim_max, files.rlim_max});
    size_t size;
    char *content = receive_start(&size);
    read_records(content, size);
    uint32_t flags = 0;
    if (start.told[PROCESS_FLAGS].bytes)
        memcpy(&flags, start.told[PROCESS_FLAGS].bytes, sizeof flags);
    set_session(flags);
    enter_cgroups();
    set_oom();
    place_descriptors();
    if (files.rlim_cur < files.rlim_max)
        (void)setrlimit(RLIMIT_NOFILE, &files);
    set_limits();
    set_scheduling();
    set_place();
    if (start.told[PROCESS_UMASK].bytes) {
        uint32_t mask;
        memcpy(&mask, start.told[PROCESS_UMASK].bytes, sizeof mask);
        (void)umask(mask & 0777);
    }
    become();
    if ((flags & PROCESS_NO_NEW_PRIVILEGES) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        fail(errno, PROCESS_FLAGS, "cannot give up new privileges: %s", strerror(errno));
    const char *directory = start.told[PROCESS_DIRECTORY].bytes, *program = start.told[PROCESS_PROGRAM].bytes;
    if (directory && chdir(directory) < 0)
        fail(errno, PROCESS_DIRECTORY, "cannot enter the directory '%s' as user %u: %s", directory, geteuid(), strerror(errno));
    set_signals();
    execve(program, start.arguments, start.environment);
    fail(errno, PROCESS_PROGRAM, "cannot execute '%s' as user %u: %s", program, geteuid(), strerror(errno));
}
