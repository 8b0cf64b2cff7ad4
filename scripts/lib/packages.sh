# shellcheck shell=bash
# Checks the toolchain and installs missing Debian packages; sourced by the other scripts, which run from the repository's root.
#
# Nothing is installed silently: the names are printed first. As root apt-get runs directly, otherwise through sudo. With
# DOWNBEAT_NO_INSTALL=1 nothing is installed at all: what is missing is named and the script ends.

# What SwiftPM needs to fetch the dependencies.
FETCH_PACKAGES=(git ca-certificates)

# fail MESSAGE…: ends the script with one line on standard error.
fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

say() { printf '== %s\n' "$*"; }

# The C libraries, straight from Package.swift's `.apt([…])`, so that there is one list.
build_packages() {
  printf '%s\n' "${FETCH_PACKAGES[@]}"
  grep -o '\.apt(\[[^]]*\])' Package.swift | grep -o '"[^"]*"' | tr -d '"' | sort -u
}

# Ends the script unless `swift` is there and no older than Package.swift asks for.
require_swift() {
  command -v swift >/dev/null || fail "no swift in PATH. Install a Swift toolchain (https://www.swift.org/install/linux/) and put its usr/bin into PATH."
  local needed found
  needed=$(sed -n '1s/.*swift-tools-version: *\([0-9.]*\).*/\1/p' Package.swift)
  found=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
  [ -n "$found" ] || fail "swift --version does not name a version: is the toolchain complete?"
  [ "$(printf '%s\n' "$needed" "$found" | sort -V | head -n 1)" = "$needed" ] ||
    fail "swift $found is too old: this package needs $needed or newer."
}

# Which of the named packages are not installed, one a line.
missing_packages() {
  local name
  for name in "$@"; do
    # shellcheck disable=SC2016 # dpkg-query expands ${Status}
    [ "$(dpkg-query -W -f='${Status}' "$name" 2>/dev/null)" = "install ok installed" ] || printf '%s\n' "$name"
  done
}

# install_packages WHY NAME…: installs those that are missing.
install_packages() {
  local why=$1 missing runner=()
  shift
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    fail "this is not Debian (no apt-get). Install what these Debian packages hold by your system's means, then run the commands of this script by hand: $*"
  fi
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  # shellcheck disable=SC2086 # one word a package
  set -- $missing
  [ "${DOWNBEAT_NO_INSTALL:-0}" != 1 ] || fail "missing packages: $*  (DOWNBEAT_NO_INSTALL=1 forbids installing them)"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "missing packages: $*  Install them as root: apt-get install $*"
    sudo -n true 2>/dev/null || [ -t 0 ] || fail "missing packages: $*  sudo wants a password and there is no terminal. As root: apt-get install $*"
    runner=(sudo)
  fi
  say "installing what $why: $*"
  "${runner[@]}" apt-get update -q -o DPkg::Lock::Timeout=300
  "${runner[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

# The S3 server of the tests: moto, from PyPI, in an environment of its own below .build.
MOTO_VERSION=5.1.22
make_moto() {
  local home=.build/moto
  [ "$(cat "$home/version" 2>/dev/null)" != "$MOTO_VERSION" ] || return 0
  [ "${DOWNBEAT_NO_INSTALL:-0}" != 1 ] || fail "missing: moto $MOTO_VERSION in $home  (DOWNBEAT_NO_INSTALL=1 forbids installing it)"
  say "installing moto $MOTO_VERSION (an S3 server for the tests) from PyPI into $home"
  rm -rf "$home"
  python3 -m venv "$home"
  "$home/bin/pip" install -q --disable-pip-version-check "moto[s3,server]==$MOTO_VERSION"
  printf '%s' "$MOTO_VERSION" >"$home/version"
}
