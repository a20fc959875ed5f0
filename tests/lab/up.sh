#!/usr/bin/env bash
# The tour of './dev up [--once]': a host and a DPU on this machine, a host folder mounted on the DPU, and a look at it
# from both sides. The host agent runs in this machine's namespaces, the runtime in a DPU of its own (dpu-namespace.sh).
# Everything lives below one temporary folder and is gone at the end, however it ends; the last lines say so.
set -euo pipefail

LAB=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
DPU_ROOT=${DPU_ROOT:-$(cd "$LAB/../.." && pwd)}
# shellcheck source=cross-build/dev/common.sh
. "$DPU_ROOT/cross-build/dev/common.sh"
# shellcheck source=tests/lab/leftovers.sh
. "$LAB/leftovers.sh"

once=no
case ${1:-} in
    '') ;;
    --once) once=yes ;;
    *) die 2 "up knows --once only" ;;
esac

need_dotnet
dpuctl=$(program dpuctl)
work=$(mktemp -d "${TMPDIR:-/tmp}/dpu-up.XXXXXX")
host=$work/host
dpu=$work/dpu
pki=$work/pki
space=$work/namespaces
# Marks every process that we start, so that what is left can be found.
export DPU_LAB=$work
agent_pid=''
steps=0

# --- the end ---------------------------------------------------------------------------------------------------------
cleanup() {
    local status=$? left=''
    trap '' INT TERM HUP
    trap - EXIT ERR
    set +e
    if [ "$status" -ne 0 ] && [ "$status" -ne 130 ]; then
        show_log "host agent" "$host/agent.log"
        show_log "DPU runtime" "$space/runtime.log"
    fi
    echo
    echo "Cleaning up:"
    if [ -s "$space/runtime.pid" ]; then
        echo "  the DPU runtime $("$LAB/dpu-namespace.sh" stop "$space" runtime 20)"
    fi
    [ ! -d "$space" ] || "$LAB/dpu-namespace.sh" destroy "$space"
    if [ -n "$agent_pid" ]; then
        kill -TERM "$agent_pid" 2>/dev/null
        if await 20 process_gone "$agent_pid"; then
            echo "  the host agent ended by itself"
        else
            kill -KILL "$agent_pid" 2>/dev/null
            echo "  the host agent had to be killed after 20 s"
            left+="  the host agent did not end on SIGTERM"$'\n'
        fi
    fi
    end_processes "$work" 5
    while read -r mount; do
        umount -l "$(printf '%b' "${mount//\\/\\0}")" && left+="  the mount $mount (now detached)"$'\n'
    done < <(mounts_below "$work" | tac)
    [ -n "$(mounts_below "$work")" ] || rm -rf --one-file-system -- "$work"

    # Now look again, at the machine and not at what the steps above said.
    for pid in $(processes_of "$work"); do left+="  the process $(describe_process "$pid")"$'\n'; done
    left+=$(mounts_below "$work" | sed 's/^/  the mount /')
    left+=$(comm -13 <(printf '%s\n' "$interfaces_before") <(lab_interfaces) | grep -xF "${interface:-none}" | sed 's/^/  the interface /')
    [ ! -e "$work" ] || left+="  the folder $work"
    if [ -n "$left" ]; then
        printf 'LEFT BEHIND:\n%s\n' "$left"
        [ "$status" -ne 0 ] || status=1
    else
        echo "  nothing is left: no mount, namespace, process, network interface or file"
    fi
    exit "$status"
}
process_gone() { ! kill -0 "$1" 2>/dev/null; }
show_log() {
    if [ -s "$2" ]; then
        printf '\n--- the last lines of the %s:\n' "$1"
        tail -n 25 "$2"
    fi
}
interfaces_before=$(lab_interfaces)
interface=''
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# --- telling and doing -----------------------------------------------------------------------------------------------
# step SENTENCE COMMAND…: one sentence and how it went; a failure shows the output and ends the tour.
step() {
    local sentence=$1 output status=0
    shift
    steps=$((steps + 1))
    printf '  %-88s ' "$sentence"
    # Not '|| status=$?': that would switch 'set -e' off inside, and a step would go on after its first failure.
    set +e
    output=$(set -e; "$@" 2>&1)
    status=$?
    set -e
    if [ "$status" -ne 0 ]; then
        printf 'FAILED (%s)\n%s\n' "$status" "$output"
        exit 1
    fi
    echo ok
}
# Inside the DPU, with a time limit.
on_dpu() { timeout --kill-after=5 120 "$LAB/dpu-namespace.sh" run "$space" "$@"; }
refused() { # refused EXIT-CODE COMMAND…: by this exit code, as any other failure is no refusal
    local wanted=$1 status=0
    shift
    "$@" || status=$?
    [ "$status" = "$wanted" ] || { echo "expected exit code $wanted, got $status"; return 1; }
}
show() { sed 's/^/    /'; }
fingerprint() { # of all files below a folder, names and content
    # The inner shell expands it.
    # shellcheck disable=SC2016
    local script='cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum'
    if [ "$1" = host ]; then bash -c "$script" - "$2"; else on_dpu bash -c "$script" - "$2"; fi
}
same_fingerprint() {
    local there here
    there=$(fingerprint host "$1")
    here=$(fingerprint dpu "$2")
    [ "$there" = "$here" ] || { echo "host: $there, DPU: $here"; return 1; }
}
is() { # is EXPECTED COMMAND…
    local expected=$1 got
    shift
    got=$("$@")
    [ "$got" = "$expected" ] || { echo "expected '$expected', got '$got'"; return 1; }
}
until_ready() { # until_ready SECONDS WHAT COMMAND…; ends early where a daemon has died
    local seconds=$1 what=$2 deadline=$((SECONDS + $1))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if process_gone "$agent_pid"; then echo "the host agent has ended"; return 1; fi
        if [ -s "$space/runtime.pid" ] && process_gone "$(cat "$space/runtime.pid")"; then echo "the DPU runtime has ended"; return 1; fi
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "$what: not within $seconds s; the last answer:"
            "$@" || true
            return 1
        fi
        sleep 0.2
    done
}

# --- the two machines ------------------------------------------------------------------------------------------------
make_host_files() {
    mkdir -p "$host/files" "$host/reference" "$host/private"
    cp -r "$DPU_ROOT/proto" "$DPU_ROOT/qtfs-bridge" "$host/files/"
    head -c 16777216 /dev/urandom >"$host/files/random.bin"
    cp "$DPU_ROOT/README.md" "$DPU_ROOT/LICENSE" "$host/reference/"
    echo "not for the DPU" >"$host/private/secret"
}
make_certificates() {
    "$dpuctl" pki init --dir "$pki"
    "$dpuctl" pki issue host host1 --dir "$pki"
    "$dpuctl" pki issue dpu dpu1 --dir "$pki"
    mkdir -m 700 "$host/pki" "$dpu/pki"
    cp -p "$pki/ca.crt" "$pki/host1.crt" "$pki/host1.key" "$host/pki/"
    cp -p "$pki/ca.crt" "$pki/dpu1.crt" "$pki/dpu1.key" "$dpu/pki/"
    [ "$(stat -c %a "$host/pki/host1.key")" = 600 ]
}
make_dpu() {
    # What is the host's, and the authority's key, does not exist on the DPU.
    "$LAB/dpu-namespace.sh" create "$space" "$host" "$pki"
}
write_configuration() {
    cat >"$host/host-agent.json" <<JSON
{
  // The host listens on its end of the cable to the DPU, and nowhere else.
  "listen": ["tcp://$host_address:7443"],
  "tls": { "certificate": "$host/pki/host1.crt", "key": "$host/pki/host1.key", "authority": "$host/pki/ca.crt" },
  "peers": [{ "name": "dpu1" }],
  "exports": [
    // Both ends are root in this tour; the default squashes the DPU's root to nobody.
    { "name": "files", "path": "$host/files", "peers": ["dpu1"], "access": "read-write", "squash": "none" },
    { "name": "reference", "path": "$host/reference", "peers": ["dpu1"] }
  ],
  "control": { "socket": "$host/agent.sock" }
}
JSON
    cat >"$dpu/runtime.json" <<JSON
{
  "tls": { "certificate": "$dpu/pki/dpu1.crt", "key": "$dpu/pki/dpu1.key", "authority": "$dpu/pki/ca.crt" },
  "hosts": [{ "name": "host1", "endpoint": "tcp://$host_address:7443" }],
  // A mount of the configuration; the tour adds another with 'dpuctl mount'.
  "mounts": [{ "host": "host1", "export": "reference", "target": "/mnt/reference", "readOnly": true }],
  "control": { "socket": "/run/dpu/runtime.sock" }
}
JSON
}
start_runtime() {
    on_dpu mkdir -p /mnt/reference /mnt/files /mnt/private
    "$LAB/dpu-namespace.sh" start "$space" runtime "$(program dpu-runtime)" --config "$dpu/runtime.json"
}

mkdir -p "$host" "$dpu"
echo
echo "Starting a host and a DPU on this machine, below $work:"
step "a host folder with real files (this repository's sources and 16 MiB of noise)" make_host_files
step "freshly issued certificates for both (dpuctl pki init, pki issue)" make_certificates
step "a DPU: its own mount, network, pid and host-name namespaces and a cable to the host" make_dpu
interface=$(cat "$space/interface")
host_address=$("$LAB/dpu-namespace.sh" address "$space" host)
step "a configuration for both" write_configuration
step "the host agent finds its configuration good (--check-config)" \
    timeout 30 "$(program dpu-host-agent)" --config "$host/host-agent.json" --check-config
step "the DPU runtime finds its configuration good (--check-config)" \
    timeout 30 "$(program dpu-runtime)" --config "$dpu/runtime.json" --check-config
setsid "$(program dpu-host-agent)" --config "$host/host-agent.json" >"$host/agent.log" 2>&1 </dev/null &
agent_pid=$!
step "dpu-host-agent listens on $host_address in this machine's namespaces" \
    until_ready 30 "dpuctl health" "$dpuctl" --socket "$host/agent.sock" health
step "dpu-runtime runs on the DPU" start_runtime
step "dpuctl reaches it" until_ready 30 "dpuctl status" on_dpu "$dpuctl" status
step "the mount of its configuration is there: host1:reference on /mnt/reference" \
    until_ready 30 "the mount" on_dpu grep -q ' /mnt/reference ' /proc/self/mountinfo
step "dpuctl mount host1:files /mnt/files" on_dpu "$dpuctl" mount host1:files /mnt/files

echo
echo "On the DPU, 'dpuctl status' says:"
on_dpu "$dpuctl" status | show

# --- the tour --------------------------------------------------------------------------------------------------------
files=$(find "$host/files" -type f | wc -l)
echo
echo "The DPU looks at the host's files, and the host at the DPU's work:"
step "the DPU lists the host's $files files" is "$files" on_dpu bash -c 'find /mnt/files -type f | wc -l'
step "every one of them reads the same at both ends (SHA-256)" same_fingerprint "$host/files" /mnt/files
step_write() { on_dpu bash -c 'echo "hello from the DPU" >/mnt/files/hello' && is "hello from the DPU" cat "$host/files/hello"; }
step "the DPU writes a file, the host reads it" step_write
step_append() { on_dpu bash -c 'echo "a second line" >>/mnt/files/hello' && is 2 grep -c '' "$host/files/hello"; }
step "the DPU appends to it, the host sees both lines" step_append
step_host_write() { echo "hello from the host" >"$host/files/answer" && is "hello from the host" on_dpu cat /mnt/files/answer; }
step "the host writes a file, the DPU reads it" step_host_write
step_mkdir() { on_dpu mkdir -p /mnt/files/made/deep && [ -d "$host/files/made/deep" ]; }
step "the DPU makes folders, the host has them" step_mkdir
step_rename() { on_dpu mv /mnt/files/hello /mnt/files/made/deep/renamed && [ -s "$host/files/made/deep/renamed" ] && [ ! -e "$host/files/hello" ]; }
step "the DPU moves the file there, the host sees it moved" step_rename
step_link() { on_dpu ln -s deep/renamed /mnt/files/made/link && is deep/renamed readlink "$host/files/made/link"; }
step "the DPU makes a symbolic link, the host reads its target" step_link
step_mode() { on_dpu chmod 640 /mnt/files/made/deep/renamed && is 640 stat -c %a "$host/files/made/deep/renamed"; }
step "the DPU changes a mode, the host sees it" step_mode
# The inner shells expand these.
# shellcheck disable=SC2016
step_many() { on_dpu bash -c 'mkdir /mnt/files/many && cd /mnt/files/many && for i in {1..1000}; do echo "$i" >"file$i"; done' && is 1000 bash -c 'ls "$1" | wc -l' - "$host/files/many"; }
step "the DPU makes 1,000 files, the host counts them" step_many
step "the whole tree still reads the same at both ends (SHA-256)" same_fingerprint "$host/files" /mnt/files
step_remove() { on_dpu rm -r /mnt/files/many && [ ! -e "$host/files/many" ]; }
step "the DPU removes them, and they are gone on the host" step_remove

echo
echo "And what the host's policy forbids:"
step "writing to the read-only export is refused" refused 1 on_dpu touch /mnt/reference/x
step "mounting a folder that is not exported is refused" refused 4 on_dpu "$dpuctl" mount "host1:$host/private" /mnt/private
step "the host's own folder is not there on the DPU, except through the link" refused 1 on_dpu test -e "$host/private/secret"

echo
echo "On the DPU, 'dpuctl mounts' says:"
on_dpu "$dpuctl" mounts | show
if [ "$once" = no ]; then
    cat <<TEXT

All $steps steps went well, and it goes on running. Look around (as root) until you press Ctrl-C here:
  a shell on the DPU      '$LAB/dpu-namespace.sh' run '$space' bash
  dpuctl on the DPU       '$LAB/dpu-namespace.sh' run '$space' '$dpuctl' status
  the host's files        $host/files   (on the DPU: /mnt/files)
  the logs                $host/agent.log  $space/runtime.log
TEXT
    sleep infinity &
    wait $! || true
    exit 0
fi
step "dpuctl umount takes /mnt/files away" on_dpu "$dpuctl" umount /mnt/files
echo
echo "All $steps steps went well."
