#!/bin/sh
# Put the images of an archive into the containerd of a root file system: content only, it is unpacked at first use.
# Runs in mount and PID namespaces of its own, so its mounts and its containerd end with it.
set -eu
root=$1
archive=$2
touch "$root/tmp/images.tar"
mount --bind "$archive" "$root/tmp/images.tar"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
chroot "$root" containerd --log-level error --config /dev/null &
attempts=0
until chroot "$root" ctr version >/dev/null 2>&1; do
    attempts=$((attempts + 1))
    [ "$attempts" -lt 150 ] || { echo "containerd did not start" >&2; exit 1; }
    sleep 0.2
done
chroot "$root" ctr --namespace k8s.io images import --no-unpack --all-platforms /tmp/images.tar
kill "$!"
wait "$!" || true
umount "$root/run" "$root/proc" "$root/tmp/images.tar"
rm "$root/tmp/images.tar"
