# title: hardlink, fdupes, mmv, rename
# group: Files and archives
# does: equal files made one or removed, names changed by patterns
# needs: hardlink fdupes mmv file-rename
# packages: util-linux fdupes mmv rename
# version: hardlink --version

work() {
    tree 40; for i in 1 2 3; do cp d1/f10 same$i; done; mkdir e; for i in 1 2 3; do echo equal > e/x$i; done; touch -d @1000000000 same? e/x?
    hardlink -q . >/dev/null; cp same1 other1; cp same1 other2; fdupes -qdN e >/dev/null; mmv 'd2/f*' 'd2/g#1' ; file-rename 's/f(\d+)/h$1/' d3/*; mmv -c 'd1/f1*' 'e/c#1'; ( cd d0; file-rename 'y/f/F/' * )
}

check() {
    sums .; find . -name .mirror -prune -o -type f -printf '%p %n\n' | LC_ALL=C sort
}
