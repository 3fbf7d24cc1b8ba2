#!/usr/bin/env bash
# Prepares this checkout: a virtual environment in .venv with the locked packages and, for the
# tests, the system libraries of PyQt6. Running it again when nothing has changed takes a moment.
#
#   scripts/setup.sh env     the virtual environment (what `make demo` needs)
#   scripts/setup.sh test    the same and PyQt6's system libraries (what `make test` needs)
#
# PYTHON=/path/to/python chooses the interpreter, 3.11 or newer. System packages are installed
# with apt where that needs no password; otherwise the line to run is printed and this fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=.venv
PY=$VENV/bin/python
PYTHONS='python3.13 python3.12 python3.11 python3'
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

# soname, package
QT_LIBRARIES="
libglib-2.0.so.0    libglib2.0-0
libEGL.so.1         libegl1
libGL.so.1          libgl1
libdbus-1.so.3      libdbus-1-3
libfontconfig.so.1  libfontconfig1
libxkbcommon.so.0   libxkbcommon0
"
# What a real window needs besides; the tests draw offscreen unless QT_QPA_PLATFORM says xcb.
WINDOW_LIBRARIES="
libxcb-cursor.so.0      libxcb-cursor0
libxcb-icccm.so.4       libxcb-icccm4
libxcb-keysyms.so.1     libxcb-keysyms1
libxcb-shape.so.0       libxcb-shape0
libxkbcommon-x11.so.0   libxkbcommon-x11-0
"

say() { printf '%s\n' "labctl setup: $*" >&2; }

die() {
    say "$1"
    shift
    for line in "$@"; do printf '    %s\n' "$line" >&2; done
    exit 1
}

# install_packages WHY PACKAGE...
install_packages() {
    local why=$1 root=()
    shift
    local by_hand="sudo apt-get update && sudo apt-get install -y $*"
    command -v apt-get >/dev/null ||
        die "$why. This machine has no apt; install the equivalents of these Debian packages:" "$*"
    if [ "$(id -u)" -ne 0 ]; then
        { command -v sudo && sudo -n true; } >/dev/null 2>&1 ||
            die "$why. Installing it needs a password; run this line, then start again:" "$by_hand"
        root=(sudo -n)
    fi
    say "$why; installing with apt: $*"
    "${root[@]}" apt-get -qq update >&2 &&
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y -o Dpkg::Use-Pty=0 \
            --no-install-recommends "$@" >&2 ||
        die "$why, and apt could not install it. Run this line, then start again:" "$by_hand"
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

can_make_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

# Prints the first Python that is new enough, one that can make environments before one that cannot.
choose_python() {
    local candidate found=
    for candidate in ${PYTHON:-$PYTHONS}; do
        new_enough "$candidate" || continue
        if can_make_venv "$candidate"; then
            echo "$candidate"
            return
        fi
        found=${found:-$candidate}
    done
    echo "$found"
}

stamp_of() { cat "$@" | cksum; }

stamped() { [ "$(cat "$VENV/$1.stamp" 2>/dev/null)" = "$(stamp_of "${@:2}")" ]; }

venv_works() {
    [ -x "$PY" ] && [ "$("$PY" -c 'import pip, sys; print(sys.prefix)' 2>/dev/null)" = "$PWD/$VENV" ]
}

# The Python to use, found once; ends the script when there is none.
PYTHON_FOUND=
find_python() {
    PYTHON_FOUND=$(choose_python)
    [ -n "$PYTHON_FOUND" ] ||
        die "labctl needs Python 3.11 or newer, and found none (tried ${PYTHON:-$PYTHONS})." \
            "Install one, or name it: make demo PYTHON=/path/to/python3.12"
}

setup_env() {
    if ! venv_works; then
        say "making $VENV with Python $(version_of "$PYTHON_FOUND") ($(command -v "$PYTHON_FOUND"))"
        rm -rf "$VENV"
        "$PYTHON_FOUND" -m venv "$VENV"
    fi
    if ! stamped packages requirements.lock; then
        say "installing the locked packages (about 250 MB to download; minutes on a slow line)"
        "$PY" -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
        stamp_of requirements.lock >"$VENV/packages.stamp"
    fi
    if ! stamped project pyproject.toml; then
        "$PY" -m pip install --quiet --no-deps --no-build-isolation --editable .
        stamp_of pyproject.toml >"$VENV/project.stamp"
    fi
}

# Prints the packages of those libraries in the list $1 that the dynamic linker does not know.
missing_packages() {
    local known soname package
    known=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null) || return 0
    while read -r soname package; do
        [ -z "$soname" ] || [[ $known == *"$soname "* ]] || echo "$package"
    done <<<"$1"
}

needs_display() { [ "${QT_QPA_PLATFORM:-offscreen}" = xcb ]; }

# Prints the packages that Python lacks to make an environment.
venv_packages() {
    venv_works || can_make_venv "$PYTHON_FOUND" || echo "python$(version_of "$PYTHON_FOUND")-venv"
}

# Prints the packages that PyQt6 lacks.
qt_packages() {
    missing_packages "$QT_LIBRARIES"
    needs_display || return 0
    missing_packages "$WINDOW_LIBRARIES"
    [ -n "${DISPLAY:-}" ] || command -v xvfb-run >/dev/null || echo xvfb xauth
}

# require_packages PACKAGE...: those that are missing, all in one go.
require_packages() {
    [ $# -eq 0 ] || install_packages "system packages are missing" "$@"
}

check_qt() {
    local output
    output=$(QT_QPA_PLATFORM=offscreen "$PY" -c '
from PyQt6 import QtCore, QtGui, QtSvg, QtTest, QtWidgets
QtWidgets.QApplication([])' 2>&1) ||
        die "PyQt6 cannot start on this machine; the library it names is missing:" "$output" \
            "find its package with: apt-file search LIBRARY"
}

venv_works || find_python
# shellcheck disable=SC2046  # lists of package names
case ${1:-} in
    env)
        require_packages $(venv_packages)
        setup_env
        ;;
    test)
        require_packages $(venv_packages) $(qt_packages)
        setup_env
        check_qt
        ;;
    *) die "usage: scripts/setup.sh env|test" ;;
esac
