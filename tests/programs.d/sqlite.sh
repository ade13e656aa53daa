# title: SQLite, rollback journals
# group: Databases
# does: journal_mode delete, truncate, persist, memory and off; savepoints, VACUUM INTO, backup, three writers at once, kill -9 in a transaction
# users: root ordinary
# needs: sqlite3
# packages: sqlite3
# killed: yes
# version: sqlite3 --version

fill() {
    sqlite3 -cmd '.timeout 100000' "$1" "pragma journal_mode=$2; create table if not exists t(a integer primary key, b text);
        begin; with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) insert into t(b) select hex(i * 7919) from n; savepoint s; delete from t where a % 2 = 0; rollback to s; delete from t where a % 5 = 0; commit; create index if not exists x on t(b)" >/dev/null
}

work() {
    for m in delete truncate persist memory off; do fill $m.db $m; fill $m.db $m; done
    sqlite3 delete.db "vacuum into 'into.db'" 'update t set b = b || a where a < 500' vacuum '.backup backup.db'
    for w in 1 2 3; do (for i in 1 2 3 4 5; do sqlite3 -cmd '.timeout 100000' shared.db "create table if not exists t(a, b); insert into t values ($w, $i)"; done) & done; wait
    (echo 'begin; update t set b = 1;'; sqlite3 shared.db '.databases' >/dev/null; echo '.shell kill -9 $PPID') | sqlite3 truncate.db || :
    sqlite3 truncate.db 'insert into t(b) values (1)'
}

check() {
    for d in *.db; do echo "$d"; sqlite3 "$d" 'pragma integrity_check; select count(*), sum(length(b)) from t'; done
}
