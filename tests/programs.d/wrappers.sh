# title: fakeroot, parallel, bwrap, script, setsid, nohup
# group: Shells around programs
# does: programs that start programs; a package built below fakeroot; the directory bound into a sandbox
# needs: fakeroot parallel bwrap script setsid dpkg-deb
# packages: fakeroot parallel bubblewrap bsdutils dpkg
# version: bwrap --version

work() {
    mkdir -p pack/DEBIAN pack/usr/share/x; printf 'Package: x\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: x\n' > pack/DEBIAN/control; echo x > pack/usr/share/x/x
    fakeroot sh -c 'chown 5:5 pack/usr/share/x/x; chmod 640 pack/usr/share/x/x; dpkg-deb -b pack x.deb >/dev/null; tar cf fake.tar pack'
    seq 12 | parallel -j4 --will-cite 'echo {} > par.{}; mv par.{} done.{}'; script -qec 'echo typed > typed; tee copy < typed' typescript >/dev/null
    setsid -w sh -c 'echo session > session'; nohup sh -c 'echo hup > hup' >nohup.log 2>&1; env -i PATH="$PATH" sh -c 'echo bare > bare'; flock lock sh -c 'echo locked > locked'
    bwrap --dev-bind / / --unshare-pid sh -c 'echo inside > inside; mv inside renamed'
}

check() { dpkg-deb -c x.deb | sed 's/ 20.* / /'; tar tvf fake.tar | sed 's/ 20.* / /'; cat done.* typed copy session hup bare locked renamed; ls; }
