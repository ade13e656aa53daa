# title: OpenSSH
# group: Servers
# does: sftp (put, rename, chmod, symlink, rm, reput) and scp into the directory, through sshd
# needs: sshd sftp scp ssh-keygen
# packages: openssh-server openssh-client
# version: ssh -V

work() {
    mkdir -p up /run/sshd; chmod 700 "$HOME"; ssh-keygen -q -t ed25519 -N '' -f "$S/host"; ssh-keygen -q -t ed25519 -N '' -f "$S/key"; cp "$S/key.pub" "$S/authorized"; tree=$S/from; mkdir "$tree"; (cd "$tree" && tree 40)
    printf '%s\n' "Port $PORT" 'ListenAddress 127.0.0.1' "HostKey $S/host" "AuthorizedKeysFile $S/authorized" 'StrictModes no' 'UsePAM no' 'PermitRootLogin yes' 'Subsystem sftp /usr/lib/openssh/sftp-server' "PidFile $S/pid" \
        "SetEnv LD_PRELOAD=${LD_PRELOAD-} MIRRORTAB=$MIRRORTAB MIRROR_CACHE=$MIRROR_CACHE" > "$S/conf"
    [ -n "${LD_PRELOAD-}" ] || sed -i '/^SetEnv/d' "$S/conf"
    /usr/sbin/sshd -f "$S/conf" -E "$S/log"; until_ok test -s "$S/pid"
    o="-q -F none -i $S/key -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null"
    scp $o -P "$PORT" -r "$tree/d1" "root@127.0.0.1:$PWD/up/"; scp $o -O -p -P "$PORT" -r "$tree/d2" "root@127.0.0.1:$PWD/up/"
    head -c 1000000 /dev/zero > "$S/zero"; head -c 300000 /dev/zero > "$S/part"
    printf '%s\n' "cd $PWD/up" "lcd $S" 'put -r from/d3' 'put part zero' 'reput zero' 'rename d1/f10 d1/renamed' 'chmod 600 d1/f11' 'symlink d1 soft' 'ln d1/f12 hard' 'rm d1/f13' 'mkdir made' 'rename d3 made/d3' 'get d2/f20' > "$S/batch"
    sftp $o -P "$PORT" -b "$S/batch" root@127.0.0.1 >/dev/null; pid=$(cat "$S/pid"); kill "$pid"; until_gone "$pid"
}

check() {
    sums up; readlink up/soft; stat -c '%n %a %h' up/hard up/d1/f11 up/d2/*
}
