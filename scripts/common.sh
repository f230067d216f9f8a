# shellcheck shell=bash
# common.sh - what the scripts share: how they speak, where they are, whom they have started.
# Sourced, never run. Standard output is left to the caller: words go to standard error.

# shellcheck disable=SC2034 # for those who source this
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# HAProxy and nginx stand where Debian lets only root look.
case ":$PATH:" in *:/usr/sbin:*) ;; *) PATH=$PATH:/usr/sbin ;; esac

if [ -t 2 ] && [ -z "${NO_COLOR-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' plain=$'\e[0m'
else
    # shellcheck disable=SC2034 # each script takes the colours it wants
    bold='' dim='' red='' green='' yellow='' plain=''
fi

say() { printf '%s\n' "${bold}${0##*/}:${plain} $*" >&2; }
warn() { printf '%s\n' "${bold}${0##*/}:${plain} ${yellow}$*${plain}" >&2; }
die() {
    printf '%s\n' "${bold}${0##*/}:${plain} ${red}$*${plain}" >&2
    exit 1
}

# Elsewhere the packages are called otherwise, the build stops, and the shell may be an old one.
need_linux() {
    [ "$(uname -s)" = Linux ] || die "Weir is built for Linux, and this is $(uname -s)." \
        "It runs here in a container: docs/macos.md says how."
}

# The comment at a script's head is its help: one text, so the two cannot differ.
show_help() { sed -n '2,/^[^#]/{/^#/!q; s/^# \{0,1\}//; p}' "$0"; }

# version_at_least HAVE WANT: both like 7.0.15
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# llvm_tool NAME: prints the program of the version that .clang-format and .clang-tidy are written
# for (Debian 12); others lay out some lines differently and find other things. Fails without one.
llvm_version=14
llvm_tool() {
    local program
    for program in "$1-$llvm_version" "$1"; do
        if command -v "$program" >/dev/null && "$program" --version |
            grep -q "version $llvm_version\."; then
            echo "$program"
            return
        fi
    done
    return 1
}

# stop_process PID [SECONDS [SIGNAL]]: ask it to end, wait, and only then insist. Fine if it has
# gone.
stop_process() {
    local pid=$1 tenths=$((${2:-10} * 10))
    kill "-${3:-TERM}" "$pid" 2>/dev/null || return 0
    while [ "$tenths" -gt 0 ] && kill -0 "$pid" 2>/dev/null; do
        sleep 0.1
        tenths=$((tenths - 1))
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}
