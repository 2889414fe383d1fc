# shellcheck shell=bash
# System packages of Debian and Ubuntu: what is missing, and how it gets here. Sourced by the scripts beside this folder.

say() { printf '%s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# have PROGRAM|/FILE: an ordinary user's PATH often lacks the sbin folders, where runc and ip may be.
have() {
  case $1 in
    /*) [[ -e $1 ]] ;;
    *) PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$1" >/dev/null ;;
  esac
}

# need_packages PROGRAM|/FILE:PACKAGE...: installs each package whose program or file is not here.
need_packages() {
  local pair missing=()
  for pair in "$@"; do
    have "${pair%%:*}" || missing+=("${pair#*:}")
  done
  ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

# install_packages PACKAGE...: by apt when root; else ends with the command that a person has to run.
install_packages() {
  local command=(apt-get install --yes --no-install-recommends --no-remove "$@")
  have apt-get || die "These programs are missing, and there is no apt here to install them: $*. Install them, then try again."
  [[ $(id -u) == 0 ]] || die "System packages are missing. Run: sudo ${command[*]}   and then this again."
  say "Installing system packages: $*"
  local log
  log=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  # A repository of another vendor that does not answer is no reason to stop: the install itself says what it lacks.
  apt-get update >"$log" 2>&1 </dev/null || true
  # A machine that has just started may be busy with its own updates.
  if ! "${command[@]}" -o DPkg::Lock::Timeout=300 >>"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    rm -f "$log"
    die "The packages could not be installed: $*. Check the network and apt's message above, then try again."
  fi
  rm -f "$log"
}
