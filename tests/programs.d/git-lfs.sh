# title: Git LFS
# group: Version control
# does: install hooks, track, add and commit large files, checkout
# needs: git git-lfs
# packages: git git-lfs
# version: git lfs version
# note: written in Go: it makes its system calls itself, and as a child of git it reaches one leg. `mirror run -- git-lfs` refuses it.

work() {
    git init -q -b main repo; cd repo; git lfs install --local >/dev/null; git lfs track '*.bin' >/dev/null
    for i in 1 2 3; do seq $i 5000 > $i.bin; done; git add .; git commit -qm large; rm 2.bin; git checkout -q 2.bin
}

check() {
    cd repo; git lfs fsck; git lfs ls-files -l; sums .git/lfs; sums . | grep bin; ls .git/hooks | grep -v sample
}
