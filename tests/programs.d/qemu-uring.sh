# title: qemu-io, aio=io_uring
# group: Disk images
# does: writes through liburing
# needs: qemu-img qemu-io
# packages: qemu-utils
# also: MIRROR_NET=always
# version: qemu-img --version
# refused: io_uring
# note: liburing makes its system calls with an instruction of its own.

work() {
    qemu-img create -q -f raw d.raw 8M; qemu-io -f raw -t none -i io_uring -c 'write -P 5 1M 1M' -c flush d.raw > "$S/out" 2>&1 || { cat "$S/out"; exit 1; }; ! grep -i fail "$S/out"
}

check() { sha256sum d.raw; }
