# title: ed, sed -i, nano
# group: Editors
# does: ed scripts, sed -i with and without a backup and through symlinks, nano on a terminal
# needs: ed sed nano /usr/bin/python3
# packages: ed sed nano python3
# version: sed --version

work() {
    tree 40
    printf '%s\n' '1s/line/LINE/' '$a' 'added' . w '1,1d' 'w d1/short' q | ed -s d1/f10; printf 'H\n,s/e/E/g\nw\nq\n' | ed -s d1/f11
    sed -i 's/tree/TREE/' d2/*; sed -i.bak '/line/d' d3/f30; ln -s d0/f1 soft; sed -i --follow-symlinks 's/line/through/' soft
    TERM=vt100 /usr/bin/python3 - <<'PY'
import os, pty, sys
child, terminal = pty.fork()
if child == 0: os.execvp("nano", ["nano", "--ignorercfiles", "d0/f2"])
seen = b""
def until(text):
    global seen
    while text not in seen: seen += os.read(terminal, 4096)
    seen = b""
until(b"GNU nano"); os.write(terminal, b"typed by hand\n\x0f"); until(b"Write"); os.write(terminal, b"\r"); until(b"Wrote"); os.write(terminal, b"\x18")
try:
    while os.read(terminal, 4096): pass
except OSError: pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
PY
}

check() {
    sums . ; readlink soft
}
