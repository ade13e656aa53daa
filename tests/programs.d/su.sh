# title: su, runuser, setpriv
# group: Shells around programs
# does: commands as another user and as root again, which work in the directory
# needs: su runuser setpriv
# packages: util-linux
# version: setpriv --version
# note: su is set-id: ld.so takes no preload into them when another user than root starts them; root's work.

work() {
    su root -c 'echo su > by-su; mv by-su su-done'; runuser -u root -- sh -c 'echo runuser > by-runuser; chmod 600 by-runuser'
    runuser root -s /bin/sh -c 'mkdir d; echo x > d/x; ln -s d soft'; setpriv --reuid=0 --clear-groups --no-new-privs sh -c 'echo setpriv > by-setpriv; ln by-setpriv hard'
    setpriv --inh-caps=-all --bounding-set=-sys_admin sh -c 'echo less > by-less; : > d/y; rm d/y'
}

check() { cat su-done by-runuser d/x by-setpriv by-less; stat -c '%n %a %h' *; readlink soft; }
