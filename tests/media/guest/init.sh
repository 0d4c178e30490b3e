#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The guest's first program. Its boot loader says in ROLE whether this is the installer or the installed system.
export PATH=/bin

say() {
    echo "hostup test $ROLE: $*" | tee /dev/tty0 >/dev/console
}

# An installer that cannot go on stays, as real ones do: it has not powered off, and so nobody takes it for done.
fail() {
    say "FAILED: $*"
    while :; do sleep 3600; done
}

# Drivers look for devices in the background.
wait_for() {
    tries=0
    until [ -b "$1" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 500 ] || fail "there is no $1"
        usleep 20000
    done
}

/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir /dev/pts
mount -t devpts devpts /dev/pts
while read -r module; do
    insmod "/lib/modules/$module" || fail "the kernel does not take $module"
done <"/lib/modules/$ROLE"
wait_for /dev/sda

case $ROLE in
    installer) . /etc/installer.sh ;;
    system) . /etc/system.sh ;;
esac
