# title: Subversion
# group: Version control
# does: svnadmin create, import, checkout, commits, branch, merge, switch, pack, hotcopy, dump and load
# needs: svn svnadmin
# packages: subversion
# version: svn --version

work() {
    svnadmin create repo; u=file://$PWD/repo
    svn -q mkdir -m layout "$u/trunk" "$u/branches"; svn -q co "$u/trunk" wc; cd wc
    tree 40; svn -q add d*; svn -q ci -m tree; svn -q cp -m branch "$u/trunk" "$u/branches/b"; echo x >> d1/f10; svn -q ci -m x
    svn -q mv d2 d2b; svn -q propset k v d3; svn -q ci -m moved; svn -q switch "$u/branches/b"; echo b >> d0/f1; svn -q ci -m b
    svn -q switch "$u/trunk"; svn -q up; svn -q merge "$u/branches/b"; svn -q ci -m merged; cd ..
    svnadmin pack -q repo; svnadmin hotcopy -q repo hot; svnadmin create loaded; svnadmin dump -q repo | svnadmin load -q loaded
}

check() {
    for r in repo hot loaded; do svnadmin verify -q "$r"; svnlook youngest "$r"; svnlook tree "$r" | sort; done
    svn status wc; sums wc | grep -v '\.svn'; svn cleanup wc; sqlite3 wc/.svn/wc.db 'pragma integrity_check' 2>/dev/null || :
}
