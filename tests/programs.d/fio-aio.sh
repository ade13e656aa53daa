# title: fio, libaio
# group: Disk images
# does: asynchronous writes by io_submit
# needs: fio
# packages: fio
# version: fio --version
# refused: not implemented
# note: io_setup is refused (LIMITS.md); fio has no other way.

work() { fio --output="$S/out" --thread --directory=. --size=1m --bs=4k --rw=randwrite --name=aio --ioengine=libaio || { cat "$S/out"; exit 1; }; }

check() { stat -c '%n %s' aio*; }
