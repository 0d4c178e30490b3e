# SPDX-License-Identifier: GPL-3.0-or-later
# Part of init.sh: the installed system, which runs in memory and keeps its identity on the disk.
# shellcheck shell=sh

# What busybox' own init does here takes seconds, and tests would pay them each time.
end() {
    say "$1"
    killall dropbear
    umount -r /disk
    "$1" -f
}

wait_for /dev/sda1
mount -t ext2 /dev/sda1 /disk || fail "the disk cannot be mounted"
hostname -F /disk/etc/hostname
ip link set lo up
ip address add 10.0.2.15/24 dev eth0
ip link set eth0 up
acpid -l /dev/null
dropbear -s -E -r /disk/etc/host_key 2>/tmp/dropbear || fail "$(cat /tmp/dropbear)"
say "$(hostname), installation $(cat /disk/etc/installation), answers SSH"

# the commands reboot, poweroff and halt send these signals to the first process
trap 'end reboot' TERM
trap 'end poweroff' USR1 USR2
while :; do
    sleep 3600 &
    wait
done
