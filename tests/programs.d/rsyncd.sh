# title: rsync daemon
# group: Servers
# does: use chroot = yes as root, uploads with deletion, a download into the directory
# needs: rsync
# packages: rsync
# version: rsync --version

work() {
    mkdir "$S/from" up; (cd "$S/from" && tree 60 && ln -s d0 soft)
    cat > "$S/conf" <<CONF
port = $PORT
address = 127.0.0.1
pid file = $S/pid
log file = $S/log
lock file = $S/lock
[up]
path = $PWD/up
use chroot = yes
read only = no
uid = root
gid = root
CONF
    rsync --daemon --config="$S/conf"
    until_ok rsync "rsync://127.0.0.1:$PORT/"
    rsync -a "$S/from/" "rsync://127.0.0.1:$PORT/up/t/"; rm -r "$S/from/d1"; echo more >> "$S/from/d2/f20"
    rsync -a --delete "$S/from/" "rsync://127.0.0.1:$PORT/up/t/"; rsync -a "rsync://127.0.0.1:$PORT/up/t/d2" back/
    pid=$(cat "$S/pid"); kill "$pid"; until_gone "$pid"
}

check() {
    sums .; readlink up/t/soft
}
