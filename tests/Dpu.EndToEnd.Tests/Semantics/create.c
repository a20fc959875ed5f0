// What makes, links, renames and removes names.
#include "semantics.h"

static void exclusive(void)
{
    MUST(symlink("nowhere", "dangling"));
    MUST(mkdir("dir", 0755));
    TRY(open("new", O_CREAT | O_EXCL | O_RDWR, 0640));
    TRY(open("new", O_CREAT | O_EXCL | O_RDWR, 0600));
    TRY(open("new", O_CREAT | O_RDWR, 0600));
    TRY(open("dangling", O_CREAT | O_EXCL | O_RDWR, 0600));
    TRY(open("dir", O_CREAT | O_EXCL | O_RDWR, 0600));
    TRY(open("dir", O_CREAT | O_RDWR, 0600));
    TRY(open("missing/f", O_CREAT | O_EXCL | O_RDWR, 0600));
    TRY(open("new/f", O_CREAT | O_EXCL | O_RDWR, 0600));
    TRY(open("dangling", O_CREAT | O_RDWR, 0644));
    TRY(open("nofollow", O_CREAT | O_NOFOLLOW | O_RDWR, 0644));
    TRY(open("dangling", O_RDONLY | O_NOFOLLOW));
    TRY(open("dir", O_RDONLY | O_DIRECTORY));
    TRY(open("new", O_RDONLY | O_DIRECTORY));
    TRY(open("dir", O_WRONLY));
    show("new");
    show("nowhere");

    // Of eight that want the same name, one gets it.
    int won[2];
    MUST(pipe(won));
    for (int child = 0; child < 8; child++)
        if (MUST(fork()) == 0) {
            for (int i = 0; i < 40; i++) {
                char name[16];
                snprintf(name, sizeof name, "race%d", i);
                int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
                if (fd >= 0 ? write(won[1], "w", 1) != 1 : errno != EEXIST)
                    MUST(-1);
            }
            _exit(0);
        }
    close(won[1]);
    int winners = 0;
    for (char one; read(won[0], &one, 1) == 1;)
        winners++;
    while (wait(NULL) > 0)
        ;
    printf("winners of 40 names: %d\n", winners);
}

