#!/usr/bin/env bash
# A DPU made of namespaces: its own mount, network, pid and UTS namespaces on this machine, joined to it by a veth pair.
# Used by ./dev up and by the end-to-end tests. State is kept in a folder of the caller's.
#
#   dpu-namespace.sh create DIR [HIDDEN…]      makes it; HIDDEN folders of this machine are empty inside
#   dpu-namespace.sh run DIR COMMAND…          runs a command inside, in the foreground
#   dpu-namespace.sh start DIR NAME COMMAND…   runs one inside in the background; output in DIR/NAME.log
#   dpu-namespace.sh stop DIR NAME [SECONDS]   ends that one: TERM, a bounded wait, KILL; prints how it ended
#   dpu-namespace.sh pid DIR [NAME]            process id, as this machine counts, of its init or of a started command
#   dpu-namespace.sh address DIR host|dpu      the address of either end of the veth pair
#   dpu-namespace.sh destroy DIR               ends all of it, and fails where something is left
#
# Inside, /run and /mnt are fresh (so /run/dpu and mount targets are the DPU's own) and mounts propagate nowhere.
set -euo pipefail

HERE=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source=tests/lab/leftovers.sh
. "$HERE/leftovers.sh"

fail() {
    printf 'dpu-namespace: %s\n' "$1" >&2
    exit 1
}

child_of() { # the first child of a process
    local children=''
    # The file ends without a newline, which 'read' reports as a failure.
    { read -r children _ <"/proc/$1/task/$1/children" || true; } 2>/dev/null
    [ -n "$children" ] && printf '%s\n' "$children"
}

init_pid() { cat "$1/init.pid" 2>/dev/null || fail "there is no DPU in '$1': create it first"; }

gone() { [ ! -d "/proc/$1" ] || [ "$(awk '/^State:/ { print $2 }' "/proc/$1/status" 2>/dev/null)" = Z ]; }

# The init of the DPU: sets its world up, says so, and then reaps orphans until it is killed.
init_script() {
    cat <<'SCRIPT'
set -eu
dir=$1
shift
hostname dpu
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /mnt
for hidden in "$@"; do
    mount -t tmpfs -o mode=555,ro,nosuid,nodev tmpfs "$hidden"
done
ip link set lo up
: >"$dir/init.ready"
trap : TERM INT HUP
while :; do
    sleep 3600 &
    wait || :
done
SCRIPT
}

# subnet_is_free SUBNET: no route but a default one leads into it or lies inside. Machines do use the documentation
# ranges, and taking the address of one's own gateway would cut the machine off.
subnet_is_free() {
    local routes
    routes=$({ ip -4 route show table all match "$1" && ip -4 route show table all root "$1"; } 2>/dev/null) || return 1
    ! grep -qvE '^default |^$' <<<"$routes"
}

# A free subnet of the documentation ranges (RFC 5737): interface dpuN belongs to subnet N, and the kernel refuses a
# second dpuN, so two runs at once cannot take the same.
join_network() {
    local dir=$1 init=$2 n base last
    for n in $(seq 0 191); do
        case $((n / 64)) in
            0) base=192.0.2 ;;
            1) base=198.51.100 ;;
            *) base=203.0.113 ;;
        esac
        last=$((n % 64 * 4))
        subnet_is_free "$base.$last/30" || continue
        if ip link add "dpu$n" type veth peer name link0 netns "$init" 2>"$dir/ip.err"; then
            printf '%s\n' "dpu$n" >"$dir/interface"
            printf '%s\n' "$base.$((last + 1))" >"$dir/address.host"
            printf '%s\n' "$base.$((last + 2))" >"$dir/address.dpu"
            ip addr add "$base.$((last + 1))/30" dev "dpu$n"
            ip link set "dpu$n" up
            nsenter --target "$init" --net -- ip addr add "$base.$((last + 2))/30" dev link0
            nsenter --target "$init" --net -- ip link set link0 up
            return
        fi
        grep -q 'File exists' "$dir/ip.err" || fail "cannot make a veth pair: $(cat "$dir/ip.err") (root and a kernel with veth are needed)"
    done
    fail "all 192 test subnets are taken: are there left-over interfaces dpu*? ('ip link delete dpuN')"
}

