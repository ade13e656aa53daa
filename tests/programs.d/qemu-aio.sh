# title: qemu-io, aio=native
# group: Disk images
# does: writes through libaio
# needs: qemu-img qemu-io
# packages: qemu-utils
# version: qemu-img --version
# refused: not implemented
# note: io_setup is refused (LIMITS.md); qemu has no other way then. aio=threads, its default, works.

work() {
    qemu-img create -q -f raw d.raw 8M; qemu-io -f raw -t none -i native -c 'write -P 5 1M 1M' -c flush d.raw > "$S/out" 2>&1 || { cat "$S/out"; exit 1; }; ! grep -i fail "$S/out"
}

check() { sha256sum d.raw; }
