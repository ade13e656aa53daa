# title: Redis
# group: Databases
# does: AOF and RDB together, BGSAVE, AOF rewrite, kill -9, restart
# users: root redis
# needs: redis-server redis-cli
# packages: redis-server
# killed: yes
# version: redis-server --version

cli() { redis-cli -s "$S/sock" "$@" >/dev/null; }

loaded() { redis-cli -s "$S/sock" info persistence | grep -q "$1"; }

up() {
    redis-server --port 0 --unixsocket "$S/sock" --dir "$PWD/data" --appendonly yes --save '60 1000' --daemonize yes --logfile "$S/log" --pidfile "$S/pid" >/dev/null
    until_ok loaded loading:0
}

down() {
    pid=$(cat "$S/pid"); cli shutdown "$@" || :; until_gone "$pid"
}

work() {
    mkdir data; up
    for i in $(seq 60); do echo "set key$i value$i"; echo "rpush list $i"; echo "hset hash f$i $i"; done | redis-cli -s "$S/sock" >/dev/null
    cli bgsave; until_ok loaded rdb_bgsave_in_progress:0; cli bgrewriteaof; until_ok loaded aof_rewrite_in_progress:0
    cli set last acknowledged; cli expire key1 100000; pid=$(cat "$S/pid"); kill -9 "$pid"; until_gone "$pid"
    up; cli set again yes; cli del key2; down save
}

check() {
    redis-check-aof data/appendonlydir/*.manifest >/dev/null; redis-check-rdb data/dump.rdb | grep -c 'is.*OK\|Checksum OK'
    up; for q in dbsize 'get last' 'get again' 'get key60' 'llen list' 'hget hash f7' 'get key2'; do redis-cli -s "$S/sock" $q; done; down nosave
}
