# title: dpkg-deb, ar, apt-ftparchive
# group: Files and archives
# does: build a package, take it apart, changes of members of an archive, apt-ftparchive's index
# needs: dpkg-deb ar apt-ftparchive
# packages: dpkg binutils apt-utils
# version: dpkg-deb --version

work() {
    tree 30; export SOURCE_DATE_EPOCH=1700000000
    mkdir -p p/DEBIAN p/usr/share; cp -r d1 p/usr/share/x; printf 'Package: made\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: made here\n' > p/DEBIAN/control
    for z in gzip xz none; do dpkg-deb -Z$z --root-owner-group -b p made-$z.deb >/dev/null; dpkg-deb -R made-$z.deb out-$z; done
    ar rcD l.a d1/f10 d1/f11 d2/f20; ar dD l.a f11; ar mD l.a f20; ar rbD f10 l.a d0/f1; (mkdir x && cd x && ar x ../l.a); mkdir pool; cp made-xz.deb pool; apt-ftparchive packages pool > Packages; apt-ftparchive contents pool > Contents
}

check() {
    for z in gzip xz none; do dpkg-deb -I made-$z.deb | grep -E '^ (Package|Version)'; sums out-$z; done; ar t l.a; sums x; grep -E '^(SHA256|Size)' Packages; cat Contents
}
