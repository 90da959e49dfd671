#!/usr/bin/env bash
# First process of a test host, in namespaces of its own: builds the host's disk over that of the
# machine (copy on write), then becomes sshd, or sleeps where the host is the laptop.
#
#   boot_host.sh NAME STATE ENVIRONMENT     STATE holds keys, the hosts table and NAME/
set -euo pipefail
name=$1 state=$2 environment=$3
disk=$state/$name/disk
root=$disk/root

hostname "$name"
mount --make-rprivate /
mkdir -p "$disk"
mount -t tmpfs -o mode=755,size="${HOST_DISK:-3g}" disk "$disk"
mkdir -p "$disk"/{upper,work,root,environment_upper,environment_work}
mount -t overlay overlay -o "lowerdir=/,upperdir=$disk/upper,workdir=$disk/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount --bind "$root/dev/pts/ptmx" "$root/dev/ptmx"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777,size="${HOST_DISK:-3g}" tmp "$root/tmp"
# The environment gets an overlay of its own: under a tmpfs that of / would not show it.
mkdir -p "$root$environment"
layers=$environment
# A machine image with vidclass inside (cluster/Dockerfile): the wheel unpacked, and beside it.
if [ -d "$state/image" ]; then
  layers=$state/image:$environment
  install -D -t "$root/opt/vidclass" "$state"/project/dist/vidclass-*.whl
fi
mount -t overlay overlay \
  -o "lowerdir=$layers,upperdir=$disk/environment_upper,workdir=$disk/environment_work" \
  "$root$environment"
# One folder that all hosts see: stands for NFS or EFS.
mkdir -p "$root/mnt/vidclass"
mount --bind "$state/shared" "$root/mnt/vidclass"
# What the laptop submits from.
mkdir -p "$root/srv/project"
if [ "$name" = laptop ]; then mount --bind "$state/project" "$root/srv/project"; fi

cp "$state/hosts" "$root/etc/hosts"
rm -rf "$root/root/.ssh" "$root/root/.ray" "$root/root/.aws" "$root"/root/.bash_profile \
  "$root"/root/.bash_login "$root/root/.vidclass"
install -d -m 700 "$root/root/.ssh" "$root/run/sshd"
echo 'test -f ~/.bashrc && . ~/.bashrc' > "$root/root/.profile"
# No ray in PATH: the cluster file has to see to that, as on a real machine.
{ echo 'export RAY_USAGE_STATS_ENABLED=0'; cat "$state/profile"; } > "$root/root/.bashrc"
# All hosts are run by root, who needs no sudo, but cluster files for a cloud call it.
command -v sudo > /dev/null || install -m 755 /dev/stdin "$root/usr/local/bin/sudo" <<< '#!/bin/sh
exec "$@"'
clean=(/usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin)

if [ "$name" = laptop ]; then
  install -m 600 "$state/key" "$root/root/.ssh/vidclass"
  echo "export PATH=$environment/bin:\$PATH RAY_AUTH_MODE=token" >> "$root/root/.bashrc"
  touch "$state/$name/ready"
  exec chroot "$root" "${clean[@]}" sleep infinity
fi

install -m 600 "$state/key.pub" "$root/root/.ssh/authorized_keys"
install -m 600 "$state/host_key" "$root/run/host_key"
address=$(awk -v name="$name" '$2 == name { print $1 }' "$state/hosts")
cat > "$root/run/sshd_config" <<CONFIG
ListenAddress $address
HostKey /run/host_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
MaxStartups 50
MaxSessions 50
CONFIG
touch "$state/$name/ready"
exec chroot "$root" "${clean[@]}" /usr/sbin/sshd -D -e -f /run/sshd_config
