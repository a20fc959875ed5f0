#!/usr/bin/env bash
# Builds the programs in C (qtfs-bridge/native) into FOLDER: './cross-build/native.sh x64|arm64 FOLDER'.
set -euo pipefail

die() {
    printf 'native: %s\n' "$1" >&2
    exit 2
}

ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
[ $# -eq 2 ] || die "usage: native.sh x64|arm64 FOLDER"
case $1 in
    x64) compiler=x86_64-linux-gnu-gcc package=gcc ;;
    arm64) compiler=aarch64-linux-gnu-gcc package=gcc-aarch64-linux-gnu ;;
    *) die "'$1' is no architecture: x64 or arm64" ;;
esac
command -v "$compiler" >/dev/null || die "'$compiler' is missing: install $package"
version=$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' "$ROOT/Directory.Build.props")
[ -n "$version" ] || die "Directory.Build.props has no Version"

# build PROGRAM LINKED SOURCE…
build() {
    local program=$1 linked=$2
    shift 2
    timeout 120 "$compiler" -std=gnu17 -O2 -g -Wall -Wextra -Werror -fstack-protector-strong -D_FORTIFY_SOURCE=2 "$linked" -fPIE -Wl,-z,relro,-z,now \
        -DKEEPER_PROGRAM_VERSION="\"$version\"" -pthread -o "$program" "$@"
}

mkdir -p "$2"
build "$2/dpu-keeper" -pie "$ROOT"/qtfs-bridge/native/{keeper,held,runs,requests}.c
build "$2/dpu-teller" -pie "$ROOT"/qtfs-bridge/native/teller.c
build "$2/dpu-binder" -pie "$ROOT"/qtfs-bridge/native/binder.c
build "$2/dpu-finder" -pie "$ROOT"/qtfs-bridge/native/finder.c
# One for each program that runs: small, started without a loader, and the stub in whatever root its parent has chosen.
build "$2/dpu-launch" -static-pie "$ROOT"/qtfs-bridge/native/{launch,jobs}.c
build "$2/dpu-stub" -static-pie "$ROOT"/qtfs-bridge/native/{stub,gather,standin,terminal,die}.c
# As small: they stay as long as a view, and as a daemon in it.
build "$2/dpu-view" -static-pie "$ROOT"/qtfs-bridge/native/view.c
build "$2/dpu-run" -static-pie "$ROOT"/qtfs-bridge/native/run.c
