# title: SQLite, WAL in exclusive mode
# group: Databases
# does: journal_mode wal with locking_mode exclusive, checkpoints
# needs: sqlite3
# packages: sqlite3
# version: sqlite3 --version

work() {
    for i in 1 2 3; do
        sqlite3 d.db 'pragma locking_mode=exclusive; pragma journal_mode=wal; create table if not exists t(a integer primary key, b text);
            with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) insert into t(b) select hex(i) from n; pragma wal_checkpoint(truncate); update t set b = b || 1 where a % 3 = 0; delete from t where a % 7 = 0' >/dev/null
    done
}

check() {
    sqlite3 d.db 'pragma integrity_check; select count(*), sum(length(b)) from t'; ls
}
