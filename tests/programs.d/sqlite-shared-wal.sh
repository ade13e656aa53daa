# title: SQLite, WAL
# group: Databases
# does: journal_mode wal as several programs share it
# needs: sqlite3
# packages: sqlite3
# version: sqlite3 --version
# refused: disk I/O error
# note: its shared memory file is a writable shared mapping, which is refused (LIMITS.md).

work() {
    sqlite3 d.db 'pragma journal_mode=wal; create table t(a); insert into t values (1)'
}

check() {
    sqlite3 d.db 'pragma integrity_check; select * from t'
}
