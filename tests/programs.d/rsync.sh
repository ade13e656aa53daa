# title: rsync
# group: Files and archives
# does: -aH, --delete, --inplace, --link-dest, --backup, --delay-updates, --remove-source-files
# users: root ordinary
# needs: rsync
# packages: rsync
# version: rsync --version

work() {
    mkdir "$S/from"; (cd "$S/from" && tree 120 && ln d0/f1 hard && ln -s d0 soft && head -c 400000 /dev/zero > big)
    rsync -aH "$S/from/" one/; rsync -aH --link-dest=../one "$S/from/" two/
    (cd "$S/from" && rm -r d2 && echo changed >> d3/f30 && printf x | dd of=big bs=1 seek=200000 conv=notrunc status=none && touch -d 2031-01-01 big d3/f30 && mv d4 d4b)
    rsync -aH --delete --backup --backup-dir=../old --suffix=.was "$S/from/" one/
    rsync -a --inplace --no-whole-file "$S/from/big" two/big; rsync -aH --delete-after --delay-updates "$S/from/" three/
    rsync -a --remove-source-files three/d5 moved/
}

check() {
    sums .; stat -c '%n %h' one/hard two/hard two/d1/f10; diff -r one "$PWD/one"; find . -type d ! -path "./.mirror*" | LC_ALL=C sort
}
