# title: qemu-img, qemu-io
# group: Disk images
# does: qcow2 with a backing file, writes with cache writeback, none and directsync, snapshot, commit, convert, resize, check
# needs: qemu-img qemu-io
# packages: qemu-utils
# version: qemu-img --version

work() {
    qemu-img create -q -f qcow2 base.qcow2 64M; qemu-io -f qcow2 -c 'write -P 1 0 3M' -c 'write -z 1M 64k' -c 'discard 2M 64k' base.qcow2 >/dev/null
    qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2; for c in writeback none directsync; do qemu-io -f qcow2 -t $c -c 'write -P 2 4M 1M' -c 'write -P 3 100k 60k' -c flush top.qcow2 >/dev/null; done
    qemu-img snapshot -c s top.qcow2; qemu-io -f qcow2 -c 'write -P 4 0 1M' top.qcow2 >/dev/null; qemu-img convert -O raw top.qcow2 top.raw; qemu-img convert -c -O qcow2 top.raw small.qcow2; qemu-img snapshot -a s top.qcow2; qemu-img commit -q top.qcow2; qemu-img resize -q base.qcow2 80M
}

check() {
    for i in *.qcow2; do qemu-img check -q $i && echo "$i sound"; done; qemu-img compare top.raw small.qcow2; sha256sum top.raw; qemu-io -r -f qcow2 -c 'read -P 2 4M 1M' -c 'read -P 3 100k 60k' base.qcow2 | grep -c 'read .* bytes'; qemu-img snapshot -l top.qcow2 | tail -n +3 | wc -l
}
