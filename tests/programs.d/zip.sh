# title: Info-ZIP
# group: Files and archives
# does: zip, add, delete and freshen members, unzip over files
# needs: zip unzip
# packages: zip unzip
# version: zip -v

work() {
    tree 50
    zip -qr a.zip d0 d1 d2; zip -q a.zip d3/*; zip -qd a.zip 'd1/*'; echo fresh >> d2/f20; touch -d '2031-01-01' d2/f20; zip -qf a.zip
    mkdir out; unzip -q a.zip -d out; echo old > out/d0/f1; unzip -qo a.zip -d out; zip -qm moved.zip d4/*
}

check() {
    unzip -tq a.zip; unzip -tq moved.zip; unzip -Z1 a.zip | sort; sums out; ls
}
