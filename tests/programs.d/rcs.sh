# title: RCS, CVS
# group: Version control
# does: check in and out with locks, merge, branches; a repository, import, checkout, commits, tags, update
# needs: ci co rcs cvs
# packages: rcs cvs
# version: rcs --version

work() {
    export LOGNAME=somebody USER=somebody CVS_RSH=none
    mkdir RCS; for i in 1 2 3; do echo "version $i" >> text; ci -q -l -m"step $i" -t-text -d"2024-01-0$i 00:00" text; done
    co -q -p1.2 text > second; rcs -q -nname:1.2 text; rcs -q -u text; rcsmerge -q -r1.1 -r1.3 -p text > merged
    tree 30; cvs -Q -d "$PWD/repo" init; (cd d1 && cvs -Q -d "$PWD/../repo" import -m first module vendor start)
    cvs -Q -d "$PWD/repo" checkout -d one module; cvs -Q -d "$PWD/repo" checkout -d two module
    (cd one && echo more >> f10 && rm f11 && cvs -Q remove f11 && echo new > new && cvs -Q add new && cvs -Q commit -m changed && cvs -Q tag mark)
    (cd two && cvs -Q update -d && cvs -Q update -r mark)
}

check() {
    co -q -p1.1 text; rlog -h text | grep -E '^(head|total)'; cat second merged; (cd two && ls && cat f10 new); ls repo/module
}
