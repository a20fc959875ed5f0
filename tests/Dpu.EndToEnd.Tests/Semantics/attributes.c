// Extended attributes, ACLs, times, inode flags.
#include "semantics.h"

static char s_large[1 << 17];

static void list(const char *name)
{
    char names[4096];
    ssize_t size = listxattr(name, names, sizeof names);
    if (size < 0) {
        printf("list %s: %s\n", name, strerrorname_np(errno));
        return;
    }
    char *sorted[64];
    int count = 0;
    for (char *at = names; at < names + size; at += strlen(at) + 1)
        if (strcmp(at, "security.selinux"))
            sorted[count++] = at;
    for (int i = 0; i < count; i++)
        for (int j = i + 1; j < count; j++)
            if (strcmp(sorted[i], sorted[j]) > 0) {
                char *other = sorted[i];
                sorted[i] = sorted[j];
                sorted[j] = other;
            }
    printf("list %s:", name);
    for (int i = 0; i < count; i++)
        printf(" %s", sorted[i]);
    printf("\n");
    fflush(stdout);
}

static void xattrs_of_a_user(void)
{
    char buffer[64];
    list("f");
    list("private");
    VALUE(getxattr("f", "user.a", buffer, sizeof buffer));
    VALUE(getxattr("f", "trusted.t", buffer, sizeof buffer));
    VALUE(getxattr("f", "security.s", buffer, sizeof buffer));
    VALUE(getxattr("private", "user.p", buffer, sizeof buffer));
    TRY(setxattr("f", "user.a", "new", 3, 0));
    TRY(setxattr("f", "trusted.t", "new", 3, 0));
    TRY(setxattr("f", "security.s", "new", 3, 0));
    TRY(removexattr("f", "trusted.t"));
    TRY(removexattr("f", "security.s"));
    TRY(removexattr("f", "user.a"));
    TRY(setxattr("own", "user.mine", "1", 1, 0));
    TRY(setxattr("sticky", "user.mine", "1", 1, 0));
    TRY(setxattr("own", "security.mine", "1", 1, 0));
    TRY(setxattr("own", "trusted.mine", "1", 1, 0));
    list("own");
}

static void xattrs(void)
{
    char buffer[64], name[300];
    make("f", "", 0644, 0, 0);
    make("private", "", 0600, 0, 0);
    make("own", "", 0600, 1000, 1000);
    MUST(mkdir("d", 0755));
    MUST(mkdir("sticky", 01777));
    MUST(chmod("sticky", 01777));
    MUST(symlink("f", "l"));
    MUST(mkfifo("p", 0666));
    TRY(setxattr("f", "user.a", "one", 3, 0));
    TRY(setxattr("f", "user.a", "two", 3, XATTR_CREATE));
    TRY(setxattr("f", "user.b", "two", 3, XATTR_REPLACE));
    TRY(setxattr("f", "user.a", "three", 5, XATTR_REPLACE));
    TRY(setxattr("f", "user.a", "x", 1, 3));
    TRY(setxattr("f", "user.a", "x", 1, 4));
    VALUE(getxattr("f", "user.a", buffer, sizeof buffer));
    VALUE(getxattr("f", "user.a", NULL, 0));
    VALUE(getxattr("f", "user.a", buffer, 2));
    VALUE(getxattr("f", "user.none", buffer, sizeof buffer));
    TRY(setxattr("f", "user.empty", "", 0, 0));
    VALUE(getxattr("f", "user.empty", buffer, sizeof buffer));
    TRY(setxattr("f", "user.bytes", "\0\1\377", 3, 0));
    TRY(setxattr("f", "user.\377/ \n", "odd", 3, 0));
    TRY(setxattr("f", "trusted.t", "root", 4, 0));
    TRY(setxattr("f", "security.s", "label", 5, 0));
    TRY(setxattr("private", "user.p", "hidden", 6, 0));
    TRY(setxattr("private", "trusted.p", "hidden", 6, 0));
    TRY(setxattr("d", "user.d", "dir", 3, 0));
    TRY(setxattr("d", "trusted.d", "dir", 3, 0));
    TRY(setxattr("p", "user.p", "pipe", 4, 0));
    TRY(setxattr("p", "trusted.p", "pipe", 4, 0));
    TRY(lsetxattr("l", "user.l", "link", 4, 0));
    TRY(lsetxattr("l", "trusted.l", "link", 4, 0));
    VALUE(lgetxattr("l", "trusted.l", buffer, sizeof buffer));
    VALUE(getxattr("l", "trusted.l", buffer, sizeof buffer));
    TRY(setxattr("f", "user", "x", 1, 0));
    TRY(setxattr("f", "user.", "x", 1, 0));
    TRY(setxattr("f", "", "x", 1, 0));
    TRY(setxattr("f", "nothing.x", "x", 1, 0));
    TRY(setxattr("f", "system.x", "x", 1, 0));
    memset(name, 'n', sizeof name);
    memcpy(name, "user.", 5);
    name[255] = 0;
    TRY_AS("a name of 255 bytes", setxattr("f", name, "x", 1, 0));
    name[255] = 'n';
    name[256] = 0;
    TRY_AS("a name of 256 bytes", setxattr("f", name, "x", 1, 0));
    TRY(setxattr("d", "user.large", s_large, 3000, 0));
    TRY(setxattr("d", "user.larger", s_large, 65536, 0));
    TRY(setxattr("d", "user.largest", s_large, 65537, 0));
    VALUE(getxattr("d", "user.large", s_large, sizeof s_large));
    list("f");
    list("d");
    VALUE(listxattr("d", buffer, 3));
    VALUE(listxattr("d", NULL, 0));
    TRY(removexattr("f", "user.a"));
    TRY(removexattr("f", "user.a"));
    TRY(removexattr("f", "trusted.none"));
    int fd = MUST(open("f", O_RDONLY)), path = MUST(open("f", O_PATH));
    TRY(fsetxattr(fd, "user.fd", "1", 1, 0));
    TRY(fgetxattr(path, "user.fd", buffer, sizeof buffer));
    TRY(setxattr("f", "user.a", "again", 5, 0));
    as(1000, 1000, NO_GROUPS, 022, xattrs_of_a_user);
    list("f");
}

