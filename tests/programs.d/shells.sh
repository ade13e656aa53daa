# title: dash, zsh, gawk, Tcl
# group: Shells around programs
# does: redirections of every kind, here documents, descriptors moved and closed, traps, coprocesses, noclobber, files read and written by awk and Tcl
# needs: dash zsh gawk tclsh
# packages: dash zsh gawk tcl
# version: zsh --version
# users: root ordinary

work() {
    tree 30
    for s in dash zsh; do
        mkdir $s; (cd $s && $s -c '
            echo one > a; echo two >> a; cat < a > b; exec 5<> a; echo THREE >&5; exec 5>&-; exec 3> c 4>&3; echo by three >&3; exec 3>&-; echo by four >&4; exec 4>&-
            set -C; (echo no > a) 2>/dev/null; echo yes >| b; set +C; cat > here <<X
text
X
            ( trap "echo trapped >> a" EXIT; : ); for i in 1 2 3; do echo $i; done | tee t1 t2 | sort -r > sorted; { echo err >&2; echo out; } > both 2>&1; : > empty; echo gone > gone; rm gone; mkdir -p x/y && cd x/y && echo deep > ../../deep; umask 077; echo private > ../private')
    done
    zsh -c 'print -l multi > m1 > m2; echo piped | tee >(cat > sub1) > sub2; sleep 0.3; coproc cat; print -p co; read -p line; print $line > co'
    gawk 'FNR == 1 { print FILENAME, $2 > ("awk." (NR % 3)) } END { print NR | "cat > awk.count"; close("cat > awk.count") }' d?/f*; gawk -i inplace '{ print toupper($0) }' d1/f10
    printf 'set f [open tcl.out w+]; puts $f text; seek $f 0; gets $f line; puts $f $line; chan truncate $f 7; close $f; file copy d2 tcl.copy; file rename d2/f20 d2/moved; file delete d2/f21; file mkdir tcl.d/e; file link tcl.link d0; set f [open "|cat > tcl.pipe" w]; puts $f piped; close $f; file attributes tcl.out -permissions 0640\n' > s.tcl; tclsh s.tcl
}

check() {
    sums .; ls -R | grep -v '^total'; readlink tcl.link
}
