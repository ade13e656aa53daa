# title: OCaml
# group: Languages and their tools
# does: ocamlc and ocamlopt, a library, a program with threads and Unix calls
# needs: ocamlopt ocamlc cc
# packages: ocaml-nox gcc
# version: ocamlopt -version

work() {
    echo 'let twice x = 2 * x' > lib.ml
    cat > job.ml <<'ML'
let write n = let o = open_out (Printf.sprintf "f%d" n) in for i = 1 to 300 do Printf.fprintf o "%d %d\n" n (Lib.twice i) done; close_out o
let () =
  let t = List.init 8 (fun n -> Thread.create write n) in List.iter Thread.join t;
  Unix.rename "f1" "moved"; Unix.mkdir "d" 0o755; Unix.link "f2" "d/hard"; Unix.symlink "d" "soft"; Unix.truncate "f3" 100; Unix.chmod "f4" 0o600; Unix.unlink "f5";
  let f = Unix.openfile "log" [Unix.O_CREAT; Unix.O_WRONLY; Unix.O_APPEND] 0o644 in for _ = 1 to 20 do ignore (Unix.write_substring f "entry\n" 0 6) done; Unix.fsync f; Unix.close f;
  match Unix.fork () with 0 -> write 99; exit 0 | p -> ignore (Unix.waitpid [] p)
ML
    ocamlopt -I +threads unix.cmxa threads.cmxa lib.ml job.ml -o job 2>/dev/null; ./job; ocamlc -a lib.ml -o lib.cma
}

check() { sha256sum f0 f99 moved log lib.cma; stat -c '%n %a %h %s' f3 f4 d/hard; readlink soft; }
