# shellcheck shell=bash
# Finds what a run left on this machine. Everything that a run starts carries DPU_LAB=ID in its environment and works
# below the run's folder, so what is left can be told from what belongs to others. Sourced.

# processes_of ID: process ids whose environment holds DPU_LAB=ID, but for this shell's own children in flight.
processes_of() {
    local id=$1 folder pid
    for folder in /proc/[0-9]*; do
        pid=${folder#/proc/}
        case $pid in "$$" | "$BASHPID") continue ;; esac
        if { tr '\0' '\n' <"$folder/environ" | grep -qxF "DPU_LAB=$id"; } 2>/dev/null; then
            # A zombie is its parent's to reap, and holds nothing.
            case $(awk '/^State:/ { print $2 }' "$folder/status" 2>/dev/null) in
                Z | '') ;;
                *) printf '%s\n' "$pid" ;;
            esac
        fi
    done
}

# describe_process PID
describe_process() {
    printf '%s %s\n' "$1" "$(tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null)"
}

# mounts_below FOLDER: mount targets at or below a folder, deepest last.
mounts_below() {
    local folder
    # mountinfo escapes a space as \040.
    folder=${1//\\/\\134}
    folder=${folder// /\\040}
    folder="$folder" awk '{ t = $5; f = ENVIRON["folder"]; if (t == f || index(t, f "/") == 1) print t }' /proc/self/mountinfo
}

# fuse_mounts, lab_interfaces: to compare before and after.
fuse_mounts() { awk '{ for (i = 7; i <= NF; i++) if ($i == "-") { if ($(i + 1) ~ /^fuse/ && $(i + 1) != "fusectl") print $5; break } }' /proc/self/mountinfo | sort; }
lab_interfaces() { ip -o link show 2>/dev/null | awk -F': ' '$2 ~ /^dpu[0-9]+(@|$)/ { sub(/@.*/, "", $2); print $2 }' | sort; }

# end_processes ID SECONDS: TERM, a bounded wait, KILL.
end_processes() {
    local id=$1 seconds=$2 pids pid
    pids=$(processes_of "$id")
    [ -n "$pids" ] || return 0
    for pid in $pids; do kill -TERM "$pid" 2>/dev/null || true; done
    if ! await "$seconds" no_processes_of "$id"; then
        for pid in $(processes_of "$id"); do kill -KILL "$pid" 2>/dev/null || true; done
        await 5 no_processes_of "$id" || true
    fi
}
no_processes_of() { [ -z "$(processes_of "$1")" ]; }

# await SECONDS COMMAND…: polls until the command succeeds; fails at the limit.
await() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}
