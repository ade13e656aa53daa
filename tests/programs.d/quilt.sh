# title: quilt, patch, diff
# group: Version control
# does: a series of patches made, popped, pushed, refreshed, folded; patch with rejects and reversed
# needs: quilt patch diff
# packages: quilt patch diffutils
# version: quilt --version
# users: root ordinary

work() {
    tree 30; export QUILT_PATCHES=patches QUILT_NO_DIFF_TIMESTAMPS=1 QUILT_PC=.pc
    for i in 1 2 3; do quilt new p$i; quilt add d1/f1$i d2/f2$i; sed -i "s/line/LINE$i/" d1/f1$i; echo "more $i" >> d2/f2$i; quilt refresh; done >/dev/null
    { quilt pop -a; quilt push; quilt push; echo again >> d1/f12; quilt refresh; quilt push; quilt delete -r p3 -f || quilt pop -f; quilt fold < patches/p1 || :; } >/dev/null 2>&1 || :
    cp -r d1 old; sed -i s/tree/forest/ d1/*; diff -ru old d1 > forest.diff || :; patch -sp1 -d old -b < forest.diff; patch -sRp1 -d old < forest.diff
    patch -s d2/f20 < forest.diff -r rejects || :
}

check() {
    cat patches/series; sums .pc; sums d1; sums old; ls
}