create() {
    local dir=$1 unshare_pid
    shift
    mkdir -p "$dir"
    [ ! -e "$dir/init.pid" ] || fail "'$dir' has a DPU already"
    init_script >"$dir/init.sh"
    # stdin and the rest closed: a caller that waits for our pipes to end must not wait for the DPU.
    setsid unshare --mount --net --uts --pid --fork --mount-proc --propagation private --kill-child \
        bash "$dir/init.sh" "$dir" "$@" >"$dir/init.log" 2>&1 </dev/null &
    unshare_pid=$!
    printf '%s\n' "$unshare_pid" >"$dir/unshare.pid"
    init_is_ready() { [ -e "$dir/init.ready" ] || gone "$unshare_pid"; }
    await 20 init_is_ready || fail "the DPU's namespaces were not ready in 20 s"
    [ -e "$dir/init.ready" ] || fail "cannot make the DPU's namespaces: $(cat "$dir/init.log")"
    child_of "$unshare_pid" >"$dir/init.pid" || fail "the DPU's init has ended: $(cat "$dir/init.log")"
    join_network "$dir" "$(cat "$dir/init.pid")"
}

# enter INIT PREFIX COMMAND…: becomes the command, inside; PREFIX is 'setsid' or 'env'. Forks nothing itself.
enter() {
    local init=$1 prefix=$2
    shift 2
    exec "$prefix" nsenter --target "$init" --mount --net --uts --pid --wdns=/ -- "$@"
}

start() {
    local dir=$1 name=$2 init outer
    shift 2
    init=$(init_pid "$dir")
    # Its own session: Ctrl-C at the terminal is for our caller, who then ends this in order.
    (enter "$init" setsid "$@") >"$dir/$name.log" 2>&1 </dev/null &
    outer=$!
    # nsenter forks to enter the pid namespace: its child is the command.
    has_child() { child_of "$outer" >"$dir/$name.pid" || gone "$outer"; }
    await 10 has_child || fail "'$1' did not start in 10 s"
    [ -s "$dir/$name.pid" ] || fail "'$1' ended at once: $(cat "$dir/$name.log")"
}

stop() {
    local dir=$1 name=$2 seconds=${3:-15} pid
    [ -s "$dir/$name.pid" ] || return 0
    pid=$(cat "$dir/$name.pid")
    rm -f "$dir/$name.pid"
    gone "$pid" && { echo "had ended"; return 0; }
    kill -TERM "$pid" 2>/dev/null || true
    if await "$seconds" gone "$pid"; then
        echo "ended by itself"
    else
        kill -KILL "$pid" 2>/dev/null || true
        await 5 gone "$pid" || fail "$name ($pid) cannot be killed"
        echo "had to be killed after $seconds s"
        return 1
    fi
}

destroy() {
    local dir=$1 file name init interface status=0
    for file in "$dir"/*.pid; do
        name=$(basename "$file" .pid)
        case $name in
            init | unshare | '*') ;;
            *) stop "$dir" "$name" 10 >/dev/null || status=1 ;;
        esac
    done
    if [ -s "$dir/init.pid" ]; then
        init=$(cat "$dir/init.pid")
        # The kernel kills every process of the namespace with its init, and the mounts go with the last of them.
        kill -KILL "$init" 2>/dev/null || true
        await 10 gone "$init" || { echo "dpu-namespace: init $init cannot be killed" >&2; status=1; }
        rm -f "$dir/init.pid"
    fi
    if [ -s "$dir/unshare.pid" ]; then
        await 5 gone "$(cat "$dir/unshare.pid")" || kill -KILL "$(cat "$dir/unshare.pid")" 2>/dev/null || true
        rm -f "$dir/unshare.pid"
    fi
    if [ -s "$dir/interface" ]; then
        interface=$(cat "$dir/interface")
        # Goes by itself with the network namespace, but a moment later.
        ip link delete "$interface" 2>/dev/null || true
        no_interface() { ! ip link show "$interface" >/dev/null 2>&1; }
        await 10 no_interface || { echo "dpu-namespace: interface $interface is left" >&2; status=1; }
        rm -f "$dir/interface" "$dir"/address.*
    fi
    return "$status"
}

[ $# -ge 2 ] || fail "usage: create|run|start|stop|pid|address|destroy DIR …"
verb=$1
dir=$(readlink -m "$2")
shift 2
case $verb in
    create) create "$dir" "$@" ;;
    run)
        init=$(init_pid "$dir")
        enter "$init" env "$@"
        ;;
    start) start "$dir" "$@" ;;
    stop) stop "$dir" "$@" ;;
    pid) cat "$dir/${1:-init}.pid" ;;
    address) cat "$dir/address.$1" ;;
    destroy) destroy "$dir" ;;
    *) fail "unknown verb '$verb'" ;;
esac
