# title: fio, synchronous engines
# group: Disk images
# does: sync, psync, vsync, pvsync, pvsync2, posixaio with verification; fallocate, fsync, O_DIRECT, several jobs
# needs: fio
# packages: fio
# version: fio --version
# limit: 600

work() {
    for e in sync psync vsync pvsync pvsync2 posixaio; do e=$e; fio --output="$S/out.$e" --minimal --thread --directory=. --size=2m --bs=7k --randrepeat=1 --rw=randwrite --verify=crc32c --fsync=50 --fallocate=posix --name="$e" --ioengine="$e"; done
    fio --output="$S/out" --minimal --directory=. --size=1m --bs=4k --direct=1 --rw=randwrite --verify=crc32c --numjobs=3 --name=direct --ioengine=psync
}

check() { ls; for f in *.0; do stat -c '%n %s' $f; done; fio --output="$S/v" --minimal --thread --directory=. --size=2m --bs=7k --randrepeat=1 --rw=randread --verify=crc32c --verify_only --name=psync --ioengine=psync && echo verified; }
