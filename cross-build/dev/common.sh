# shellcheck shell=bash
# What ./dev and its scripts share; sourced after DPU_ROOT is set. Every external step has a time limit.

# One configuration for all verbs, so that each finds what another built.
DPU_CONFIGURATION=Release
DPU_BIN=$DPU_ROOT/artifacts/bin
DPU_PACKAGE_LIST=$DPU_ROOT/cross-build/debian-packages.txt

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1
export DOTNET_CLI_UI_LANGUAGE=en TESTINGPLATFORM_TELEMETRY_OPTOUT=1
# Build nodes that stay behind for reuse would be processes left over.
export MSBUILDDISABLENODEREUSE=1

say() { printf '%s\n' "$*"; }

# die CODE MESSAGE
die() {
    printf 'dev: %s\n' "$2" >&2
    exit "$1"
}

need_root() {
    [ "$(id -u)" -eq 0 ] || die 1 "'$1' needs root (mounts and namespaces): run 'sudo ./dev $1'"
}

need_dotnet() {
    local version
    command -v dotnet >/dev/null || die 1 "the .NET SDK 10 is not installed, or not on PATH: see https://dotnet.microsoft.com/download"
    # Outside the repository: global.json there would turn a wrong version into a longer error.
    version=$(cd / && timeout 60 dotnet --version) || die 1 "'dotnet --version' failed: is the .NET SDK (not only the runtime) installed?"
    # Programs of the build find the runtime by this where it is in no standard place.
    export DOTNET_ROOT=${DOTNET_ROOT:-$(dirname "$(readlink -f "$(command -v dotnet)")")}
    [ "${version%%.*}" -ge 10 ] 2>/dev/null || die 1 "the .NET SDK is $version; 10.0 or later is needed: see https://dotnet.microsoft.com/download"
}

# quietly NAME SECONDS COMMAND…: shows the command's output only where it fails.
quietly() {
    local name=$1 limit=$2 log status=0
    shift 2
    log=$(mktemp)
    timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1 </dev/null || status=$?
    if [ "$status" -ne 0 ]; then
        cat "$log" >&2
        rm -f -- "$log"
        [ "$status" -ne 124 ] || die 1 "$name took more than $limit s"
        die 1 "$name failed (exit code $status)"
    fi
    rm -f -- "$log"
}

# packages_of GROUP…: the packages of the list that any of the groups needs.
packages_of() {
    awk -v groups="$*" '
        BEGIN { n = split(groups, wanted, " ") }
        { sub(/#.*/, "") }
        NF >= 2 { for (i = 1; i <= n; i++) if (("," $2 ",") ~ ("," wanted[i] ",")) { print $1; next } }' "$DPU_PACKAGE_LIST"
}

# A package is there where dpkg says so, or where every program that we want of it is found: node from elsewhere, say,
# brings npm and conflicts with Debian's.
missing_packages() {
    local package commands
    for package in $(packages_of "$@"); do
        # A name with '*' is there if any package that it matches is.
        ! dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || continue
        commands=$(awk -v package="$package" '{ sub(/#.*/, "") } $1 == package && $3 != "-" { print $3 }' "$DPU_PACKAGE_LIST")
        if [ -z "$commands" ] || ! have_commands "${commands//,/ }"; then
            printf '%s\n' "$package"
        fi
    done
}

have_commands() {
    local command
    for command in $1; do
        PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "$command" >/dev/null || return 1
    done
}

# install_packages GROUP…: installs what is missing; asks the network for nothing where all is there.
install_packages() {
    local missing
    if ! command -v dpkg-query >/dev/null; then
        say "dev: not a Debian system: the packages of $DPU_PACKAGE_LIST (groups: $*) must be there under their local names" >&2
        return
    fi
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    missing=$(tr '\n' ' ' <<<"$missing")
    if [ "$(id -u)" -ne 0 ]; then
        die 1 "packages are missing; as root: apt-get install ${missing% }"
    fi
    say "installing ${missing% } …"
    # Words are wanted: a package each.
    # shellcheck disable=SC2086
    quietly "apt-get install" 1200 bash -c "$(declare -f apt_install newest_packages keep_services_down); apt_install \"\$@\"" apt_install $missing
}

apt_install() {
    local options=(-q -y --no-install-recommends -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o DPkg::Lock::Timeout=300)
    export DEBIAN_FRONTEND=noninteractive
    keep_services_down
    # The lists may be old or absent: fetch them and try again.
    local packages
    mapfile -t packages < <(newest_packages "$@")
    if ! timeout 500 apt-get "${options[@]}" install "${packages[@]}"; then
        timeout 300 apt-get -q -o Acquire::Retries=3 -o Acquire::http::Timeout=30 update
        mapfile -t packages < <(newest_packages "$@")
        timeout 800 apt-get "${options[@]}" install "${packages[@]}"
    fi
}

# newest_packages NAME…: the names; for one with '*', whose version part moves with the archive, the newest that it matches.
newest_packages() {
    local name candidate newest
    for name in "$@"; do
        newest=$name
        if [[ $name == *'*'* ]]; then
            while read -r candidate; do
                # The right side is a pattern on purpose.
                # shellcheck disable=SC2053
                if [[ $candidate == $name ]]; then newest=$candidate; fi
            done < <(apt-cache pkgnames "${name%%\**}" | sort -V)
        fi
        printf '%s\n' "$newest"
    done
}

# A server's package (sshd, for a benchmark's peer) starts its service unless policy-rc.d says 101 (forbidden).
keep_services_down() {
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        # The path is wanted now, at the end of this shell.
        # shellcheck disable=SC2064
        trap "rm -f '$policy'" EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
}

# Builds are one at a time: two at once would write the same files.
build_all() {
    need_dotnet
    mkdir -p "$DPU_ROOT/artifacts"
    exec 8>"$DPU_ROOT/artifacts/.build-lock"
    timeout 900 flock 8 || die 1 "another build of this clone runs for more than 15 minutes"
    say "building …"
    # No compiler server either: it would outlive this script by minutes.
    quietly build 1500 dotnet build "$DPU_ROOT/Dpu.sln" --configuration "$DPU_CONFIGURATION" --nologo \
        --verbosity quiet -consoleLoggerParameters:NoSummary -p:UseSharedCompilation=false 8>&-
    exec 8>&-
}

program_names() { echo "dpuctl dpu-runtime dpu-host-agent dpu-bench"; }

# program NAME: the path of a program of the build.
program() {
    local project
    case $1 in
        dpuctl) project=Dpu.Ctl ;;
        dpu-runtime) project=Dpu.Runtime ;;
        dpu-host-agent) project=Dpu.HostAgent ;;
        dpu-bench) project=Dpu.Benchmarks ;;
        *) die 2 "unknown program '$1': $(program_names)" ;;
    esac
    printf '%s/%s/%s/%s\n' "$DPU_BIN" "$project" "${DPU_CONFIGURATION,,}" "$1"
}
