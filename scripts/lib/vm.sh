# shellcheck shell=bash
# A virtual machine as users have one: Debian with systemd as its first process, cgroup v2 and swap. Nothing of it stays but
# its disk in the cache. Sourced after packages.sh and venv.sh by a script that has set `root`, the project's folder.

readonly vm_cache=${XDG_CACHE_HOME:-$HOME/.cache}/lan-session-manager/vm
readonly vm_suite=bookworm vm_python=3.11
# What scripts/test-vm ends with where there can be no machine: a network that is not there, an architecture of another kind.
# shellcheck disable=SC2034
readonly no_machine=69
# What the server needs, what boxes are tested with, and what makes a machine of it.
readonly vm_packages=(
  crun runc conmon catatonit uidmap iproute2 procps git curl ca-certificates gcc libc6-dev python3-venv
  systemd-sysv libpam-systemd dbus-user-session kmod linux-image-amd64 initramfs-tools
)
# None of them is in the machine, and they are most of a kernel's size.
readonly vm_drivers=(drivers/gpu drivers/media drivers/net/ethernet drivers/net/wireless sound)

# vm_disk: the folder with the machine's disk, kernel and initrd; made once for a month, and again when what is in it changes.
vm_disk() {
  local key
  key=$({ declare -p vm_suite vm_packages vm_drivers && declare -f _vm_make _vm_wheels _vm_unit &&
    cat "${root:?}/requirements/dev.txt" && date +%Y-%m; } | sha256sum | cut -c 1-16)
  mkdir -p "$vm_cache"
  exec 8<"$vm_cache"
  flock 8
  if [[ ! -d $vm_cache/$key ]]; then
    say "Making the disk of a $vm_suite machine in $vm_cache"
    rm -rf "${vm_cache:?}"/*
    mkdir "$vm_cache/new"
    if ! _vm_make "$vm_cache/new" >"$vm_cache/log" 2>&1; then
      tail -n 15 "$vm_cache/log" >&2
      die "The machine's disk could not be made; all of the log is in $vm_cache/log. Check the network, then try again."
    fi
    mv "$vm_cache/new" "$vm_cache/$key"
  fi
  exec 8<&-
  printf '%s' "$vm_cache/$key"
}

# In one && chain, as `set -e` does not hold in a function that is a condition.
# shellcheck disable=SC2016
_vm_make() {
  local made=$1 sources driver excluded=()
  for driver in "${vm_drivers[@]}"; do
    excluded+=(--dpkgopt="path-exclude=/lib/modules/*/kernel/$driver/*")
  done
  _vm_wheels "$made/wheels" && tar -cf "$made/wheels.tar" -C "$made/wheels" . && _vm_unit >"$made/command.service" || return
  # Without any of this suite, on a machine of another one, the tool's own default counts.
  mapfile -t sources < <(_vm_sources)
  # Names without a folder, as a hook's words are split at blanks.
  (
    cd "$made" &&
      mmdebstrap --variant=minbase --include="$(IFS=, && printf '%s' "${vm_packages[*]}")" "${excluded[@]}" \
        --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"' \
        --essential-hook='echo MODULES=list >"$1/etc/initramfs-tools/conf.d/vm"' \
        --essential-hook='printf "%s\n" virtio_pci virtio_blk ext4 >"$1/usr/share/initramfs-tools/modules.d/vm"' \
        --customize-hook='upload wheels.tar /wheels.tar' \
        --customize-hook='mkdir "$1/wheels" && tar -xf "$1/wheels.tar" -C "$1/wheels"' \
        --customize-hook='chroot "$1" python3 -m venv /opt/venv' \
        --customize-hook='chroot "$1" sh -c "/opt/venv/bin/pip install --quiet --no-index --no-deps /wheels/*.whl"' \
        --customize-hook='rm -rf "$1/wheels" "$1/wheels.tar"' \
        --customize-hook='upload command.service /etc/systemd/system/command.service' \
        --customize-hook='chroot "$1" systemctl --quiet enable command.service' \
        --customize-hook='chroot "$1" systemctl --quiet mask serial-getty@ttyS0.service getty@tty1.service' \
        --customize-hook='download /vmlinuz kernel' --customize-hook='download /initrd.img initrd' \
        "$vm_suite" disk.ext2 "${sources[@]}" &&
      truncate -s 6G disk.ext2 && resize2fs disk.ext2 &&
      tune2fs -I 256 -O extents,dir_index,has_journal disk.ext2 && { e2fsck -fy disk.ext2 || (($? == 1)); } &&
      rm -r wheels wheels.tar command.service
  )
}

# The packages of requirements/dev.txt, but those that check types and draw pages, for the machine's own Python.
_vm_wheels() {
  local python
  python=$(_pick_python) && "$python" -m venv "$1.venv" &&
    "$1.venv/bin/python" -m pip --disable-pip-version-check --no-input --quiet download --no-deps --require-hashes \
      --only-binary :all: --python-version "$vm_python" -r "$root/requirements/dev.txt" -d "$1" &&
    rm -rf "$1.venv" "$1"/{mypy,ruff,playwright}-[0-9]*
}

# What this machine itself installs Debian packages of that suite from.
_vm_sources() {
  apt-get indextargets --format "deb \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' 'Origin: Debian' |
    grep -E " $vm_suite(-[a-z]+)? " || true
}

# The project comes as a tar on the second disk, the command with it; the third disk is for swap.
_vm_unit() {
  cat <<'UNIT'
[Unit]
Description=The command that this machine was started for
After=multi-user.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'exec >/dev/console 2>&1; mkdir /project && tar -xf /dev/vdb -C /project && exec bash /project/.command'
ExecStopPost=/bin/systemctl poweroff --force --force

[Install]
WantedBy=multi-user.target
UNIT
}

# vm_run DISK SECONDS COMMAND...: runs a command in a copy of the project in a new machine; its output and its exit status.
vm_run() {
  local disk=$1 seconds=$2 files mark status line
  shift 2
  files=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$files'" EXIT
  mark="command $(od -An -N8 -tx8 /dev/urandom | tr -d ' ') ended with"
  _vm_command "$mark" "$@" >"$files/.command"
  _vm_project | tar -cf "$files/project.tar" -C "$files" .command -C "$root" --null -T -
  truncate -s 512M "$files/swap"
  # Processors without these flags may have the device all the same, for guests of their own kind only.
  local cpu=(-accel 'tcg,thread=multi' -cpu max)
  if [[ -w /dev/kvm ]] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
    cpu=(-accel kvm -cpu host)
  fi
  status=
  while IFS= read -r line; do
    line=${line%$'\r'}
    case $line in
      "$mark "*) status=${line#"$mark "} ;;
      *) printf '%s\n' "$line" ;;
    esac
  done < <(
    timeout --kill-after=10 "$seconds" qemu-system-x86_64 "${cpu[@]}" -smp 2 -m 2048 -nodefaults -no-user-config -no-reboot \
      -display none -serial stdio -kernel "$disk/kernel" -initrd "$disk/initrd" \
      -append "root=/dev/vda rw console=ttyS0 quiet loglevel=1 panic=1 systemd.show_status=0" \
      -drive "file=$disk/disk.ext2,if=virtio,format=raw,snapshot=on" \
      -drive "file=$files/project.tar,if=virtio,format=raw,readonly=on" \
      -drive "file=$files/swap,if=virtio,format=raw" </dev/null
  )
  wait "$!" || (($? != 124)) || die "The machine was stopped, as it had no result after $seconds s."
  [[ $status =~ ^[0-9]+$ ]] || die "The machine ended without a result."
  return "$status"
}

# What git has or would have, as it is now.
_vm_project() {
  (
    cd "$root" && git ls-files -z --cached --others --exclude-standard |
      while IFS= read -rd '' name; do [[ ! -e $name ]] || printf '%s\0' "$name"; done
  )
}

_vm_command() {
  local mark=$1
  shift
  cat <<SCRIPT
mkswap /dev/vdc >/dev/null && swapon /dev/vdc
export PATH=/opt/venv/bin:\$PATH HOME=/root LANG=C.UTF-8 TERM=dumb
cd /project
echo "linux \$(uname -r), \$(systemctl --version | head -n 1), \$(stat -f -c %T /sys/fs/cgroup): \$(cat /sys/fs/cgroup/cgroup.controllers)"
for tool in crun runc conmon python; do \$tool --version | head -n 1; done
python -m compileall -q lan_session_manager # once here: users of the tests have no right to keep it
echo "processors \$(nproc), memory and swap in MB: \$(free -m | awk 'NR > 1 { printf "%s ", \$2 }')"
echo "up for \$(cut -d ' ' -f 1 /proc/uptime) s: the command begins"
$(printf '%q ' "$@")
status=\$?
echo "up for \$(cut -d ' ' -f 1 /proc/uptime) s: the command has ended"
echo "$mark \$status"
SCRIPT
}
