# title: Emacs
# group: Editors
# does: batch edits with numbered backups, auto-save, lock files, renames and copies of trees, byte-compilation
# needs: emacs
# packages: emacs-nox
# version: emacs --version

work() {
    tree 20
    emacs -Q --batch --eval '(progn (setq version-control t create-lockfiles t)
        (dolist (f (list "d0/f1" "d0/f2" "d1/f10")) (set-buffer "*scratch*") (find-file f) (goto-char (point-max)) (insert "added\n") (save-buffer) (insert "again\n") (do-auto-save t) (save-buffer))
        (set-buffer "*scratch*") (find-file "d0/f3") (insert "x") (write-file "as") (set-buffer "*scratch*") (rename-file "d0/f4" "moved") (copy-directory "d1" "copy") (delete-directory "d1" t)
        (with-temp-file "lib.el" (insert "(defun packed () 42)\n(provide (quote lib))\n")) (byte-compile-file "lib.el") (append-to-file "tail\n" nil "moved") (set-file-modes "moved" #o600) (make-symbolic-link "moved" "soft"))' 2>/dev/null
}

check() {
    emacs -Q --batch -L . --eval '(progn (require (quote lib)) (princ (packed)))'; sums . | grep -v elc; find . -name .mirror -prune -o -print | LC_ALL=C sort; readlink soft
}
