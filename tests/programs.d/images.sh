# title: squashfs-tools, xorriso
# group: Disk images
# does: squashfs images made, appended to and unpacked by several threads; an ISO image made, grown and read
# needs: mksquashfs unsquashfs xorriso
# packages: squashfs-tools xorriso
# version: mksquashfs -version

work() {
    tree 40; export SOURCE_DATE_EPOCH=1700000000; ln -s f10 d1/soft; ln d1/f11 d1/hard
    mksquashfs d0 d1 one.sqfs -quiet -no-progress -processors 2 >/dev/null; mksquashfs d2 one.sqfs -quiet -no-progress -comp gzip >/dev/null 2>&1 || :; unsquashfs -q -n -d out one.sqfs >/dev/null
    xorriso -outdev one.iso -map d1 /d1 -commit -end >/dev/null 2>&1; xorriso -dev one.iso -map d2 /d2 -rm_r /d1/f12 -- -commit -end >/dev/null 2>&1; xorriso -osirrox on -indev one.iso -extract / iso >/dev/null 2>&1; chmod -R u+w iso
}

check() {
    unsquashfs -l one.sqfs | LC_ALL=C sort; sums out; sums iso; xorriso -indev one.iso -find / -type f 2>/dev/null | LC_ALL=C sort
}
