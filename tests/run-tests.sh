#!/usr/bin/env bash
# './dev test': sets up, builds, runs the test programs one after the other, each with a time limit, and judges them.
#   run-tests.sh [NAME…] [--category CATEGORY] [--no-build]     all but the long tests
#   run-tests.sh soak [NAME…]                                   the long ones, or a part: soak survival
# NAME is a test project ('Fuse', 'Dpu.Fuse.Tests'), or part of a test's full name (class, method).
# A failure is: a failed test; a program that crashes, hangs, or has no test to run; a category over its budget
# (tests/README.md); anything left behind. The last line is 'N passed, N failed, N skipped'.
set -euo pipefail

TESTS=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
DPU_ROOT=${DPU_ROOT:-$(cd "$TESTS/.." && pwd)}
# shellcheck source=cross-build/dev/common.sh
. "$DPU_ROOT/cross-build/dev/common.sh"
# shellcheck source=tests/lab/leftovers.sh
. "$TESTS/lab/leftovers.sh"

# budgets: 'category minutes' lines, from the table in README.md.
budgets() { awk -F'|' '$3 ~ /^ *[0-9]+ *$/ { gsub(/[` ]/, "", $2); print $2, $3 + 0 }' "$TESTS/README.md"; }

category='' build=yes names=()
while [ $# -gt 0 ]; do
    case $1 in
        --category) category=${2:?--category needs a name}; shift ;;
        --category=*) category=${1#*=} ;;
        --no-build) build=no ;;
        soak) category=soak ;;
        -*) die 2 "test does not know '$1' (NAME… --category CATEGORY --no-build)" ;;
        *) names+=("$1") ;;
    esac
    shift
done
if [ -n "$category" ] && ! budgets | grep -q "^$category "; then
    die 2 "unknown category '$category'; tests/README.md has: $(budgets | cut -d' ' -f1 | paste -sd' ')"
fi

need_root test
install_packages run test
[ "$build" = no ] || build_all
need_dotnet

# --- what to run -----------------------------------------------------------------------------------------------------
# A name that is a project's selects projects; any other filters by the test's full name.
projects=() filters=()
for name in ${names[@]+"${names[@]}"}; do
    for candidate in "$name" "$name.Tests" "Dpu.$name" "Dpu.$name.Tests"; do
        if [ -e "$TESTS/$candidate/$candidate.csproj" ] && [[ $candidate == *.Tests ]]; then
            projects+=("$candidate")
            continue 2
        fi
    done
    filters+=("FullyQualifiedName~$name")
