# title: BorgBackup
# group: Backups
# does: init, create, prune, compact, delete, extract, check
# needs: borg
# packages: borgbackup
# version: borg --version
# limit: 600

env() { export BORG_BASE_DIR=$PWD/base BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes BORG_RELOCATED_REPO_ACCESS_IS_OK=yes; }

work() {
    env; mkdir from; (cd from && tree 100 && head -c 3000000 /dev/zero > zero); borg init -e none repo
    for i in 1 2 3; do echo $i > from/d0/changed; borg create "repo::a$i" from; done
    borg delete repo::a1; borg prune --keep-last 1 repo; borg compact repo; mkdir out; (cd out && borg extract ../repo::a3); borg rename repo::a3 last
}

check() {
    env; borg check --verify-data repo; borg list --short repo; borg list --format '{path} {size}{NL}' repo::last | sort; diff -r from out/from && echo same
}
