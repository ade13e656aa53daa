# title: Fossil
# group: Version control
# does: a repository, commits, a branch, merge, stash, clone, rebuild
# needs: fossil
# packages: fossil
# version: fossil version

work() {
    tree 30; export HOME=$PWD USER=somebody FOSSIL_USER=somebody; fossil init repo.fossil >/dev/null; mkdir one
    (cd one && fossil open ../repo.fossil >/dev/null && cp -r ../d1 . && fossil addremove >/dev/null && fossil commit -m first --no-warnings >/dev/null
     echo more >> d1/f10 && fossil commit -m second --branch side --no-warnings >/dev/null && fossil update trunk >/dev/null && fossil merge side >/dev/null && fossil commit -m merged --no-warnings >/dev/null
     echo stashed >> d1/f11 && fossil stash save -m kept >/dev/null && fossil stash pop >/dev/null) 2>&1
    fossil clone repo.fossil copy.fossil >/dev/null; fossil rebuild copy.fossil >/dev/null
}

check() {
    fossil test-integrity -R copy.fossil 2>/dev/null | tail -1 | grep -c . ; sums one/d1; for r in repo copy; do fossil info -R $r.fossil | grep -cE '^check-ins: *4' ; done
}
