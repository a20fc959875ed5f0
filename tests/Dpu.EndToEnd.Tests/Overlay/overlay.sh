#!/bin/bash
# What a user sees of an overlay, step by step. Usage: overlay.sh LOWER UPPER WORK MERGED OPTIONS; the folders exist, LOWER is
# filled here. The transcript names no inode numbers and no paths, so that two of them can be compared.
set -eu
lower=$1 upper=$2 work=$3 merged=$4 options=$5
try() { "$@" 2>&1 | sed 's/^\([a-z]*\): .*: /\1: /' || true; }
describe() { find . -printf '%P %y %m %U:%G %n %s %l\n' | grep -v -E '^( |[^ ]+) d ' | sort; find . -type d -printf '%P/ %m %U:%G\n' | sort; }

cd "$lower"
umask 022
echo low > file; echo linked > hard; ln hard hard2; ln -s file link; mkfifo fifo
mkdir -p dir/sub opaque/deep gone; echo x > dir/x; echo y > dir/sub/y; echo old > opaque/old; echo z > gone/z
mkdir many; for i in $(seq 300); do echo "$i" > many/$i; done
head -c 8M /dev/zero | tr '\0' 'q' > large; truncate -s 64M sparse; echo end >> sparse; echo middle | dd of=sparse bs=1M seek=20 conv=notrunc status=none
printf '#!/bin/sh\necho ran\n' > program; chmod 755 program
echo a > attributed; setfattr -n user.a -v 1 attributed; setfacl -m u:1234:rw,g:77:r attributed; chown 5:6 attributed; touch -d @1000000000.123456789 attributed
mkdir -m 2775 shared; chown 0:77 shared; setfacl -d -m u:1234:rwx shared

mount -t overlay test-overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work$options" "$merged"
trap 'cd /; umount "$merged"' EXIT
cd "$merged"

echo "-- read"; cat file link dir/x; ./program; ls many | wc -l
echo "-- copy up"
echo more >> file; cat file
printf tail >> large; cksum < large
echo X | dd of=sparse bs=1 seek=5 conv=notrunc status=none; cksum < sparse
python3 - <<'P'
import os
f = os.open("sparse", os.O_RDONLY)
print([os.lseek(f, p, w) for p, w in ((1 << 20, os.SEEK_DATA), (30 << 20, os.SEEK_HOLE), (30 << 20, os.SEEK_DATA))])
P
echo b >> attributed; getfattr -d attributed; getfacl -cn attributed; stat -c '%u:%g %a' attributed
chmod 4711 program; stat -c '%a' program; chown 7:8 program; stat -c '%a %u:%g' program
setfattr -n user.new -v 2 dir/x; setfattr -n trusted.t -v 3 dir/x; getfattr -d -m '^(user.[a-n]|trusted.t)' dir/x | sort; setfattr -x user.new dir/x
touch -d @1234567890 dir/sub/y; stat -c %Y dir/sub/y
ln file file2; stat -c %h file file2; echo again >> file2; cat file
touch -h -d @99 link; readlink link
echo "-- mapped"
python3 - <<'P'
import mmap, os
f = os.open("dir/sub/y", os.O_RDWR)
m = mmap.mmap(f, 2); m[0:1] = b"M"; m.flush(); m.close()
print(open("dir/sub/y").read())
P
echo "-- remove"
rm dir/x; try cat dir/x; echo back > dir/x; cat dir/x
rm -r opaque; mkdir opaque; echo new > opaque/new; ls opaque
rm -r gone; try ls gone; rm fifo hard; cat hard2
try rmdir dir
echo "-- rename"
mv file renamed; cat renamed; try cat file
mv dir/sub/y dir/sub/z; ls dir/sub
try mv dir moved; ls -d dir moved 2>&1 | sed 's/.*cannot access //'
mkdir fresh; mv fresh fresh2; mv fresh2 many/; ls -d many/fresh2
python3 - <<'P'
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for old, new, flags in ((b"renamed", b"program", 2), (b"renamed", b"large", 1), (b"renamed", b"plain", 1)):
    r = libc.renameat2(-100, old, -100, new, flags)
    print(old.decode(), new.decode(), flags, "OK" if r == 0 else os.strerror(ctypes.get_errno()))
P
echo "-- create"
python3 - <<'P'
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
f = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o640); os.write(f, b"anonymous")
assert libc.linkat(-100, b"/proc/self/fd/%d" % f, -100, b"named", 0x400) == 0, os.strerror(ctypes.get_errno())
print(open("named").read())
g = os.open("many/7", os.O_RDWR); os.unlink("many/7"); os.write(g, b"unlinked"); print(os.pread(g, 9, 0), os.fstat(g).st_nlink)
P
(umask 077; echo s > shared/made; mkdir shared/madedir); getfacl -cn shared/made shared/madedir 2>/dev/null; stat -c '%U:%g %a' shared/made shared/madedir
mkfifo pipe; stat -c '%F' pipe
seq 2000 | (cd many && xargs touch); ls many | wc -l; rm many/1*; ls many | wc -l
sync -f .
echo "-- merged"; describe
cd /; umount "$merged"; trap - EXIT
echo "-- upper"; cd "$upper"; find . -printf '%P %y %m %U:%G %s\n' | sed -E 's/^([^ ]*) d ([0-9]+ [0-9:]+) .*/\1 d \2/' | sort
# The origin and the layer's UUID name inodes and chance; whether an origin has a handle depends on the file system.
getfattr -R -h -d -m - . 2>/dev/null | grep -v -E 'overlay\.(origin|uuid|impure)' | grep -v '^$' || true
echo "-- again"
mount -t overlay test-overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work${options/,volatile/}" "$merged" 2>/dev/null && { cd "$merged"; describe | cksum; cd /; umount "$merged"; } || echo refused
