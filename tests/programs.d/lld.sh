# title: LLD
# group: Compilers and builds
# does: link with cc -fuse-ld=lld, over an older output
# needs: cc ld.lld
# packages: gcc lld
# version: ld.lld --version

work() {
    printf '#include <stdio.h>\nint main(void) { puts("linked"); return 0; }\n' > m.c; cc -g -fuse-ld=lld -o m m.c; cc -g -fuse-ld=lld -o m m.c; cc -shared -fPIC -fuse-ld=lld -Wl,--build-id -o m.so m.c
}

check() {
    ./m; readelf -d m.so | grep -c NEEDED; ls
}
