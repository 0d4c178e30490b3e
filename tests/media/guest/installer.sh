# SPDX-License-Identifier: GPL-3.0-or-later
# Part of init.sh: installs the system to the first disk, as the file `answers` on the medium has it.
# shellcheck shell=sh

# The drive may hold another medium, or none; the other drive may be slower to appear.
find_medium() {
    wait_for /dev/sr0
    tries=0
    while [ "$tries" -lt 100 ]; do
        for drive in /dev/sr*; do
            mount -t iso9660 -o ro "$drive" /medium 2>/dev/null || continue
            [ ! -f /medium/answers ] || return 0
            umount /medium
        done
        tries=$((tries + 1))
        usleep 50000
    done
    fail "the medium is in no drive"
}

copy_small() {
    mkdir -m 700 /disk/boot /disk/etc /disk/root /disk/root/.ssh
    cp /medium/vmlinuz /medium/initrd.gz /medium/extlinux.conf /disk/boot || fail "the disk is full"
    dropbearkey -t ed25519 -f /disk/etc/host_key >/tmp/host_key || fail "no host key"
    say "SSH host key $(grep ^ssh- /tmp/host_key | cut -d ' ' -f 1,2)"
}

# It makes its host keys itself, when it boots for the first time, unless it is given one.
copy_debian() {
    tar -x -f /medium/root.tar -C /disk || fail "the disk is full"
    cp /medium/extlinux.conf /disk/boot
    cp /disk/boot/vmlinuz-* /disk/boot/vmlinuz
    cp /disk/boot/initrd.img-* /disk/boot/initrd.img
    mkdir -p -m 700 /disk/root/.ssh
    if [ -f /medium/host_key ]; then
        cp /medium/host_key /disk/etc/ssh/ssh_host_ed25519_key
        chmod 600 /disk/etc/ssh/ssh_host_ed25519_key
    fi
}

write_disk() {
    say "partitioning /dev/sda"
    dd if=/dev/zero of=/dev/sda bs=1M count=1 2>/dev/null
    dd if=/medium/mbr.bin of=/dev/sda conv=notrunc 2>/dev/null
    blockdev --rereadpt /dev/sda
    wait_for /dev/sda1
    say "making a file system on /dev/sda1"
    mke2fs /dev/sda1 >/dev/null || fail "no file system"
    mount -t ext2 /dev/sda1 /disk || fail "the new file system cannot be mounted"

    say "copying the system"
    "copy_$SYSTEM"

    say "making the boot loader ready"
    extlinux --install /disk/boot 2>/tmp/extlinux || fail "$(cat /tmp/extlinux)"

    name=${HOST_NAME:-$(cat /sys/class/dmi/id/product_serial)}
    echo "${name:-vps}" >/disk/etc/hostname
    echo "$SSH_KEY" >/disk/root/.ssh/authorized_keys
    cp /proc/sys/kernel/random/uuid /disk/etc/installation
    umount /disk || fail "the disk is still in use"
    say "installed ${name:-vps}"
}

say "looking for the medium"
find_medium
. /medium/answers
if [ "$DISK" = leave ]; then
    say "leaving the disk as it is"
else
    write_disk
fi
case $AFTER in
    hang)
        say "waiting for ever"
        while :; do sleep 3600; done
        ;;
    reboot) say "restarting" ;;
    *) say "switching off" ;;
esac
umount /medium
"$AFTER" -f
