# title: bash, coreutils, findutils
# group: Files and archives
# does: cp -a, mv, ln, rm -r, install, truncate, split, tee, dd, mkfifo, touch, sort -o, mktemp, find -exec and -delete, xargs
# users: root ordinary
# needs: bash
# packages: bash coreutils findutils
# version: ls --version

work() {
    tree 60
    bash -euc '
        cp -a d1 copy; mv copy/f10 copy/renamed; mv d2 moved; rm -r d3
        ln d0/f1 hard; ln -s d0/f2 soft; ln -sfn moved soft2; install -m 640 -D d0/f3 deep/er/installed
        truncate -s 100000 sparse; seq 5000 | split -l 1000 - part.; seq 100 | tee t1 t2 >> t3
        dd if=/dev/zero of=dd bs=1000 count=20 seek=3 status=none; dd if=t1 of=dd bs=7 conv=notrunc status=none
        chmod -R g+w d4; touch -d "2001-02-03 04:05:06.789" d4/f40; mkfifo pipe; t=$(mktemp -p .); mv "$t" temporary
        cat t1 t2 > both; sort -r -o both both; rmdir deep/er 2>/dev/null || rm -rf deep; mkdir -p deep/again
        find . -name "f5*" -exec sed -i s/line/LINE/ {} +; find . -name "f4?" -newer d4/f40 -delete
        find . -name "part.*" | xargs -n 2 -P 3 sh -c "for f; do wc -l < \$f > \$f.count; done" sh
        shopt -s globstar; for f in **/f1?; do echo "$f" >> list; done; exec 3<>rw; echo abc >&3; exec 3>&-
    '
}

check() {
    sums .
    find . -path ./.mirror -prune -o -printf '%y %#m %n %l %p\n' | LC_ALL=C sort
    stat -c %y d4/f40 2>/dev/null || echo "f40 is gone"
}