static void temporary(void)
{
    MUST(mkdir("d", 0755));
    struct stat status;
    char path[64];
    TRY(open("d", O_TMPFILE | O_RDONLY, 0600));
    TRY(open("nodir", O_TMPFILE | O_RDWR, 0600));
    int fd = TRY(open("d", O_TMPFILE | O_RDWR, 0640));
    VALUE(write(fd, "hidden", 6));
    MUST(fstat(fd, &status));
    printf("links %lu mode %o size %ld\n", (unsigned long)status.st_nlink, status.st_mode, (long)status.st_size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    TRY(linkat(AT_FDCWD, path, AT_FDCWD, "d/shown", AT_SYMLINK_FOLLOW));
    TRY(linkat(AT_FDCWD, path, AT_FDCWD, "d/shown", AT_SYMLINK_FOLLOW));
    TRY(linkat(fd, "", AT_FDCWD, "d/again", AT_EMPTY_PATH));
    show("d/shown");
    VALUE(write(fd, " no more", 8));
    show("d/again");
    close(fd);

    int secret = TRY(open("d", O_TMPFILE | O_EXCL | O_RDWR, 0600));
    snprintf(path, sizeof path, "/proc/self/fd/%d", secret);
    TRY(linkat(AT_FDCWD, path, AT_FDCWD, "d/never", AT_SYMLINK_FOLLOW));
    VALUE(write(secret, "x", 1));
    TRY(ftruncate(secret, 10));
    close(secret);
    int unused = TRY(open(".", O_TMPFILE | O_WRONLY, 0600));
    close(unused);
    show("d/never");
}

static void rename_flags(void)
{
    make("a", "a", 0644, 1, 2);
    make("b", "bb", 0600, 3, 4);
    MUST(mkdir("dir", 0755));
    make("dir/inner", "inner", 0600, 0, 0);
    MUST(mkdir("empty", 0700));
    TRY(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
    TRY(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
    TRY(renameat2(AT_FDCWD, "gone", AT_FDCWD, "d", RENAME_NOREPLACE));
    TRY(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", RENAME_EXCHANGE));
    show("c");
    show("b");
    TRY(renameat2(AT_FDCWD, "c", AT_FDCWD, "dir", RENAME_EXCHANGE));
    show("c/inner");
    show("dir");
    TRY(renameat2(AT_FDCWD, "c", AT_FDCWD, "c/inner", RENAME_EXCHANGE));
    TRY(renameat2(AT_FDCWD, "dir", AT_FDCWD, "missing", RENAME_EXCHANGE));
    TRY(renameat2(AT_FDCWD, "dir", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_NOREPLACE));
    TRY(renameat2(AT_FDCWD, "dir", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_WHITEOUT));
    TRY(renameat2(AT_FDCWD, "dir", AT_FDCWD, "b", 8));
    TRY(renameat2(AT_FDCWD, "b", AT_FDCWD, "moved", RENAME_WHITEOUT));
    show("b");
    show("moved");
    TRY(renameat2(AT_FDCWD, "moved", AT_FDCWD, "dir", RENAME_WHITEOUT | RENAME_NOREPLACE));
    TRY(unlink("b"));
    TRY(link("moved", "same"));
    TRY(rename("moved", "same"));
    TRY(rename("c", "c/inner"));
    TRY(rename("c", "c/below"));
    TRY(rename("empty", "c"));
    TRY(rename("c", "empty"));
    TRY(rename("moved", "empty"));
    TRY(rename("empty", "moved"));
    TRY(rename("moved", "."));
    TRY(rename("moved", "empty/.."));
}

static void nodes(void)
{
    umask(027);
    TRY(mknod("plain", S_IFREG | 0666, 0));
    TRY(mknod("typeless", 0666, 0));
    TRY(mkfifo("pipe", 0666));
    TRY(mknod("socket", S_IFSOCK | 0777, 0));
    TRY(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
    TRY(mknod("loop", S_IFBLK | 0660, makedev(7, 0)));
    TRY(mknod("large", S_IFCHR | 0600, makedev(4095, 1048575)));
    TRY(mknod("minor", S_IFBLK | 0600, makedev(259, 70000)));
    TRY(mknod("whiteout", S_IFCHR | 0600, makedev(0, 0)));
    TRY(mknod("directory", S_IFDIR | 0600, 0));
    TRY(mknod("link", S_IFLNK | 0600, 0));
    TRY(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
    TRY(mknod("nowhere/x", S_IFIFO | 0666, 0));
    TRY(chmod("null", 04711));
    TRY(chown("socket", 12, 34));
    TRY(rename("loop", "renamed"));
    TRY(link("pipe", "pipe2"));
    TRY(truncate("pipe", 0));
    TRY(open("socket", O_RDWR));
    TRY(open("pipe", O_WRONLY | O_NONBLOCK));
    TRY(symlink("", "empty"));
    char target[4200];
    memset(target, 't', sizeof target);
    target[4095] = 0;
    TRY_AS("a target of 4095 bytes", symlink(target, "longest"));
    memset(target, 't', 4096);
    target[4096] = 0;
    TRY_AS("a target of 4096 bytes", symlink(target, "longer"));
    TRY(symlink("any\001\377 bytes\n", "odd"));
}

static void hard_links(void)
{
    struct stat a, b;
    make("a", "1", 0644, 0, 0);
    MUST(mkdir("d", 0755));
    TRY(link("a", "b"));
    TRY(link("a", "d/c"));
    TRY(link("a", "b"));
    TRY(link("d", "e"));
    TRY(link("missing", "f"));
    TRY(link("a", "missing/f"));
    MUST(stat("a", &a));
    MUST(stat("d/c", &b));
    printf("same inode %d links %lu\n", a.st_ino == b.st_ino && a.st_dev == b.st_dev, (unsigned long)b.st_nlink);
    int fd = MUST(open("d/c", O_WRONLY | O_APPEND));
    VALUE(write(fd, "2", 1));
    show("a");
    TRY(unlink("a"));
    MUST(fstat(fd, &b));
    printf("links %lu\n", (unsigned long)b.st_nlink);
    TRY(symlink("b", "s"));
    TRY_AS("a link to a symbolic link", link("s", "t"));
    MUST(lstat("s", &a));
    MUST(lstat("t", &b));
    printf("same inode %d links %lu\n", a.st_ino == b.st_ino, (unsigned long)b.st_nlink);
    TRY_AS("followed", linkat(AT_FDCWD, "s", AT_FDCWD, "u", AT_SYMLINK_FOLLOW));
    show("u");
    MUST(stat("d", &a));
    MUST(mkdir("d/sub", 0755));
    MUST(stat("d", &b));
    printf("a directory's links grow by %ld\n", (long)(b.st_nlink - a.st_nlink));
}

static void unlinked(void)
{
    struct stat status;
    struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000, .tv_nsec = 3}};
    char buffer[64], path[64];
    int fd = MUST(open("f", O_CREAT | O_RDWR, 0644));
    VALUE(write(fd, "before", 6));
    TRY(unlink("f"));
    make("f", "another", 0600, 0, 0);
    VALUE(pwrite(fd, " after", 6, 6));
    VALUE(pread(fd, buffer, sizeof buffer, 0));
    printf("%.12s\n", buffer);
    TRY(ftruncate(fd, 5));
    TRY(fchmod(fd, 0601));
    TRY(fchown(fd, 5, 6));
    TRY(futimens(fd, times));
    TRY(fsetxattr(fd, "user.x", "kept", 4, 0));
    VALUE(fgetxattr(fd, "user.x", buffer, sizeof buffer));
    TRY(fallocate(fd, 0, 0, 9000));
    TRY(fsync(fd));
    VALUE(lseek(fd, 0, SEEK_END));
    MUST(fstat(fd, &status));
    printf("%o %u:%u links %lu size %ld at %ld\n", status.st_mode, status.st_uid, status.st_gid, (unsigned long)status.st_nlink,
        (long)status.st_size, (long)status.st_atim.tv_sec);
    char *map = mmap(NULL, 9000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    TRY_AS("mmap", map == MAP_FAILED ? -1 : 0);
    memcpy(map + 4000, "mapped", 6);
    TRY(msync(map, 9000, MS_SYNC));
    VALUE(pread(fd, buffer, 6, 4000));
    printf("%.6s\n", buffer);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    TRY_AS("a new name", linkat(AT_FDCWD, path, AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
    int again = TRY_AS("opened again", open(path, O_RDWR | O_TRUNC));
    MUST(fstat(fd, &status));
    printf("size %ld\n", (long)status.st_size);
    close(again);
    close(fd);

    // Replaced by a rename, and in a directory that is removed.
    MUST(mkdir("d", 0755));
    make("d/r", "old", 0644, 0, 0);
    int old = MUST(open("d/r", O_RDWR));
    int directory = MUST(open("d", O_RDONLY | O_DIRECTORY));
    TRY(rename("f", "d/r"));
    VALUE(pread(old, buffer, sizeof buffer, 0));
    TRY(ftruncate(old, 1));
    VALUE(pread(old, buffer, sizeof buffer, 0));
    TRY(unlink("d/r"));
    TRY(rmdir("d"));
    VALUE(pwrite(old, "x", 1, 100));
    TRY(openat(directory, "new", O_CREAT | O_RDWR, 0600));
    TRY(mkdirat(directory, "new", 0700));
    MUST(fstat(directory, &status));
    printf("the directory's links %lu\n", (unsigned long)status.st_nlink);
}

static void names(void)
{
    char name[300];
    memset(name, 'n', sizeof name);
    name[255] = 0;
    TRY_AS("255 bytes", open(name, O_CREAT | O_EXCL | O_WRONLY, 0600));
    TRY_AS("255 bytes renamed", rename(name, "short"));
    TRY_AS("and back", rename("short", name));
    name[0] = 'd';
    TRY_AS("a directory", mkdir(name, 0700));
    name[255] = 'n';
    name[256] = 0;
    TRY_AS("256 bytes", open(name, O_CREAT | O_EXCL | O_WRONLY, 0600));
    TRY_AS("mkdir", mkdir(name, 0700));
    TRY_AS("mknod", mknod(name, S_IFIFO | 0600, 0));
    TRY_AS("symlink", symlink("x", name));
    TRY_AS("rename", rename("x", name));
    TRY_AS("link", link("x", name));
    TRY_AS("unlink", unlink(name));
    TRY_AS("rmdir", rmdir(name));
    TRY_AS("stat", access(name, F_OK));

    // Every byte but '/' and NUL, alone and between others; no byte is another one's.
    MUST(mkdir("bytes", 0700));
    for (int byte = 1; byte < 256; byte++) {
        if (byte == '/')
            continue;
        snprintf(name, sizeof name, "bytes/a%cz", byte);
        make(name, (char[]){(char)byte, 0}, 0600, 0, 0);
        snprintf(name, sizeof name, "bytes/%c", byte);
        if (byte != '.')
            make(name, "one", 0600, 0, 0);
    }
    int count = 0;
    DIR *stream = opendir("bytes");
    for (struct dirent *entry; (entry = readdir(stream));)
        count++;
    closedir(stream);
    printf("%d entries\n", count);
    TRY(mkdir("bytes/...", 0700));
    TRY(mkdir("bytes/.", 0700));
    TRY(mkdir("bytes/..", 0700));
    TRY(rmdir("bytes/."));
    TRY(rmdir("bytes/.."));
    TRY(unlink("bytes/..."));
    TRY(rmdir("bytes/.../"));
}

const struct semantics_case create_cases[] = {
    {"exclusive", exclusive}, {"temporary", temporary}, {"rename-flags", rename_flags}, {"nodes", nodes},
    {"hard-links", hard_links}, {"unlinked", unlinked}, {"names", names}, {0},
};
