# title: Breezy
# group: Version control
# does: a repository, commits, a branch, merge, push, pack, check
# needs: brz
# packages: brz
# version: brz --version
# limit: 600

work() {
    tree 30; export BRZ_HOME=$PWD/h BZR_HOME=$PWD/h BRZ_LOG=$PWD/h/log BRZ_EMAIL='A <a@b.c>'; mkdir h; brz init -q one; cp -r d1 d2 one
    (cd one && brz add -q && brz commit -q -m first && echo more >> d1/f10 && brz mv -q d1/f11 d1/moved && brz rm -q d2/f20 && brz commit -q -m second); brz branch -q one two
    (cd two && echo side >> d1/f12 && brz commit -q -m side); (cd one && echo trunk >> d1/f13 && brz commit -q -m trunk && brz merge -q ../two && brz commit -q -m merged && brz tag -q mark && brz pack -q); (cd two && brz pull -q ../one)
}

check() {
    export BRZ_HOME=$PWD/h BZR_HOME=$PWD/h BRZ_LOG=/dev/null; brz check -q one; brz revno one; brz revno two; brz status one; sums one/d1; sums two/d1
}
