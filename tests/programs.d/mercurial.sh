# title: Mercurial
# group: Version control
# does: init, commits, branches, merge, clone, push, rename, tag, bundle, verify
# needs: hg
# packages: mercurial
# version: hg --version

work() {
    export HGUSER='A U Thor'
    hg init repo; cd repo
    for i in 1 2 3; do tree $((i * 15)); echo $i > counter; hg commit -qAm "c$i" -d "$i 0"; done
    hg update -q 1; echo side > side; hg commit -qAm side -d '9 0'; hg merge -q -t :other 2; hg commit -qm merge -d '10 0'
    hg clone -q . ../clone; (cd ../clone && hg mv counter moved -q && hg commit -qm mv -d '11 0' && hg push -q)
    hg update -q; hg tag -d '12 0' v1; hg addremove -q; hg bundle -q -a ../all.hg; hg copy -q side copied; hg commit -qm copy -d '13 0'
}

check() {
    for r in repo clone; do hg -R "$r" verify -q; hg -R "$r" log -T '{rev} {node|short} {desc}\n'; hg -R "$r" status; done
    hg -R repo incoming -q all.hg || echo "nothing new in the bundle"
}
