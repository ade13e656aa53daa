# title: logrotate
# group: Servers
# does: rotation by create, copytruncate and compression, a state file, old logs removed
# needs: logrotate gzip
# packages: logrotate gzip
# version: logrotate --version

work() {
    mkdir logs old; for i in 1 2 3 4; do echo "entry $i" >> logs/a; echo "entry $i" >> logs/b; echo "entry $i" >> logs/c
        printf '%s {\n rotate 2\n create 0640\n}\n%s {\n rotate 3\n copytruncate\n}\n%s {\n rotate 2\n compress\n delaycompress\n olddir %s\n}\n' "$PWD/logs/a" "$PWD/logs/b" "$PWD/logs/c" "$PWD/old" > conf; chmod 644 conf
        logrotate -f -s "$PWD/state" conf; done
}

check() {
    sums logs; ls logs old; for f in old/*.gz; do zcat $f; done; grep -c logs state
}
