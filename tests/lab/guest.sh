#!/bin/sh
# Makes what a virtual machine of the lab boots: guest.sh FOLDER writes FOLDER/initrd and FOLDER/vmlinuz. The kernel is the newest
# linux-headers-*-cloud-amd64 that is installed (the package brings its image). In the initrd: busybox, tc and ip, the modules of
# flower and of its actions, labtc.ko (network interfaces whose "hardware" takes filters), and the bridge to the tests.
set -eu
out=$1
here=$(dirname "$(readlink -f "$0")")
headers=$(find /usr/src -maxdepth 1 -name 'linux-headers-*-cloud-amd64' | sort -V | tail -1)
[ -n "$headers" ] || { echo "no linux-headers-*-cloud-amd64 in /usr/src: apt-get install linux-headers-6.12.*-cloud-amd64" >&2; exit 1; }
version=${headers#/usr/src/linux-headers-}
modules=/lib/modules/$version
[ -e "/boot/vmlinuz-$version" ] || { echo "/boot/vmlinuz-$version does not exist: apt-get install linux-image-$version" >&2; exit 1; }
mkdir -p "$out"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/run" "$root/lib/modules"
cp "$(command -v busybox)" "$root/bin/busybox"
for name in sh mount insmod poweroff echo cat sleep ip grep; do
    [ "$name" = ip ] || ln -s busybox "$root/bin/$name"
done

cp -r "$here/labtc" "$root/labtc"
make -s -C "$headers" M="$root/labtc" modules > "$root/make.log" 2>&1 || { cat "$root/make.log" >&2; exit 1; }
: > "$root/modules"
for module in virtio_pci virtio_console cls_flower cls_u32 cls_matchall act_mirred act_gact act_pedit act_csum act_vlan act_ct act_tunnel_key act_skbedit sch_ingress veth; do
    modprobe -S "$version" --show-depends "$module" 2> /dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p' | while read -r path; do
        name=$(basename "$path" .xz)
        grep -qx "$name" "$root/modules" && continue
        case $path in *.xz) xz -dc "$path" > "$root/lib/modules/$name" ;; *) cp "$path" "$root/lib/modules/$name" ;; esac
        echo "$name" >> "$root/modules"
    done
done
[ -d "$modules" ] || { echo "$modules does not exist" >&2; exit 1; }
mv "$root/labtc/labtc.ko" "$root/lib/modules/"
echo labtc.ko >> "$root/modules"
rm -rf "$root/labtc" "$root/make.log"

for program in tc ip; do
    path=$(readlink -f "$(command -v "$program")")
    cp "$path" "$root/bin/$program"
    ldd "$path" | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
done
gcc -O1 -Wall -Wextra -static -o "$root/bin/guest-bridge" "$here/guest-bridge.c"
cat > "$root/init" << 'INIT'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t debugfs debug /sys/kernel/debug
while read -r module; do insmod "/lib/modules/$module" || echo "insmod $module failed"; done < /modules
while ! [ -e /dev/vport0p1 ]; do sleep 0.1; done
guest-bridge /dev/vport0p1
poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . -print0 | cpio --null -o -H newc --quiet) > "$out/initrd.new"
mv "$out/initrd.new" "$out/initrd"
cp "/boot/vmlinuz-$version" "$out/vmlinuz"
