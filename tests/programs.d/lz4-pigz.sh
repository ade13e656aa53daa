# title: lz4, pigz, bzip2, parallel xz
# group: Files and archives
# does: compress and unpack in place with threads, keep and overwrite, concatenated and tested
# needs: lz4 pigz bzip2 xz zstd
# packages: lz4 pigz bzip2 xz-utils zstd
# version: pigz --version
# users: root ordinary

work() {
    tree 40; for i in $(seq 20000); do echo "line $i"; done > big; cp big b1; cp big b2; cp big b3; cp big b4; cp big b5
    lz4 -q -m --rm d1/* ; lz4 -q -f b1 b1.lz4; lz4 -qd d1/f10.lz4 d1/f10; pigz -p4 -n b2; pigz -kd b2.gz; pigz -n d2/*; unpigz d2/f20.gz
    bzip2 -k b3; bzip2 d3/*; bunzip2 d3/f30.bz2; xz -T4 --block-size=64KiB b4; xz -dk b4.xz; zstd -q -T4 --rm b5; zstd -q --rm d0/*; zstd -qd d0/f1.zst; cat b2.gz b2.gz > twice.gz; touch -d @1000000000 b1; lz4 -q -f --rm b1 >/dev/null
}

check() {
    lz4 -qt b1.lz4; pigz -t twice.gz; bzip2 -t b3.bz2; xz -t b4.xz; zstd -qt b5.zst; sums .
}
