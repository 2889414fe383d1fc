# shellcheck shell=bash
# The virtual environment .venv: made, filled with the pinned packages, and left alone once that is done.
# Sourced after packages.sh by a script that has set `root`, the project's folder.

readonly venv=${root:?}/.venv

# Holds the interpreter that .venv was made with while nothing is being changed in it. An installation that was interrupted
# leaves none, and .venv is then made anew: pip takes a package of which only some files arrived for a complete one.
readonly venv_sound=$venv/.sound

# ensure_venv base|dev: .venv has what requirements/base.txt or dev.txt lists.
ensure_venv() {
  _venv_has "$1" && return
  # The lock is on a folder that is there anyway; it goes with the descriptor, also when this shell dies.
  exec 9<"$root/requirements"
  if ! flock --nonblock 9; then
    say "Waiting for another set-up of .venv to end"
    flock 9
  fi
  _venv_has "$1" || _fill_venv "$1"
  exec 9<&-
}

# The interpreter is part of the stamp: after an upgrade of the system .venv/bin/python may be another version.
_venv_stamp() {
  printf '%s %s' "$(readlink -f "$venv/bin/python")" "$(sha256sum <"$root/requirements/$1.txt")"
}

_venv_has() {
  [[ -f $venv_sound && -x $venv/bin/python && -f $venv/.installed-$1 ]] &&
    [[ $(<"$venv/.installed-$1") == "$(_venv_stamp "$1")" ]]
}

_fill_venv() {
  if [[ ! -f $venv_sound || ! -x $venv/bin/python || $(<"$venv_sound") != "$(readlink -f "$venv/bin/python")" ]]; then
    _make_venv
  fi
  say "Installing Python packages into .venv"
  local wheels
  wheels=$(mktemp -d)
  # Everything is fetched and its hash checked before anything changes, so that a lost network spoils no .venv that works.
  if ! _pip wheel --require-hashes -r "$root/requirements/$1.txt" -w "$wheels" >"$wheels/log" 2>&1; then
    tail -n 5 "$wheels/log" >&2
    rm -rf "$wheels"
    die "The Python packages could not be downloaded. Check this machine's connection (or its proxy setting), then try again."
  fi
  rm -f "$venv_sound" "$venv"/.installed-*
  if ! _pip install --no-index --no-deps "$wheels"/*.whl >"$wheels/log" 2>&1; then
    tail -n 5 "$wheels/log" >&2
    rm -rf "$wheels"
    die "The Python packages could not be installed into $venv. Is there space on the disk? Then try again."
  fi
  rm -rf "$wheels"
  # dev.txt holds every pin of base.txt.
  [[ $1 == base ]] || _venv_stamp base >"$venv/.installed-base"
  _venv_stamp "$1" >"$venv/.installed-$1"
  readlink -f "$venv/bin/python" >"$venv_sound"
}

_make_venv() {
  local python
  # Twice, as the python3 that the first installation brings may be too old, which is seen only then.
  python=$(_pick_python) || install_packages "$(_python_package)"
  python=$(_pick_python) || install_packages "$(_python_package)"
  python=$(_pick_python) || die "Python 3.11 or later with its venv module is needed. Install it, then try again."
  rm -rf "$venv"
  "$python" -m venv "$venv" || die "$python could not make $venv. Is the folder writable, and is there space on the disk?"
  readlink -f "$venv/bin/python" >"$venv_sound"
}

# The first Python of at least 3.11 that can make a virtual environment (Debian ships ensurepip in a package of its own).
_pick_python() {
  local name
  for name in python3.13 python3.12 python3.11 python3; do
    if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s' "$name"
      return
    fi
  done
  return 1
}

# Ubuntu 22.04's python3 is 3.10, and it has 3.11 beside it.
_python_package() {
  if have python3 && ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    printf 'python3.11-venv'
  else
    printf 'python3-venv'
  fi
}

_pip() {
  "$venv/bin/python" -m pip --disable-pip-version-check --no-input --quiet "$@" </dev/null
}