done
if [ ${#projects[@]} -eq 0 ]; then
    for folder in "$TESTS"/*.Tests; do projects+=("$(basename "$folder")"); done
fi
if [ -n "$category" ]; then filter="TestCategory=$category"; else filter='TestCategory!=soak'; fi
narrow=no
if [ ${#filters[@]} -gt 0 ]; then
    narrow=yes
    filter="($filter)&($(IFS='|'; echo "${filters[*]}"))"
fi
# The longest that one program may take: the budgets of what it may run, and some.
limit=$(budgets | awk -v category="$category" '(category == "" && $1 != "soak") || $1 == category { s += $2 * 60 } END { print s + 60 }')

# --- run -------------------------------------------------------------------------------------------------------------
# Short: unix socket addresses live below it.
work=$(mktemp -d "${TMPDIR:-/tmp}/dpu-test.XXXXXX")
chmod 711 "$work" # tests act as users who must reach their files
export DPU_LAB=$work
results=$work/results
mkdir "$results" "$work/tmp"
mounts_before=$(fuse_mounts)
interfaces_before=$(lab_interfaces)
cleanup() {
    trap '' INT TERM HUP
    end_processes "$work" 5
    mounts_below "$work" | tac | while read -r mount; do umount -l "$(printf '%b' "${mount//\\/\\0}")" || true; done
    [ -n "$(mounts_below "$work")" ] || rm -rf --one-file-system -- "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

problems=() # what fails the run beside failed tests
run_program() {
    local project=$1 program status=0 log=$results/$1.log lines=$results/$1.tsv started
    program=$DPU_BIN/$project/${DPU_CONFIGURATION,,}/$project
    if [ ! -x "$program" ]; then
        problems+=("$project is not built: $program")
        return
    fi
    started=$SECONDS
    : >"$lines"
    # .NET's diagnostics sockets and pipes in the temporary folder would count as left over after a kill.
    DPU_TEST_RESULTS=$lines DPU_TEST_REPORT=$results/$1.report TMPDIR=$work/tmp DOTNET_EnableDiagnostics=0 \
        timeout --kill-after=10 "$limit" "$program" --progress off --no-ansi --ignore-exit-code 8 --filter "$filter" \
        >"$log" 2>&1 </dev/null &
    # In the background, so that Ctrl-C is served at once.
    wait $! || status=$?
    judge_program "$project" "$status" "$lines" "$log" $((SECONDS - started))
    # What tests have measured, which nobody would see where they pass.
    if [ -e "$results/$project.report" ]; then sed 's/^/    /' "$results/$project.report"; fi
    end_leftovers "$project"
}

judge_program() {
    local project=$1 status=$2 lines=$3 log=$4 seconds=$5 passed failed skipped running
    passed=$(grep -c '^passed' "$lines" || true)
    failed=$(grep -c '^failed' "$lines" || true)
    skipped=$(grep -c '^skipped' "$lines" || true)
    printf '%-28s %5d passed %4d failed %4d skipped %5d s\n' "$project" "$passed" "$failed" "$skipped" "$seconds"
    awk -F'\t' '$1 == "failed" { print "  FAILED  " $5 ": " $6 } $1 == "skipped" { print "  skipped " $5 ": " ($6 == "" ? "no reason given" : $6) }' "$lines"
    running=$(awk -F'\t' '$1 == "started" { r[$5] = 1 } $1 ~ /passed|failed|skipped/ { delete r[$5] } END { for (t in r) printf "%s%s", (n++ ? ", " : ""), t }' "$lines")
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        problems+=("$project was killed after $limit s; running: ${running:-nothing}")
    elif ! grep -q '^finished' "$lines"; then
        problems+=("$project crashed (exit code $status); running: ${running:-nothing}")
    elif [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
        problems+=("$project exited with $status though no test failed")
    elif [ $((passed + failed + skipped)) -eq 0 ] && [ "$narrow" = no ] && [ -z "$category" ]; then
        problems+=("$project ran no test")
    fi
    if [ "$failed" -ne 0 ] || [ "$status" -ne 0 ]; then
        sed 's/^/    | /' "$log" | tail -n 400
    fi
}

# What a program leaves must not spoil the next one's result: found, named and ended after each.
end_leftovers() {
    local project=$1 pid file mount interface
    for pid in $(processes_of "$work"); do problems+=("$project left the process $(describe_process "$pid")"); done
    end_processes "$work" 5
    while read -r mount; do
        [ -n "$mount" ] || continue
        problems+=("$project left the mount $mount")
        umount -l "$(printf '%b' "${mount//\\/\\0}")" || true
    done < <({ comm -13 <(printf '%s\n' "$mounts_before") <(fuse_mounts); mounts_below "$work"; } | sort -u)
    for interface in $(comm -13 <(printf '%s\n' "$interfaces_before") <(lab_interfaces)); do
        # Another run's tour on this machine may own it; ours are down with their namespaces.
        if ! ip -o link show "$interface" 2>/dev/null | grep -q LOWER_UP; then
            problems+=("$project left the interface $interface")
        fi
    done
    for file in "$work"/tmp/* "$work"/tmp/.[!.]*; do
        [ -e "$file" ] || [ -L "$file" ] || continue
        problems+=("$project left ${file#"$work/tmp/"} in the temporary folder")
        [ -n "$(mounts_below "$file")" ] || rm -rf --one-file-system -- "$file"
    done
}

for project in "${projects[@]}"; do run_program "$project"; done

# --- judge -----------------------------------------------------------------------------------------------------------
cat "$results"/*.tsv >"$work/all" 2>/dev/null || : >"$work/all"
passed=$(grep -c '^passed' "$work/all" || true)
failed=$(grep -c '^failed' "$work/all" || true)
skipped=$(grep -c '^skipped' "$work/all" || true)
if [ $((passed + failed + skipped)) -eq 0 ]; then problems+=("no test ran (names: ${names[*]:-all}, category: ${category:-all but soak})"); fi

# Tests of a program may run side by side: a category's time is the time in which any of its tests ran.
echo
awk -F'\t' '$1 ~ /^(passed|failed)$/ && $2 > 0 { print $4 "\t" $2 "\t" $3 }' "$work/all" | sort -t"$(printf '\t')" -k1,1 -k2,2n |
    awk -F'\t' '
        function close_run() { if (category != "") total[category] += end - start }
        $1 != category || $2 > end { close_run(); category = $1; start = $2; end = $3; next }
        $3 > end { end = $3 }
        END { close_run(); for (c in total) print c, total[c] }' >"$work/spent"
while read -r name minutes; do
    spent=$(awk -v name="$name" '$1 == name { print $2 }' "$work/spent")
    [ -n "$spent" ] || continue
    printf '%-8s %7.1f s of %d minutes\n' "$name" "$(awk -v ms="$spent" 'BEGIN { print ms / 1000 }')" "$minutes"
    if awk -v ms="$spent" -v minutes="$minutes" 'BEGIN { exit !(ms > minutes * 60000) }'; then
        problems+=("category $name is over its budget of $minutes minutes (tests/README.md)")
    fi
done < <(budgets)

for problem in ${problems[@]+"${problems[@]}"}; do echo "FAILED  $problem"; done
failed=$((failed + ${#problems[@]}))
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
