# title: dar, par2
# group: Backups
# does: a full and a differential archive in slices, restore; recovery files made, a damaged file mended
# needs: dar par2
# packages: dar par2
# version: dar --version

work() {
    tree 40; for i in $(seq 20000); do echo "line $i"; done > d1/big
    dar -Q -q -c full -R . -g d0 -g d1 -s 50k -z1 >/dev/null; echo more >> d1/f10; rm d1/f11; dar -Q -q -c diff -A full -R . -g d0 -g d1 >/dev/null
    mkdir back; dar -Q -q -x full -R back >/dev/null; dar -Q -q -w -x diff -R back >/dev/null; cp d1/big whole
    par2 create -q -q -s4096 -c20 whole.par2 whole >/dev/null; printf damaged | dd of=whole bs=1 seek=5000 conv=notrunc status=none; par2 repair -q -q whole.par2 >/dev/null
}

check() {
    dar -Q -q -t full >/dev/null && echo full; sums back; par2 verify -q -q whole.par2 >/dev/null && echo mended; cmp whole d1/big; ls | grep -c 'full.*dar'
}
