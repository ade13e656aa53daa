# title: git
# group: Version control
# does: init, commits, branches, merge, rebase, stash, worktree, clone, push, gc, repack, fsck
# users: root ordinary
# needs: git
# packages: git
# version: git --version

work() {
    git init -q -b main repo; cd repo
    export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
    for i in 1 2 3 4 5; do tree $((i * 20)); echo $i > counter; git add .; git commit -qm "c$i"; done
    git checkout -q -b side HEAD~2; echo side > side; git add side; git commit -qm side
    git checkout -q main; git merge -q --no-edit side; git checkout -q side; git rebase -q main
    git checkout -q main; echo dirty >> counter; git stash -q; git stash pop -q; git checkout -q counter; git tag -a v1 -m v1
    git clone -q --bare . ../bare.git; git clone -q ../bare.git ../clone
    (cd ../clone && echo pushed > pushed && git add . && git commit -qm pushed && git push -q origin main)
    git worktree add -q ../tree side; (cd ../tree && echo w > w && git add . && git commit -qm w)
    git gc -q --prune=now; git -C ../bare.git repack -adq; git pull -q ../bare.git main; git mv side renamed; git commit -qm mv
    git rm -rq d1; git commit -qm rm; git reset -q --hard HEAD~1
}

check() {
    for r in repo bare.git clone tree; do git -C "$r" fsck --full --strict 2>&1 | sed "/dangling/d"; git -C "$r" log --format='%s %T'; done
    for r in repo clone tree; do git -C "$r" status --porcelain; done
}