// An ACL as the kernel takes it (linux/posix_acl_xattr.h): the version, then tag, permissions and id of each entry.
struct acl {
    uint32_t version;
    struct {
        uint16_t tag, perm;
        uint32_t id;
    } entries[8];
} __attribute__((packed));

enum { OWNER = 1, USER = 2, OWNING_GROUP = 4, GROUP = 8, MASK = 16, OTHER = 32 };

#define ACL(name, kind, ...)                                                                          \
    ({                                                                                                \
        static const struct acl one = {2, {__VA_ARGS__}};                                             \
        size_t count = sizeof((struct { uint16_t t, p; uint32_t i; }[]){__VA_ARGS__}) / 8;             \
        setxattr(name, "system.posix_acl_" kind, &one, 4 + 8 * count, 0);                             \
    })

static void print_acl(const char *name, const char *kind)
{
    struct acl one;
    ssize_t size = getxattr(name, kind, &one, sizeof one);
    printf("%s %s:", name, kind + 17);
    if (size < 0)
        printf(" %s", strerrorname_np(errno));
    for (int i = 0; i < (size - 4) / 8; i++)
        printf(" %d:%d:%d", one.entries[i].tag, one.entries[i].perm, (int)one.entries[i].id);
    printf("\n");
    show(name);
}

static void acl_access(void)
{
    TRY(open("f", O_RDONLY));
    TRY(open("f", O_WRONLY));
    TRY(access("f", R_OK | W_OK));
    TRY(access("d/x", F_OK));
    TRY(open("d/new", O_CREAT | O_RDWR, 0666));
    TRY(unlink("d/new"));
    TRY_AS("a stranger's change", ACL("f", "access", {OWNER, 7, -1}, {OWNING_GROUP, 7, -1}, {OTHER, 7, -1}));
    TRY(removexattr("f", "system.posix_acl_access"));
    TRY(chmod("f", 0777));
    char buffer[64];
    VALUE(getxattr("f", "system.posix_acl_access", buffer, sizeof buffer));
}

static void acl_inherited(void)
{
    int fd = TRY(open("d/file", O_CREAT | O_RDWR, 0666));
    TRY(mkdir("d/dir", 0777));
    TRY(mknod("d/pipe", S_IFIFO | 0666, 0));
    TRY(open("d/private", O_CREAT | O_RDWR, 0600));
    TRY(symlink("x", "d/link"));
    char path[64];
    fd = TRY(open("d", O_TMPFILE | O_RDWR, 0666));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    TRY_AS("a name for it", linkat(AT_FDCWD, path, AT_FDCWD, "d/tmpfile", AT_SYMLINK_FOLLOW));
    TRY(open("plain/file", O_CREAT | O_RDWR, 0666));
    TRY(mkdir("plain/dir", 0777));
}

