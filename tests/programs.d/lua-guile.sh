# title: Lua, Guile, SBCL
# group: Languages and their tools
# does: files read, written, renamed and removed; compiled files and their caches
# needs: lua5.4 guile sbcl
# packages: lua5.4 guile-3.0 sbcl
# version: guile --version

work() {
    tree 30; export XDG_CACHE_HOME=$PWD/cache HOME=$PWD
    lua5.4 -e 'local f = io.open("lua.out", "w+"); f:setvbuf("full", 4096); for i = 1, 500 do f:write(i, "\n") end; f:seek("set", 10); f:write("XX"); f:close(); os.rename("d1/f10", "moved"); os.remove("d1/f11"); for l in io.lines("d2/f20") do io.open("lua.app", "a"):write(l, "\n"):close() end; local p = io.popen("cat > lua.pipe", "w"); p:write("piped"); p:close()'
    printf '(call-with-output-file "guile.out" (lambda (p) (let loop ((i 0)) (if (< i 300) (begin (write i p) (newline p) (loop (+ i 1)))))))\n(rename-file "d2/f21" "d2/renamed") (mkdir "made") (copy-file "d2/f22" "made/copy") (chmod "made/copy" 384) (symlink "copy" "made/soft") (link "made/copy" "made/hard") (truncate-file "guile.out" 100)\n' > s.scm; guile -q s.scm >/dev/null 2>&1
    printf '(defun f (n) (if (< n 2) n (+ (f (- n 1)) (f (- n 2)))))\n(with-open-file (o "sbcl.out" :direction :output :if-exists :supersede) (print (f 15) o))\n' > s.lisp; sbcl --noinform --non-interactive --no-userinit --eval '(progn (load (compile-file "s.lisp")) (load "s.fasl") (rename-file "d0/f1" "renamed.txt") (delete-file "d0/f2") (with-open-file (o "sbcl.app" :direction :output :if-exists :append :if-does-not-exist :create) (write-line "text" o)))' >/dev/null 2>&1
}

check() {
    sha256sum lua.* guile.out sbcl.out sbcl.app moved; sums d0; sums d2; sums made; readlink made/soft; sbcl --noinform --non-interactive --no-userinit --load s.fasl --eval '(print (f 12))' 2>&1 | tail -1; rm -f sbcl.out
}
