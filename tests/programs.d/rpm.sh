# title: RPM tools
# group: Files and archives
# does: rpmbuild in a tree of its own, a database in the directory, rpm2cpio
# needs: rpmbuild rpm rpm2cpio cpio
# packages: rpm cpio
# version: rpm --version

work() {
    mkdir -p top/SPECS; printf 'Name: made\nVersion: 1\nRelease: 1\nSummary: s\nLicense: x\nBuildArch: noarch\n%%description\nd\n%%install\nmkdir -p %%{buildroot}/opt/made\necho text > %%{buildroot}/opt/made/a\nln -s a %%{buildroot}/opt/made/b\n%%files\n/opt/made\n' > top/SPECS/made.spec
    rpmbuild -bb --quiet --define "_topdir $PWD/top" --define "_tmppath $PWD/top/tmp" --define "_dbpath $PWD/db" top/SPECS/made.spec >/dev/null 2>&1
    mkdir out; (cd out && rpm2cpio ../top/RPMS/noarch/*.rpm | cpio -idm --quiet); rpm --dbpath "$PWD/db" --initdb; rpm --dbpath "$PWD/db" --justdb --nodeps -i top/RPMS/noarch/*.rpm >/dev/null 2>&1
}

check() {
    sums out; readlink out/opt/made/b; rpm --dbpath "$PWD/db" -qa
}