static void acls(void)
{
    make("f", "content", 0640, 10, 20);
    MUST(mkdir("d", 0750));
    MUST(chown("d", 10, 20));
    make("d/x", "", 0644, 0, 0);
    TRY(ACL("f", "access", {OWNER, 6, -1}, {USER, 4, 1000}, {USER, 6, 1001}, {OWNING_GROUP, 4, -1}, {GROUP, 6, 3000}, {MASK, 6, -1}, {OTHER, 0, -1}));
    TRY(ACL("d", "access", {OWNER, 7, -1}, {USER, 7, 1001}, {OWNING_GROUP, 5, -1}, {GROUP, 5, 3000}, {MASK, 7, -1}, {OTHER, 0, -1}));
    print_acl("f", "system.posix_acl_access");
    print_acl("d", "system.posix_acl_default");
    as(1000, 1000, NO_GROUPS, 022, acl_access);
    as(1001, 1001, NO_GROUPS, 022, acl_access);
    as(1002, 1002, NO_GROUPS, 022, acl_access);
    as(1002, 3000, NO_GROUPS, 022, acl_access);
    as(1002, 1002, GROUPS(3000), 022, acl_access);
    as(1002, 1002, GROUPS(20, 5), 022, acl_access);

    // The mode is the ACL's, and changing one changes the other.
    TRY(chmod("f", 0604));
    print_acl("f", "system.posix_acl_access");
    as(1001, 1001, NO_GROUPS, 022, acl_access);
    TRY(ACL("f", "access", {OWNER, 6, -1}, {OWNING_GROUP, 4, -1}, {OTHER, 0, -1}));
    print_acl("f", "system.posix_acl_access");

    // What is no ACL.
    TRY(ACL("f", "access", {OWNER, 6, -1}));
    TRY(ACL("f", "access", {OWNER, 6, -1}, {USER, 4, 1000}, {OWNING_GROUP, 4, -1}, {OTHER, 0, -1}));
    TRY(ACL("f", "access", {OWNER, 9, -1}, {OWNING_GROUP, 4, -1}, {OTHER, 0, -1}));
    TRY(setxattr("f", "system.posix_acl_access", "short", 5, 0));
    TRY(ACL("f", "default", {OWNER, 6, -1}, {OWNING_GROUP, 4, -1}, {OTHER, 0, -1}));
    TRY(removexattr("f", "system.posix_acl_access"));
    TRY(removexattr("d", "system.posix_acl_access"));
    print_acl("d", "system.posix_acl_access");
}

