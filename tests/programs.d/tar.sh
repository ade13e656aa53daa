# title: tar, gzip, xz, zstd
# group: Files and archives
# does: pack, compress in place, list incrementally, append, unpack with modes, links and sparse files
# users: root ordinary
# needs: tar gzip xz zstd bzip2
# packages: tar gzip xz-utils zstd bzip2
# version: tar --version

work() {
    mkdir from; (cd from && tree 80 && ln d0/f1 hard && ln -s d0 soft && truncate -s 3M sparse && echo end >> sparse && chmod 711 d1)
    tar -cf a.tar from; echo more > from/more; tar -rf a.tar from/more
    for z in z j J; do mkdir "to$z"; tar -c"$z"f "a.$z" from; tar -x"$z"pf "a.$z" -C "to$z"; done
    tar --zstd -cf a.zst from; mkdir toS; tar -xSf a.zst -C toS
    tar -cf level0.tar -g list from; echo new > from/d0/new; tar -cf level1.tar -g list from
    cp from/d2/f20 x; gzip x; gunzip x.gz; xz x; unxz x.xz; zstd -q --rm x; zstd -q -d --rm x.zst; bzip2 x
    tar -cf - from | (mkdir piped && tar -xf - -C piped)
    tar -xf a.tar --overwrite; rm list
}

check() {
    for f in a.z a.j a.J a.zst a.tar level1.tar; do tar -tf "$f" | wc -l; done
    bzip2 -tv x.bz2 2>/dev/null; sums from; for d in toz toj toJ toS piped; do diff -r from/d1 "$d/from/d1"; done
    stat -c '%n %h %a' from/hard to?/from/hard to?/from/d1
}