static void acls_inherited(void)
{
    MUST(mkdir("d", 0777));
    MUST(mkdir("plain", 0777));
    TRY(ACL("d", "default", {OWNER, 7, -1}, {USER, 7, 77}, {OWNING_GROUP, 5, -1}, {GROUP, 3, 88}, {MASK, 7, -1}, {OTHER, 5, -1}));
    print_acl("d", "system.posix_acl_default");
    as(1000, 1000, NO_GROUPS, 077, acl_inherited);
    const char *made[] = {"d/file", "d/dir", "d/pipe", "d/private", "d/tmpfile", "plain/file", "plain/dir"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        print_acl(made[i], "system.posix_acl_access");
    print_acl("d/dir", "system.posix_acl_default");
    TRY(removexattr("d", "system.posix_acl_default"));
    TRY(mkdir("d/after", 0700));
    print_acl("d/after", "system.posix_acl_default");
}

static void owner_makes_acls(void)
{
    MUST(mkdir("open/mine", 0700));
    MUST(close(MUST(open("open/mine/f", O_CREAT | O_RDWR, 0640))));
    TRY(ACL("open/mine", "access", {OWNER, 7, -1}, {USER, 7, 1001}, {OWNING_GROUP, 0, -1}, {GROUP, 5, 3000}, {MASK, 7, -1}, {OTHER, 0, -1}));
    TRY(ACL("open/mine/f", "access", {OWNER, 6, -1}, {USER, 6, 1001}, {OWNING_GROUP, 0, -1}, {GROUP, 4, 3000}, {MASK, 6, -1}, {OTHER, 0, -1}));
    TRY(ACL("open/mine", "default", {OWNER, 7, -1}, {USER, 7, 1002}, {OWNING_GROUP, 5, -1}, {MASK, 7, -1}, {OTHER, 0, -1}));
    print_acl("open/mine/f", "system.posix_acl_access");
    print_acl("open/mine", "system.posix_acl_default");
}

static void use_acls(void)
{
    TRY(open("open/mine/f", O_RDONLY));
    TRY(open("open/mine/f", O_RDWR));
    TRY(access("open/mine", R_OK | W_OK | X_OK));
    if (TRY(open("open/mine/new", O_CREAT | O_EXCL | O_RDWR, 0666)) >= 0)
        print_acl("open/mine/new", "system.posix_acl_access");
    if (TRY(mkdir("open/mine/dir", 0777)) >= 0)
        print_acl("open/mine/dir", "system.posix_acl_default");
    unlink("open/mine/new");
    rmdir("open/mine/dir");
    TRY_AS("a stranger's change", ACL("open/mine/f", "access", {OWNER, 7, -1}, {OWNING_GROUP, 7, -1}, {OTHER, 7, -1}));
}

static void owner_removes_acls(void)
{
    TRY(unlink("open/mine/f"));
    TRY(rmdir("open/mine"));
}

// Only users: the same under every policy, once "prepare" has made the directory.
static void acls_of_a_user(void)
{
    if (access("open", F_OK) < 0) {
        MUST(mkdir("open", 0777));
        MUST(chown("open", 1001, 1001));
    }
    as(1000, 1000, NO_GROUPS, 077, owner_makes_acls);
    as(1000, 1000, NO_GROUPS, 077, use_acls);
    as(1001, 1001, NO_GROUPS, 077, use_acls);
    as(1002, 1002, NO_GROUPS, 022, use_acls);
    as(1002, 3000, NO_GROUPS, 022, use_acls);
    as(1000, 1000, NO_GROUPS, 077, owner_removes_acls);
}

static void times(void)
{
    make("f", "x", 0644, 1000, 1000);
    MUST(symlink("f", "l"));
    struct timespec values[][2] = {
        {{1000000000, 123456789}, {1500000000, 999999999}}, {{-86400, 5}, {-1, 999999999}}, {{0, 0}, {4294967296, 1}},
        {{0, UTIME_OMIT}, {77, 0}}, {{88, 0}, {0, UTIME_OMIT}}, {{0, 1000000000}, {0, 0}},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct stat status;
        TRY(utimensat(AT_FDCWD, "f", values[i], 0));
        MUST(stat("f", &status));
        printf("    %ld.%09ld %ld.%09ld\n", (long)status.st_atim.tv_sec, status.st_atim.tv_nsec, (long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    }
    struct stat before, after;
    TRY(utimensat(AT_FDCWD, "l", values[0], AT_SYMLINK_NOFOLLOW));
    MUST(lstat("l", &before));
    printf("link %ld\n", (long)before.st_mtim.tv_sec);

    // What changes which time, and never the time of birth.
    struct statx born, later;
    MUST(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &born));
    printf("mask %x, born at a time %d\n", born.stx_mask & (STATX_BASIC_STATS | STATX_BTIME), born.stx_btime.tv_sec > 1600000000);
    MUST(stat("f", &before));
    usleep(20000);
    MUST(chmod("f", 0600));
    MUST(stat("f", &after));
    printf("chmod: modified %d changed %d\n", before.st_mtim.tv_nsec != after.st_mtim.tv_nsec, before.st_ctim.tv_nsec != after.st_ctim.tv_nsec);
    int fd = MUST(open("f", O_WRONLY));
    MUST(write(fd, "y", 1));
    MUST(close(fd));
    MUST(stat("f", &after));
    printf("write: modified %d\n", before.st_mtim.tv_sec != after.st_mtim.tv_sec);
    MUST(statx(AT_FDCWD, "f", 0, STATX_BTIME, &later));
    printf("same birth %d\n", later.stx_btime.tv_sec == born.stx_btime.tv_sec && later.stx_btime.tv_nsec == born.stx_btime.tv_nsec);
    MUST(mkdir("d", 0700));
    MUST(statx(AT_FDCWD, "d", 0, STATX_BTIME, &later));
    printf("a directory's birth %d\n", (later.stx_mask & STATX_BTIME) != 0 && later.stx_btime.tv_sec >= born.stx_btime.tv_sec);
    MUST(statx(fd = MUST(open("f", O_RDONLY)), "", AT_EMPTY_PATH, STATX_BTIME, &later));
    printf("of a descriptor %d\n", later.stx_btime.tv_nsec == born.stx_btime.tv_nsec);
}

static int get_flags(const char *name)
{
    int flags = 0, fd = MUST(open(name, O_RDONLY | O_NONBLOCK));
    if (TRY(ioctl(fd, FS_IOC_GETFLAGS, &flags)) == 0)
        printf("    %s %x\n", name, flags);
    close(fd);
    return flags;
}

static int set_flags(const char *name, int flags)
{
    int fd = MUST(open(name, O_RDONLY | O_NONBLOCK));
    int result = ioctl(fd, FS_IOC_SETFLAGS, &flags);
    close(fd);
    return result;
}

static void flags_of_a_user(void)
{
    TRY(set_flags("own", FS_NODUMP_FL));
    TRY(set_flags("own", FS_IMMUTABLE_FL));
    TRY(set_flags("own", FS_APPEND_FL));
    TRY(set_flags("others", FS_NODUMP_FL));
    get_flags("own");
    get_flags("others");
}

static void inode_flags(void)
{
    make("f", "content", 0644, 0, 0);
    make("own", "", 0600, 1000, 1000);
    make("others", "", 0644, 0, 0);
    MUST(mkdir("d", 0755));
    MUST(mkfifo("p", 0644));
    int plain = get_flags("f"), of_directory = get_flags("d");
    get_flags("p");
    TRY(set_flags("f", plain | FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL));
    get_flags("f");
    TRY(set_flags("d", of_directory | FS_NODUMP_FL | FS_DIRSYNC_FL));
    get_flags("d");
    TRY(set_flags("f", plain | 0x40000000));

    // A file that only grows, and one that nobody changes.
    TRY(set_flags("f", plain | FS_APPEND_FL));
    get_flags("f");
    int fd = TRY(open("f", O_WRONLY | O_APPEND));
    VALUE(write(fd, " more", 5));
    TRY(open("f", O_WRONLY));
    TRY(open("f", O_WRONLY | O_TRUNC));
    TRY(truncate("f", 0));
    TRY(unlink("f"));
    TRY(rename("f", "g"));
    TRY(set_flags("f", plain | FS_IMMUTABLE_FL));
    TRY(open("f", O_WRONLY | O_APPEND));
    TRY(chmod("f", 0600));
    TRY(chown("f", 1, 1));
    TRY(setxattr("f", "user.x", "1", 1, 0));
    TRY(link("f", "g"));
    TRY(unlink("f"));
    TRY(set_flags("d", of_directory | FS_IMMUTABLE_FL));
    TRY(open("d/new", O_CREAT | O_RDWR, 0600));
    TRY(mkdir("d/new", 0700));
    TRY(set_flags("d", of_directory));
    TRY(set_flags("f", plain));
    show("f");
    as(1000, 1000, NO_GROUPS, 022, flags_of_a_user);

    // The same by the other pair of requests.
    struct fsxattr attributes;
    fd = MUST(open("f", O_RDONLY));
    TRY(ioctl(fd, FS_IOC_FSGETXATTR, &attributes));
    printf("    %x %u %u\n", attributes.fsx_xflags, attributes.fsx_extsize, attributes.fsx_projid);
    attributes.fsx_xflags |= FS_XFLAG_NODUMP;
    TRY(ioctl(fd, FS_IOC_FSSETXATTR, &attributes));
    get_flags("f");
    attributes.fsx_extsize = 1;
    attributes.fsx_xflags |= 0x40000000;
    TRY(ioctl(fd, FS_IOC_FSSETXATTR, &attributes));
    TRY(ioctl(MUST(open("d", O_RDONLY)), FS_IOC_FSGETXATTR, &attributes));
    TRY(ioctl(fd, 0x5401, s_large));
    TRY(ioctl(MUST(open("d", O_RDONLY)), 0x5401, s_large));
    TRY(ioctl(fd, _IOR('z', 77, char[100]), s_large));
    TRY(ioctl(fd, _IOWR('z', 78, char[4000]), s_large));
    int left;
    TRY(ioctl(fd, FIONREAD, &left));
    printf("    %d left to read\n", left);
}

const struct semantics_case attribute_cases[] = {
    {"xattrs", xattrs}, {"acls", acls}, {"acls-inherited", acls_inherited}, {"acls-of-a-user", acls_of_a_user}, {"times", times}, {"inode-flags", inode_flags}, {0},
};
